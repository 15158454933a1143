"""Losses on how a layer's own tokens relate to each other."""

import math
from typing import Annotated

from annotated_types import Gt
from torch import Tensor

from kdlab.errors import Misfit
from kdlab.losses.attention import distributions


def kl(
    student: Tensor, teacher: Tensor, mask: Tensor, *, relation_heads: Annotated[int, Gt(0)] | None
) -> Tensor:
    """KL(teacher ‖ student) of softmax(X Xᵀ / √d_r), in nats, mean over heads and valid tokens.

    X are queries, keys or values, split anew into `relation_heads` heads of width d_r (None: the
    teacher's own number), so that head counts and widths may differ. Wang et al. 2020, arXiv
    2002.10957 (values, the attention's own heads); Wang et al. 2021, arXiv 2012.15828. They take
    the mean over each row's tokens, then over rows; here a long row counts more.

    Args:
        student, teacher: [b, h, t, d / h].
        mask: tokens [b, t].
    """
    heads = teacher.shape[1] if relation_heads is None else relation_heads
    return distributions(_relation(student, heads), _relation(teacher, heads), mask)


def _relation(states: Tensor, heads: int) -> Tensor:
    """Scaled products of tokens with tokens [b, heads, t, t], of states [b, h, t, d / h]."""
    rows, tokens, width = states.shape[0], states.shape[2], states.shape[1] * states.shape[3]
    if width % heads:
        raise Misfit(
            f"relation_heads={heads} does not divide the width {width}; "
            "choose a divisor of both widths"
        )
    # Heads side by side again, then cut anew: a head of a relation may span several of attention.
    merged = states.float().transpose(1, 2).reshape(rows, tokens, heads, width // heads)
    split = merged.transpose(1, 2)
    return split @ split.transpose(2, 3) / math.sqrt(split.shape[-1])
