"""Losses on hidden states of equal width; where widths differ, the objective projects first."""

from torch import Tensor

from kdlab.errors import Misfit
from kdlab.losses.direction import direction
from kdlab.losses.knobs import Reduction
from kdlab.losses.mean import over_last, over_valid


def mse(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Squared difference, mean over the width and over valid tokens.

    Romero et al. 2015, arXiv 1412.6550; Jiao et al. 2020, arXiv 1909.10351.

    Args:
        student, teacher: [..., d].
        mask: [...], true where the unit counts.
    """
    check_equal_width(student, teacher)
    return over_valid((student.float() - teacher.float()).square().mean(-1), mask)


def pkd(
    student: Tensor, teacher: Tensor, mask: Tensor, *, normalize: bool, reduction: Reduction
) -> Tensor:
    """PKD's patience: squared distance of L2-normalised states.

    Sun et al. 2019, arXiv 1908.09355, equation 7, is the sum over the width. Their code takes the
    mean (`reduction: mean`, 1/d of the sum; in half precision), for which its β of 10 to 1,000 are
    meant, and leaves out `normalize` in the settings that won on the large tasks.

    Args:
        student, teacher: [..., d], one state a unit.
        mask: [...], true where the unit counts.
        reduction: over the width, which is the teacher's where the student is projected.
    """
    check_equal_width(student, teacher)
    student, teacher = student.float(), teacher.float()
    if normalize:
        student, teacher = direction(student), direction(teacher)
    return over_valid(over_last((student - teacher).square(), reduction), mask)


def cosine(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """1 − cos(student, teacher), mean over valid units: 0 if alike, 2 if opposite, 1 if one is 0.

    Sanh et al. 2019, arXiv 1910.01108, whose code (`CosineEmbeddingLoss` over the tokens of the
    last layer) is this loss.

    Args:
        student, teacher: [..., d].
        mask: [...], true where the unit counts.
    """
    check_equal_width(student, teacher)
    student, teacher = direction(student.float()), direction(teacher.float())
    return over_valid(1 - (student * teacher).sum(-1), mask)


def check_equal_width(student: Tensor, teacher: Tensor) -> None:
    """Raise `Misfit` where the states [..., d] have different widths."""
    if student.shape[-1] != teacher.shape[-1]:
        raise Misfit(
            f"unequal width: the student has {student.shape[-1]}, the teacher {teacher.shape[-1]}; "
            "projection: auto learns a linear map"
        )
