"""Contrastive losses: they tell a unit's own teacher state from those of the other units."""

from torch import Tensor
from torch.nn.functional import log_softmax

from kdlab.losses.direction import direction
from kdlab.losses.hidden import check_equal_width
from kdlab.losses.knobs import Temperature
from kdlab.losses.mean import over_valid, zero_padding
from kdlab.losses.others import NEVER


def info_nce(student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: Temperature) -> Tensor:
    """−log softmax of cos(student i, teacher j) / T over the batch's units j, at j = i, in nats.

    Mean over valid units i.
    van den Oord et al. 2018, arXiv 1807.03748, on the states of CRD (Tian et al. 2020, arXiv
    1910.10699) and CoDIR (Sun et al. 2020, arXiv 2009.14167). Both estimate it with thousands of
    negatives from a memory bank, in both directions, and project the teacher's states too; here
    the other units of the batch are the negatives, against fixed teacher states. It belongs to a
    batch, is zero below two valid units, and not zero at equality: other units are never
    infinitely far.

    Args:
        student, teacher: [..., d].
        mask: [...], true where the unit counts.
    """
    check_equal_width(student, teacher)
    student, teacher = (
        direction(zero_padding(states, mask)).flatten(0, -2) for states in (student, teacher)
    )
    valid = mask.bool().flatten()
    # Row i has unit i against the states of all units; its own teacher state is on the diagonal.
    # Padding is nobody's negative: its columns get no probability.
    scores = (student @ teacher.T / temperature).masked_fill(~valid, NEVER)
    return over_valid(-log_softmax(scores, dim=-1).diagonal(), valid)
