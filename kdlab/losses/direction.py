"""The one way that losses normalise a state."""

import torch
from torch import Tensor


def direction(states: Tensor) -> Tensor:
    """States [..., d] over their L2 norms; zero stays zero, with a gradient of its own size."""
    norms = states.norm(dim=-1, keepdim=True)
    return states / torch.where(norms > 0, norms, 1.0)
