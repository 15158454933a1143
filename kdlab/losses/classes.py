"""What losses on distributions over classes share."""

from torch import Tensor
from torch.nn.functional import log_softmax

from kdlab.errors import Misfit


def log_distributions(
    student: Tensor, teacher: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """log q of the student and log p of the teacher at a temperature, float32 [..., c]."""
    if student.shape[-1] != teacher.shape[-1]:
        raise Misfit(f"{student.shape[-1]} student classes, {teacher.shape[-1]} teacher classes")
    log_q = log_softmax(student.float() / temperature, dim=-1)
    return log_q, log_softmax(teacher.float() / temperature, dim=-1)


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p ‖ q) in nats [...] of finite logarithms [..., c], summed over classes."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def by_rank(log_q: Tensor, log_p: Tensor) -> tuple[Tensor, Tensor]:
    """Both with the classes in the teacher's order, its likeliest first."""
    order = log_p.argsort(dim=-1, descending=True, stable=True)
    return log_q.gather(-1, order), log_p.gather(-1, order)
