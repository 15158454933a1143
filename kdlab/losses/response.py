"""Losses on outputs: logits of classes or of a vocabulary."""

from typing import Annotated

from annotated_types import Gt
from torch import Tensor

from kdlab.errors import Misfit
from kdlab.losses.classes import log_distributions
from kdlab.losses.knobs import Reduction, Temperature
from kdlab.losses.mean import over_last, over_valid

SMALLEST_VARIANCE = 1e-12  # of logits that are standardised: equal logits stay equal


def kl(
    student: Tensor,
    teacher: Tensor,
    mask: Tensor,
    *,
    temperature: Temperature,
    reduction: Reduction,
) -> Tensor:
    """T² KL(teacher ‖ student) at temperature T, in nats per valid unit.

    Hinton et al. 2015, arXiv 1503.02531. KL is a sum over classes; `reduction: mean` is 1/c of it,
    as in PKD's code (Sun et al. 2019, arXiv 1908.09355: `F.kl_div` with its own mean over all
    elements), whose weights for this term are for tasks of any number of classes only so.

    Args:
        student, teacher: logits [..., c].
        mask: [...], true where the unit counts.
        reduction: over the classes.
    """
    log_q, log_p = log_distributions(student, teacher, temperature)
    by_unit = over_last(log_p.exp() * (log_p - log_q), reduction)
    # Gradients shrink by 1/T²: without the factor, T would also change this term's weight.
    return temperature**2 * over_valid(by_unit, mask)


def cross_entropy(
    student: Tensor,
    teacher: Tensor,
    mask: Tensor,
    *,
    temperature: Temperature,
    reduction: Reduction,
) -> Tensor:
    """−T² Σ p log q of teacher p and student q at temperature T, in nats per valid unit.

    Hinton et al. 2015, arXiv 1503.02531. Not zero at equality: it is `kl` plus T² times the
    teacher's entropy, with the same gradient. TextBrewer's kd_ce is 1/T² of this. With `reduction:
    mean` it is 1/c, as in the code of TinyBERT (Jiao et al. 2020, arXiv 1909.10351) and BERT-EMD
    (Li et al. 2020, arXiv 2010.06133).

    Args:
        student, teacher: logits [..., c].
        mask: [...], true where the unit counts.
        reduction: over the classes.
    """
    log_q, log_p = log_distributions(student, teacher, temperature)
    by_unit = over_last(log_p.exp() * log_q, reduction)
    return -(temperature**2) * over_valid(by_unit, mask)


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
    student, teacher = _standardised(student), _standardised(teacher)
    return kl(student, teacher, mask, temperature=temperature, reduction="sum")


def _standardised(logits: Tensor) -> Tensor:
    values = logits.float()
    # Before the root, whose gradient at zero is infinite.
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
