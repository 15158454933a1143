"""Losses on attention scores."""

from torch import Tensor
from torch.nn.functional import log_softmax

from kdlab.errors import Misfit
from kdlab.losses.mean import over_valid


def kl(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """KL(teacher ‖ student) of attention distributions, in nats, mean over heads and valid queries.

    Padded keys get no probability. Wang et al. 2020, arXiv 2002.10957, equation 1, a mean over a
    row's queries, so that rows count alike whatever their length; Sun et al. 2020, arXiv
    2004.02984.

    Args:
        student, teacher: scaled scores before the softmax, [b, h, t, t], queries then keys.
        mask: tokens [b, t].
    """
    _check_equal_heads(student, teacher)
    return distributions(student, teacher, mask)


def cross_entropy(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """−Σ p log q of attention distributions, in nats, mean over heads and valid queries.

    Not zero at equality: it is `kl` plus the teacher's entropy, with the same gradient.
    TextBrewer's attention_ce (Yang et al. 2020, arXiv 2002.12620) leaves probability on padded
    keys; on rows without padding it is this loss.

    Args:
        student, teacher: scaled scores before the softmax, [b, h, t, t], queries then keys.
        mask: tokens [b, t].
    """
    _check_equal_heads(student, teacher)
    log_q, log_p, padded = _over_keys(student, teacher, mask)
    terms = (log_p.exp() * log_q).masked_fill(padded, 0.0)
    return -over_valid(terms.sum(-1).mean(1), mask)


def mse(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Squared difference of scores, mean over heads and valid keys, then over valid queries.

    Jiao et al. 2020, arXiv 1909.10351, equation 7. Their code takes the mean over padding too,
    with scores below -100 as zero. TextBrewer's att_mse is this on one row, but weighs all
    pairs of a batch alike, so that a row counts by the square of its length.

    Args:
        student, teacher: scaled scores before the softmax, [b, h, t, t], queries then keys.
        mask: tokens [b, t].
    """
    _check_equal_heads(student, teacher)
    valid = mask.bool()
    gap = (student.float() - teacher.float()).masked_fill(~valid[:, None, None, :], 0.0)
    # Over a row's own keys: over t, a row would count less the longer its batch is padded.
    keys = valid.sum(-1, keepdim=True).clamp(min=1)
    return over_valid(gap.square().sum(-1).mean(1) / keys, valid)


def distributions(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """KL(teacher ‖ student) of every query's softmax over the valid keys, in nats.

    The losses on relations (of values, tokens or rows) have scores of this form too, and share it.

    Args:
        student, teacher: scores [b, h, t, t], of equal h.
        mask: tokens [b, t].
    """
    log_q, log_p, padded = _over_keys(student, teacher, mask)
    gap = (log_p - log_q).masked_fill(padded, 0.0)
    return over_valid((log_p.exp() * gap).sum(-1).mean(1), mask)


def _over_keys(student: Tensor, teacher: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """log q and log p over valid keys, float32 [b, h, t, t], and which keys are padding."""
    padded = ~mask.bool()[:, None, None, :]
    # Not -inf: an all-padded row does not count, but its softmax over nothing would be NaN, and
    # zero times NaN is NaN in the gradient too.
    low = -1e30
    log_q = log_softmax(student.float().masked_fill(padded, low), dim=-1)
    return log_q, log_softmax(teacher.float().masked_fill(padded, low), dim=-1), padded


def _check_equal_heads(student: Tensor, teacher: Tensor) -> None:
    if student.shape[1] != teacher.shape[1]:
        raise Misfit(
            f"unequal heads: the student has {student.shape[1]}, the teacher {teacher.shape[1]}; "
            "attention_kl_mean, attention_mse_mean and value_relation take unequal counts"
        )
