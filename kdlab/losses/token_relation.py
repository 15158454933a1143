"""CKD's word relation: how the tokens of a row relate to each other; widths may differ.

Park, Kim and Yang 2021, arXiv 2109.08359. Their code gives NaN for pairs on current PyTorch.
"""

from typing import Annotated

from annotated_types import Ge
from torch import Tensor
from torch.nn.functional import pad

from kdlab.errors import Misfit
from kdlab.losses.direction import direction, gram
from kdlab.losses.mean import over_valid, zero_padding
from kdlab.losses.others import identity, kl_over_others


def pair(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """KL(teacher ‖ student) of a token's softmax of cosines to the row's other tokens, in nats.

    Mean over valid tokens. Park et al. 2021, arXiv 2109.08359, with their code's cosine and KL;
    it divides by the number of pairs, n² in a row of n tokens, which is 1/n of this there. Zero in
    a row with fewer than three tokens.

    Args:
        student [b, t, d], teacher [b, t, d'].
        mask: tokens [b, t].
    """
    student, teacher = (gram(direction(_valid(states, mask))) for states in (student, teacher))
    return kl_over_others(student, teacher, mask)


def triple(
    student: Tensor, teacher: Tensor, mask: Tensor, *, window: Annotated[int, Ge(3)]
) -> Tensor:
    """Squared difference of the cosines of angles i-j-k, of tokens i and k near token j.

    Mean over pairs of different valid tokens i and k of a window of `window` tokens around j, then
    over valid tokens j; a token with fewer than two others near it counts as zero. Park et al.
    2021, arXiv 2109.08359, with their code's squared difference. It masks j only, so that padding
    counts as i and k, repeats the row's first and last token where the window ends beyond them,
    and takes the mean over i = j, k = j and i = k too, where it is zero. Memory grows with
    b · t · window · d.

    Args:
        student [b, t, d], teacher [b, t, d'].
        mask: tokens [b, t].
        window: an odd number; 2t − 1 is the whole row.
    """
    if window % 2 == 0:
        raise Misfit(f"window={window}: an odd number, with the token itself in its middle")
    valid = mask.bool()
    near = _windows(valid, window) & valid[..., None]
    near[..., window // 2] = False  # the token itself
    pairs = near[..., :, None] & near[..., None, :] & ~identity(near)
    student, teacher = (_angles(_valid(states, mask), near) for states in (student, teacher))
    gaps = (student - teacher).square().masked_fill(~pairs, 0.0).sum((-1, -2))
    return over_valid(gaps / pairs.sum((-1, -2)).clamp(min=1), valid)


def _valid(states: Tensor, mask: Tensor) -> Tensor:
    """Tokens [b, t, d] in float32, zeros in place of padding."""
    if states.ndim != 3:
        raise Misfit("relations between tokens need one state a token, as the view tokens gives")
    return zero_padding(states, mask)


def _windows(values: Tensor, window: int) -> Tensor:
    """The window around every position of axis 1, zeros beyond its ends [b, t, ..., window].

    For example [1, 2, 3] with a window of three: [0, 1, 2], [1, 2, 3] and [2, 3, 0].
    """
    # `pad` counts axes from the last: nothing for those behind axis 1, then half a window.
    ends = [0, 0] * (values.ndim - 2) + [window // 2] * 2
    return pad(values, ends).unfold(1, window, 1)


def _angles(states: Tensor, near: Tensor) -> Tensor:
    """Cosine of the angle at token j between the tokens i and k of its window [b, j, i, k]."""
    # `unfold` puts the window last [b, t, d, window]; the products below need the width there.
    edges = (_windows(states, near.shape[-1]) - states[..., None]).transpose(2, 3)
    return gram(direction(edges.masked_fill(~near[..., None], 0.0)))
