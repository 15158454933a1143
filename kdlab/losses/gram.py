"""Losses on Gram matrices, the products of a layer's own states: of channels, or of tokens."""

from torch import Tensor

from kdlab.losses.attention import mse
from kdlab.losses.direction import gram
from kdlab.losses.hidden import check_equal_width
from kdlab.losses.mean import over_valid, zero_padding


def channels(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Squared difference of HᵀH / n over a row's n valid tokens, mean over pairs of channels.

    The unit is a row, however many tokens it has. After Yim et al. 2017 (CVPR), whose matrices
    are between two layers; TextBrewer's fsp (Yang et al. 2020, arXiv 2002.12620) with one layer
    twice is this.

    Args:
        student, teacher: [b, t, d].
        mask: tokens [b, t].
    """
    check_equal_width(student, teacher)
    tokens = mask.sum(-1).clamp(min=1)[:, None, None]
    # Padding is zero, and so adds nothing to a sum over tokens.
    student, teacher = (zero_padding(states, mask) for states in (student, teacher))
    gap = student.transpose(1, 2) @ student / tokens - teacher.transpose(1, 2) @ teacher / tokens
    return over_valid(gap.square().mean((1, 2)), mask.bool().any(-1))


def tokens(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Squared difference of HHᵀ / d, mean over valid tokens, then over valid tokens once more.

    Each side has its own d. After Huang and Wang 2017, arXiv 1707.01219, who normalise every
    channel over the positions first, and add up. TextBrewer's nst (Yang et al. 2020, arXiv
    2002.12620) is this on one row, but weighs all pairs of a batch alike; its release 0.2.1.post1
    divides by the padded length in place of d wherever there is a mask.

    Args:
        student, teacher: [b, t, d] and [b, t, d'].
        mask: tokens [b, t].
    """
    student, teacher = (_products(zero_padding(states, mask)) for states in (student, teacher))
    return mse(student, teacher, mask)


def _products(states: Tensor) -> Tensor:
    """x · y / d of a row's tokens [b, 1, t, t], as if they were one head's scores."""
    return (gram(states) / states.shape[-1]).unsqueeze(1)
