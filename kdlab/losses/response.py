"""Losses on outputs: logits of classes or of a vocabulary."""

from typing import Annotated

from annotated_types import Gt
from torch import Tensor

from kdlab.losses.classes import divergence, log_distributions
from kdlab.losses.knobs import Temperature
from kdlab.losses.mean import over_valid
from kdlab.misfit import Misfit

SMALLEST_VARIANCE = 1e-12  # of logits that are standardised: equal logits stay equal


def kl(student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: Temperature) -> Tensor:
    """T² KL(teacher ‖ student) at temperature T, in nats per valid unit, summed over classes.

    Hinton et al. 2015, arXiv 1503.02531. PKD's code (arXiv 1908.09355) takes the mean over
    classes as well, which is 1/c of this.

    Args:
        student, teacher: logits [..., c].
        mask: [...], true where the unit counts.
    """
    log_q, log_p = log_distributions(student, teacher, temperature)
    return temperature**2 * over_valid(divergence(log_p, log_q), mask)


def cross_entropy(
    student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: Temperature
) -> Tensor:
    """−T² Σ p log q of teacher p and student q at temperature T, in nats per valid unit.

    Hinton et al. 2015, arXiv 1503.02531. Not zero at equality: it is `kl` plus T² times the
    teacher's entropy, with the same gradient. TextBrewer's kd_ce is 1/T² of this.

    Args:
        student, teacher: logits [..., c].
        mask: [...], true where the unit counts.
    """
    log_q, log_p = log_distributions(student, teacher, temperature)
    return -(temperature**2) * over_valid((log_p.exp() * log_q).sum(-1), mask)


def standardised_kl(
    student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: Temperature
) -> Tensor:
    """T² KL(teacher ‖ student) at temperature T of logits standardised by unit, in nats.

    Each unit's logits less their mean, over their standard deviation (c − 1 in its denominator), so
    that neither's shift nor scale matters. Sun et al. 2024, arXiv 2403.01427, after their code.

    Args:
        student, teacher: logits [..., c]; with c = 2 only their order is left, without a gradient.
        mask: [...], true where the unit counts.
    """
    return kl(_standardised(student), _standardised(teacher), mask, temperature=temperature)


def _standardised(logits: Tensor) -> Tensor:
    values = logits.float()
    variance = values.var(-1, keepdim=True).clamp(min=SMALLEST_VARIANCE)
    return (values - values.mean(-1, keepdim=True)) / variance.sqrt()


def mse(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Squared difference of logits, mean over classes and valid units (no temperature).

    Ba and Caruana 2014, arXiv 1312.6184; Kim et al. 2021, arXiv 2105.08919.

    Args:
        student, teacher: logits [..., c].
        mask: [...], true where the unit counts.
    """
    if student.shape[-1] != teacher.shape[-1]:
        raise Misfit(f"{student.shape[-1]} student outputs, {teacher.shape[-1]} teacher outputs")
    return over_valid((student.float() - teacher.float()).square().mean(-1), mask)


def annealed_mse(
    student: Tensor, teacher: Tensor, mask: Tensor, *, teacher_scale: Annotated[float, Gt(0)]
) -> Tensor:
    """`mse` to the teacher's logits times `teacher_scale`, which a schedule raises to one.

    Jafari et al. 2021, arXiv 2104.07163 (Annealing-KD, phase 1), whose Φ(t) is the scale; their
    code takes the mean over classes, as here.

    Args:
        student, teacher: logits [..., c].
        mask: [...], true where the unit counts.
    """
    return mse(student, teacher.float() * teacher_scale, mask)
