"""What losses on the relations of a unit to the other units share."""

import torch
from torch import Tensor

from kdlab.losses.attention import distributions

NEVER = -1e30  # a score without probability; not -inf, whose differences are not finite


def kl_over_others(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """KL(teacher ‖ student) of a unit's softmax over the other valid units, mean over valid units.

    With two valid units the one other has all probability, with one there is none: zero.

    Args:
        student, teacher: scores [..., n, n] of units with units.
        mask: [..., n], true where the unit counts.
    """
    itself, count = identity(mask), mask.shape[-1]
    # As the scores of one attention head [b, 1, n, n]: queries and keys are units. All axes before
    # become rows, such as the tokens of relations between layers.
    student, teacher = (
        scores.float().masked_fill(itself, NEVER).reshape(-1, 1, count, count)
        for scores in (student, teacher)
    )
    return distributions(student, teacher, mask.reshape(-1, count))


def identity(mask: Tensor) -> Tensor:
    """True where a unit meets itself [n, n], for the mask of units [..., n]."""
    return torch.eye(mask.shape[-1], dtype=torch.bool, device=mask.device)
