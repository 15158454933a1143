"""Losses on outputs: logits of classes or of a vocabulary."""

from typing import Annotated

from annotated_types import Gt
from torch import Tensor
from torch.nn.functional import log_softmax

from kdlab.losses.mean import over_valid


def kl(
    student: Tensor, teacher: Tensor, mask: Tensor, *, temperature: Annotated[float, Gt(0)]
) -> Tensor:
    """T² KL(teacher ‖ student) at temperature T, in nats per valid unit, summed over classes.

    Hinton et al. 2015, arXiv 1503.02531. PKD's code (arXiv 1908.09355) takes the mean over
    classes as well, which is 1/c of this.

    Args:
        student, teacher: logits [..., c].
        mask: [...], true where the unit counts.
    """
    if student.shape[-1] != teacher.shape[-1]:
        raise ValueError(
            f"{student.shape[-1]} student classes, {teacher.shape[-1]} teacher classes"
        )
    log_q = log_softmax(student.float() / temperature, dim=-1)
    log_p = log_softmax(teacher.float() / temperature, dim=-1)
    return temperature**2 * over_valid((log_p.exp() * (log_p - log_q)).sum(-1), mask)


def mse(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Squared difference of logits, mean over classes and valid units (no temperature).

    Ba and Caruana 2014, arXiv 1312.6184; Kim et al. 2021, arXiv 2105.08919.

    Args:
        student, teacher: logits [..., c].
        mask: [...], true where the unit counts.
    """
    if student.shape[-1] != teacher.shape[-1]:
        raise ValueError(
            f"{student.shape[-1]} student outputs, {teacher.shape[-1]} teacher outputs"
        )
    return over_valid((student.float() - teacher.float()).square().mean(-1), mask)
