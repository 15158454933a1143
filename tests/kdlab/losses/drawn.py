"""What the tests of losses draw: float64 numbers, always the same, and masks for them."""

import torch
from torch import Tensor, tensor

UNITS = tensor([True, True, False, True, False, True])
TOKENS = tensor(
    [
        [True, True, True, True, True],
        [True, True, True, False, False],
        [False, True, False, True, False],
        [False, False, False, False, False],
    ]
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def random_logits(scale: float = 2.0) -> Tensor:
    """A student's and a teacher's logits of UNITS over five classes."""
    return normal(2, len(UNITS), 5) * scale
