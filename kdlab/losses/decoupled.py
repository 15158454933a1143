"""Decoupled distillation: the target class is compared apart from the others."""

import torch
from torch import Tensor

from kdlab.losses.classes import by_rank, divergence, log_distributions
from kdlab.losses.knobs import Temperature, Weight
from kdlab.losses.mean import over_valid


def dkd(
    student: Tensor,
    teacher: Tensor,
    mask: Tensor,
    *,
    temperature: Temperature,
    target_weight: Weight,
    others_weight: Weight,
) -> Tensor:
    """T² (α TCKD + β NCKD) at temperature T, in nats per valid unit.

    TCKD is KL(teacher ‖ student) of the target against all other classes, weighed by α
    (`target_weight`); NCKD is that among the others, renormalised, weighed by β (`others_weight`).
    Per unit, KL is TCKD + (1 − p_target) NCKD. Zhao et al. 2022, arXiv 2203.08679, whose target is
    the label; here it is the teacher's likeliest class, so that rows without a label count too.

    Args:
        student, teacher: logits [..., c], c ≥ 2.
        mask: [...], true where the unit counts.
    """
    log_q, log_p = by_rank(*log_distributions(student, teacher, temperature))
    target = divergence(_binary(log_p), _binary(log_q))
    others = divergence(log_p[..., 1:].log_softmax(-1), log_q[..., 1:].log_softmax(-1))
    return temperature**2 * over_valid(target_weight * target + others_weight * others, mask)


def _binary(logs: Tensor) -> Tensor:
    """log of the first class and of all the others together [..., 2]."""
    return torch.cat([logs[..., :1], logs[..., 1:].logsumexp(-1, keepdim=True)], dim=-1)
