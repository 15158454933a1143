"""KL from the teacher's few likeliest classes, as where its outputs are stored truncated."""

from torch import Tensor

from kdlab.errors import Misfit
from kdlab.losses.classes import by_rank, divergence, log_distributions, with_rest
from kdlab.losses.knobs import Classes, Temperature
from kdlab.losses.mean import over_valid


def top_k_kl(
    student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: Temperature, k: Classes
) -> Tensor:
    """T² KL(p̃ ‖ q) at temperature T, p̃ the teacher's k likeliest classes renormalised, in nats.

    Anshumann et al. 2025, arXiv 2503.16870, who show its bias: q stays normalised over all
    classes, so the optimum is q = p̃, not the teacher. Not zero at equality (−T² log of the mass of
    the k classes). With k = c it is `response.kl`.

    Args:
        student, teacher: logits [..., c], c ≥ k.
        mask: [...], true where the unit counts.
    """
    log_q, log_p = _ranked(student, teacher, temperature, k)
    # The teacher alone: the student's mass on other classes stays a mistake that it pays for.
    renormalised = log_p[..., :k].log_softmax(-1)
    return temperature**2 * over_valid(divergence(renormalised, log_q[..., :k]), mask)


def top_k_tail_kl(
    student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: Temperature, k: Classes
) -> Tensor:
    """T² KL(teacher ‖ student) at temperature T, all but k classes taken as one, in nats.

    The k are the teacher's likeliest; a bucket has the summed mass of the rest, so that nothing is
    renormalised and the optimum differs from the teacher only within the rest. At most
    `response.kl`, and equal to it with k ≥ c − 1. On truncation: Anshumann et al. 2025, arXiv
    2503.16870; the bucket is that of DistillKit's code (symmetric uniform).

    Args:
        student, teacher: logits [..., c], c ≥ k.
        mask: [...], true where the unit counts.
    """
    log_q, log_p = _ranked(student, teacher, temperature, k)
    if k < log_p.shape[-1]:  # else there is no rest, and the logarithm of its mass is -inf
        log_q, log_p = with_rest(log_q, k), with_rest(log_p, k)
    return temperature**2 * over_valid(divergence(log_p, log_q), mask)


def _ranked(student: Tensor, teacher: Tensor, temperature: float, k: int) -> tuple[Tensor, Tensor]:
    """log q and log p [..., c] in the teacher's order, its likeliest class first."""
    if k > teacher.shape[-1]:
        raise Misfit(f"k={k}: at most the number of classes, {teacher.shape[-1]}")
    return by_rank(*log_distributions(student, teacher, temperature))
