"""Losses on attention scores."""

from torch import Tensor
from torch.nn.functional import log_softmax

from kdlab.losses.mean import over_valid


def kl(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """KL(teacher ‖ student) of attention distributions, in nats, mean over heads and valid queries.

    Padded keys get no probability. Wang et al. 2020, arXiv 2002.10957, equation 1; Sun et al.
    2020, arXiv 2004.02984.

    Args:
        student, teacher: scaled scores before the softmax, [b, h, t, t], queries then keys.
        mask: tokens [b, t].
    """
    if student.shape[1] != teacher.shape[1]:
        raise ValueError(
            f"unequal heads: the student has {student.shape[1]}, the teacher {teacher.shape[1]}; "
            "attention needs equal head counts, value_relation does not"
        )
    return distributions(student, teacher, mask)


def distributions(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """KL(teacher ‖ student) of row softmaxes over valid keys; scores [b, h, t, t], mask [b, t]."""
    padded = ~mask.bool()[:, None, None, :]
    # Not -inf: an all-padded row, which does not count, must have finite gradients too.
    low = -1e30
    log_q = log_softmax(student.float().masked_fill(padded, low), dim=-1)
    log_p = log_softmax(teacher.float().masked_fill(padded, low), dim=-1)
    gap = (log_p - log_q).masked_fill(padded, 0.0)
    return over_valid((log_p.exp() * gap).sum(-1).mean(1), mask)
