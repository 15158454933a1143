"""Centred kernel alignment: how alike two sets of states are, up to rotation and scale."""

import torch
from torch import Tensor

from kdlab.losses.direction import direction
from kdlab.losses.mean import centred, zero_padding

SMALLEST_SPREAD = 1e-6  # of states about their mean, over their norm: less is rounding


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
    x, y = _normalized(student, mask), _normalized(teacher, mask)
    # ‖YᵀX‖² is the inner product of the Gram matrices XXᵀ and YYᵀ, and costs less: it is [d', d],
    # they are [n, n], and a batch may have more tokens than a state has dimensions.
    cross = (y.T @ x).square().sum()
    x_norm, y_norm = (x.T @ x).norm(), (y.T @ y).norm()
    # A side that does not vary has norm 0, and similarity 0.
    cka = cross / torch.where(x_norm > 0, x_norm, 1.0) / torch.where(y_norm > 0, y_norm, 1.0)
    return (1 - cka) * (y_norm > 0)


def _normalized(states: Tensor, mask: Tensor) -> Tensor:
    """Centred units over the norm of them all [n, d]; zero if they do not vary."""
    states = states.float()
    units = centred(states, mask)
    # Units that are all alike leave rounding noise about their mean, which must not be scaled up.
    is_constant = units.norm() <= SMALLEST_SPREAD * zero_padding(states, mask).norm()
    # CKA does not depend on scale, and the fourth powers that it takes might leave float32.
    return direction(units.masked_fill(is_constant, 0.0).flatten()).reshape(units.shape)
