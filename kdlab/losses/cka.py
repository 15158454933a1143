"""Centred kernel alignment: how alike two sets of states are, up to rotation and scale."""

import torch
from torch import Tensor

from kdlab.losses.direction import direction
from kdlab.losses.mean import centred

SMALLEST_SPREAD = 1e-6  # about the mean, over the size of the states: less is rounding


def linear(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """1 − linear CKA: 1 − ‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖) of units centred over the batch, in [0, 1].

    Kornblith et al. 2019, arXiv 1905.00414. Every valid unit is an example. It nears 0 for any
    two sets of far fewer units than dimensions, which is why the option takes tokens, not one
    state a row. It belongs to a batch: it is not the mean of its parts. Zero where the teacher
    does not vary, as with one unit; 1 where only the student does not.

    Args:
        student, teacher: [..., d] and [..., d'].
        mask: [...], true where the unit counts.
    """
    x, y = _spread(student, mask), _spread(teacher, mask)
    shared = (y.T @ x).square().sum()
    own, other = (x.T @ x).norm(), (y.T @ y).norm()
    alike = shared / torch.where(own > 0, own, 1.0) / torch.where(other > 0, other, 1.0)
    return (1 - alike) * (other > 0)


def _spread(states: Tensor, mask: Tensor) -> Tensor:
    """Centred units over the norm of them all [n, d]; zero if they do not vary."""
    states = states.float()
    found = centred(states, mask)
    size = states.masked_fill(~mask.bool().unsqueeze(-1), 0.0).norm()
    constant = found.norm() <= SMALLEST_SPREAD * size
    return direction(found.masked_fill(constant, 0.0).flatten()).reshape(found.shape)
