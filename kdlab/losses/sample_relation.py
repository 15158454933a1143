"""Losses on how the rows of a batch relate to each other; widths may differ.

What they compare lies between rows, so that the loss of a batch is not the mean of its parts', and
depends on the batch size.
"""

from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from kdlab.errors import Misfit
from kdlab.losses.direction import direction, gram
from kdlab.losses.mean import over_valid, zero_padding
from kdlab.losses.others import identity, kl_over_others

SMALLEST_AFFINITY = 1e-7  # of opposite rows, which have none, and whose logarithm is taken


def distance(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """RKD-D: Huber (δ = 1) of distances between rows over their mean distance, mean over pairs.

    Park et al. 2019, arXiv 1904.05068. Their code takes the mean over the zero
    distances of n rows to themselves too, (n − 1) / n of this, and the mean distance over pairs of
    unequal rows. Zero below three valid rows: one distance is its own mean.

    Args:
        student [b, d], teacher [b, d']: one state a row.
        mask: [b], true where the row counts.
    """
    pairs = _pairs(mask)
    student, teacher = (_distances(states, pairs) for states in (student, teacher))
    return over_valid(smooth_l1_loss(student, teacher, reduction="none"), pairs)


def angle(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """RKD-A: Huber (δ = 1) of the cosines of angles i-j-k, mean over triples of different rows.

    Park et al. 2019, arXiv 1904.05068. Their code takes the mean over triples
    with repeated rows too, (n − 1)(n − 2) / n² of this. Two equal rows have cosine 0 with all.
    Zero below three valid rows.

    Args:
        student [b, d], teacher [b, d']: one state a row.
        mask: [b], true where the row counts.
    """
    pairs = _pairs(mask)  # of a corner j and an end
    # [j, i, k]: the corner j with both ends, and the ends i and k with each other.
    triples = pairs[:, :, None] & pairs[:, None, :] & pairs[None, :, :]
    student, teacher = (_angles(states, pairs) for states in (student, teacher))
    return over_valid(smooth_l1_loss(student, teacher, reduction="none"), triples)


def similarity(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """SP: squared distance of the Gram matrices X Xᵀ of n rows, each row to norm 1, over n².

    Tung and Mori 2019, arXiv 1907.09682. Zero below two valid rows.

    Args:
        student [b, d], teacher [b, d']: one state a row.
        mask: [b], true where the row counts.
    """
    student, teacher = (direction(gram(_valid(states, mask))) for states in (student, teacher))
    count = mask.sum()
    # Over n here and over n once more in `over_valid`: n² in all.
    gaps = (student - teacher).square().sum(-1) / count.clamp(min=1)
    return over_valid(gaps, mask) * (count > 1)


def pkt(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """PKT: KL(teacher ‖ student) of the affinities (1 + cos) / 2 of a row to all others, in nats.

    Mean over rows. Affinities of a row are made to sum to 1 over the other rows, as in the paper:
    Passalis and Tefas 2018, arXiv 1803.10837. Their code counts the row itself too, and takes the
    mean over all n² pairs, which is 1/n of the mean over rows. Zero below three valid rows.

    Args:
        student [b, d], teacher [b, d']: one state a row.
        mask: [b], true where the row counts.
    """
    student, teacher = (_log_affinities(states, mask) for states in (student, teacher))
    return kl_over_others(student, teacher, mask)


def _valid(states: Tensor, mask: Tensor) -> Tensor:
    """Rows [b, d] in float32, zeros in place of those that do not count."""
    if states.ndim != 2:
        raise Misfit(
            "relations between rows need one state a row, as the views cls and mean_tokens give"
        )
    return zero_padding(states, mask)


def _pairs(mask: Tensor) -> Tensor:
    """Which ordered pairs of different rows are valid [b, b]."""
    valid = mask.bool()
    return valid[:, None] & valid[None, :] & ~identity(mask)


def _differences(states: Tensor, pairs: Tensor) -> Tensor:
    """x_i − x_j of valid pairs, zero elsewhere [j, i, d]."""
    rows = _valid(states, pairs.any(0))
    return (rows[None, :] - rows[:, None]).masked_fill(~pairs[..., None], 0.0)


def _distances(states: Tensor, pairs: Tensor) -> Tensor:
    """Distances of valid pairs over their mean, zero elsewhere [j, i]."""
    # A norm, whose gradient PyTorch takes as zero at zero; a plain square root's is infinite.
    norms = _differences(states, pairs).norm(dim=-1)
    mean = over_valid(norms, pairs)
    return norms / mean.where(mean > 0, 1.0)


def _angles(states: Tensor, pairs: Tensor) -> Tensor:
    """Cosine of the angle at row j between rows i and k [j, i, k]."""
    return gram(direction(_differences(states, pairs)))


def _log_affinities(states: Tensor, mask: Tensor) -> Tensor:
    """The logarithm of the affinities of rows with rows [b, b], each between 0 and 1."""
    cosines = gram(direction(_valid(states, mask)))
    return ((1 + cosines) / 2).clamp(min=SMALLEST_AFFINITY).log()
