"""Divergences between the two distributions over classes, other than KL from the teacher.

The literature of language models has no T² here: at a temperature of its own, none of these is
scaled back. Where p and q are mixed, a weight is named for what it weighs.
"""

import math

import torch
from torch import Tensor

from kdlab.losses.classes import by_rank, divergence, log_distributions
from kdlab.losses.knobs import Share, Skew, Temperature
from kdlab.losses.mean import over_valid


def reverse_kl(
    student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: Temperature
) -> Tensor:
    """KL(student ‖ teacher) at temperature T without T², in nats per valid unit.

    Gu et al. 2024, arXiv 2306.08543 (there over sampled text, here over all classes, as in
    Agarwal et al. 2024, arXiv 2306.13649, with β = 1).

    Args:
        student, teacher: logits [..., c].
        mask: [...], true where the unit counts.
    """
    log_q, log_p = log_distributions(student, teacher, temperature)
    return over_valid(divergence(log_q, log_p), mask)


def skewed_kl(
    student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: Temperature, skew: Skew
) -> Tensor:
    """KL(p ‖ skew p + (1 − skew) q) of teacher p and student q at T without T², in nats.

    Ko et al. 2024, arXiv 2402.03898 (their α). Their code leaves out the teacher's entropy, which
    has no gradient. Skew 0 is KL(p ‖ q).

    Args:
        student, teacher: logits [..., c].
        mask: [...], true where the unit counts.
    """
    log_q, log_p = log_distributions(student, teacher, temperature)
    return over_valid(divergence(log_p, _mixture(log_p, log_q, skew)), mask)


def skewed_reverse_kl(
    student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: Temperature, skew: Skew
) -> Tensor:
    """KL(q ‖ skew q + (1 − skew) p) of teacher p and student q at T without T², in nats.

    Ko et al. 2024, arXiv 2402.03898 (their α). Skew 0 is KL(q ‖ p).

    Args:
        student, teacher: logits [..., c].
        mask: [...], true where the unit counts.
    """
    log_q, log_p = log_distributions(student, teacher, temperature)
    return over_valid(divergence(log_q, _mixture(log_q, log_p, skew)), mask)


def adaptive_kl(
    student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: Temperature, head_mass: Share
) -> Tensor:
    """w KL(p ‖ q) + (1 − w) KL(q ‖ p), w the head's share of Σ |p − q|, at T without T², in nats.

    A unit's head is the fewest of the teacher's likeliest classes that have `head_mass` (their μ)
    together; w is a unit's own, and a constant to the gradient. Wu et al. 2025, arXiv 2404.02657.
    DSKD's code agrees where μ is 1/2; the authors' leaves the class that reaches μ to the tail
    unless it is the first.

    Args:
        student, teacher: logits [..., c]; with c = 2, w is always 1/2.
        mask: [...], true where the unit counts.
    """
    log_q, log_p = by_rank(*log_distributions(student, teacher, temperature))
    p = log_p.exp()
    # The weights are fitted to the gap at hand, and are not themselves to be trained.
    gap = (p - log_q.exp()).abs().detach()
    # The mass before each class, without its own, so that the class which reaches `head_mass` is
    # the head's last.
    head = p.cumsum(-1) - p < head_mass
    total = gap.sum(-1)
    share = gap.masked_fill(~head, 0.0).sum(-1) / torch.where(total > 0, total, 1.0)
    values = share * divergence(log_p, log_q) + (1 - share) * divergence(log_q, log_p)
    return over_valid(values, mask)


def jensen_shannon(
    student: Tensor,
    teacher: Tensor,
    mask: Tensor,
    *,
    temperature: Temperature,
    teacher_share: Share,
) -> Tensor:
    """β KL(p ‖ m) + (1 − β) KL(q ‖ m), m = βp + (1 − β)q, at T without T², in nats.

    β is `teacher_share`: the weight of the teacher p. Agarwal et al. 2024, arXiv 2306.13649.
    It vanishes as β nears 0 or 1 (over β it nears KL(p ‖ q), over 1 − β KL(q ‖ p)); TRL's code
    jumps to these KLs at the ends, which are refused here.

    Args:
        student, teacher: logits [..., c].
        mask: [...], true where the unit counts.
    """
    log_q, log_p = log_distributions(student, teacher, temperature)
    log_m = _mixture(log_p, log_q, teacher_share)
    student_kl, teacher_kl = divergence(log_q, log_m), divergence(log_p, log_m)
    return over_valid(teacher_share * teacher_kl + (1 - teacher_share) * student_kl, mask)


def total_variation(
    student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: Temperature
) -> Tensor:
    """½ Σ |p − q| at temperature T without T², between 0 and 1, mean over valid units.

    Wen et al. 2023, arXiv 2307.15190. At equality, where it has a kink, the gradient is zero.

    Args:
        student, teacher: logits [..., c].
        mask: [...], true where the unit counts.
    """
    log_q, log_p = log_distributions(student, teacher, temperature)
    return over_valid((log_p.exp() - log_q.exp()).abs().sum(-1) / 2, mask)


def _mixture(log_a: Tensor, log_b: Tensor, share: float) -> Tensor:
    """log(share a + (1 − share) b), in logarithms so that nothing underflows."""
    if share == 0:  # whose logarithm Python refuses
        return log_b
    return torch.logaddexp(log_a + math.log(share), log_b + math.log1p(-share))
