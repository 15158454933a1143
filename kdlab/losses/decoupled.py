"""Decoupled distillation: the target class is compared apart from the others."""

from torch import Tensor

from kdlab.losses.classes import by_rank, divergence, log_distributions, with_rest
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
    # The target is the teacher's likeliest class, which by rank is the first of both sides.
    target = divergence(with_rest(log_p, 1), with_rest(log_q, 1))
    # A log_softmax of log probabilities divides by their sum: the others alone sum to 1 again.
    others = divergence(log_p[..., 1:].log_softmax(-1), log_q[..., 1:].log_softmax(-1))
    return temperature**2 * over_valid(target_weight * target + others_weight * others, mask)
