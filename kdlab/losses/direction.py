"""States over their norms, and their products with each other, as losses use them."""

import torch
from torch import Tensor


def direction(states: Tensor) -> Tensor:
    """States [..., d] over their L2 norms; zero stays zero, with a gradient of its own size."""
    norms = states.norm(dim=-1, keepdim=True)
    # Not F.normalize, which divides by 1e-12 at zero: a gradient a million million times too large.
    # And the norm is replaced, not the quotient: the gradient of 0 / 0 is NaN though it is masked.
    return states / torch.where(norms > 0, norms, 1.0)


def gram(states: Tensor) -> Tensor:
    """Products of n states with each other [..., n, n]; of directions their cosines."""
    return states @ states.transpose(-1, -2)
