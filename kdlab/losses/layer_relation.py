"""CKD's layer-transforming relation: how a token's states in several layers relate to each other.

Park, Kim and Yang 2021, arXiv 2109.08359. Widths may differ, the number of layers may not. The
view stacks all matched layers, as `kdlab.objective.views.stacked_with_embedding` does.
"""

from torch import Tensor

from kdlab.errors import Misfit
from kdlab.losses.direction import direction, gram
from kdlab.losses.mean import over_valid, zero_padding
from kdlab.losses.others import identity, kl_over_others

FEWEST = 3  # layers: the softmax over one other layer is 1, and an angle needs three


def pair(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """KL(teacher ‖ student) of a layer's softmax of cosines to the other layers, in nats.

    Of a token's states, mean over layers and valid tokens. Park et al. 2021, arXiv 2109.08359,
    with their code's cosine and KL; it divides by tokens · L², 1/L of this (and is NaN on current
    PyTorch).

    Args:
        student [b, t, L, d], teacher [b, t, L, d'], L ≥ 3 layers in order.
        mask: tokens [b, t].
    """
    _check(student, teacher)
    student, teacher = (
        gram(direction(zero_padding(states, mask))) for states in (student, teacher)
    )
    layers = mask.bool()[..., None].expand(student.shape[:-1])  # all layers of a valid token
    return kl_over_others(student, teacher, layers)


def triple(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Squared difference of the cosines of angles i-j-k of a token's states in layers i, j and k.

    Mean over triples of different layers and over valid tokens. Park et al. 2021, arXiv
    2109.08359, with their code's squared difference; it takes the mean over triples with repeated
    layers too, (L − 1)(L − 2) / L² of this. Memory grows with b · t · L² · d.

    Args:
        student [b, t, L, d], teacher [b, t, L, d'], L ≥ 3 layers in order.
        mask: tokens [b, t].
    """
    _check(student, teacher)
    count = student.shape[2]
    student, teacher = (_angles(zero_padding(states, mask)) for states in (student, teacher))
    # Cosines with i = j or k = j are 0 on both sides; those with i = k are 1, and are taken out.
    same = identity(student[0, 0, 0])  # [i, k]
    gaps = (student - teacher).square().masked_fill(same, 0.0).sum((2, 3, 4))
    return over_valid(gaps / (count * (count - 1) * (count - 2)), mask)


def _check(student: Tensor, teacher: Tensor) -> None:
    if student.ndim != 4 or student.shape[:3] != teacher.shape[:3]:
        raise Misfit("relations between layers need the stacked layers of both, equally many")
    if student.shape[2] < FEWEST:
        raise Misfit(
            f"relations between layers need {FEWEST} or more, here {student.shape[2]}; "
            "a matching of more pairs, or the view stacked_with_embedding"
        )


def _angles(states: Tensor) -> Tensor:
    """Cosine of the angle at layer j between layers i and k [b, t, j, i, k]."""
    # [b, t, j, i, d] is x_i - x_j; from a layer to itself it is zero, and so are its cosines.
    return gram(direction(states[:, :, None, :] - states[:, :, :, None]))
