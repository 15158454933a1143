"""What losses on distributions over classes share."""

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from kdlab.errors import Misfit


def log_distributions(
    student: Tensor, teacher: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """log q of the student and log p of the teacher at a temperature, float32 [..., c]."""
    if student.shape[-1] != teacher.shape[-1]:
        raise Misfit(f"{student.shape[-1]} student classes, {teacher.shape[-1]} teacher classes")
    # Of the logits themselves: the logarithm of a softmax that rounds to 0 would be -inf.
    log_q = log_softmax(student.float() / temperature, dim=-1)
    return log_q, log_softmax(teacher.float() / temperature, dim=-1)


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p ‖ q) in nats [...] of finite logarithms [..., c], summed over classes."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def by_rank(log_q: Tensor, log_p: Tensor) -> tuple[Tensor, Tensor]:
    """Both with the classes in the teacher's order, its likeliest first."""
    # Stable: classes that the teacher finds equally likely must not change places in a repeat.
    order = log_p.argsort(dim=-1, descending=True, stable=True)
    return log_q.gather(-1, order), log_p.gather(-1, order)


def with_rest(logs: Tensor, k: int) -> Tensor:
    """Log probabilities of the first k classes, and of all others together [..., k + 1]."""
    return torch.cat([logs[..., :k], logs[..., k:].logsumexp(-1, keepdim=True)], dim=-1)
