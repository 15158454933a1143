"""What a module that weighs the pairs of a matching is given in one step."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class MatchingInputs:
    """One step of one term, for the S student and T teacher layers of its pairs, in order of depth.

    Attributes:
        step: updates made before this one.
        epoch: passes over the labelled rows before this one.
        student: S views of the student's layers, after projection, float32.
        teacher: T views of the teacher's layers, float32.
        mask: true at the views' valid units.
        cost: the term's loss of the i-th student and the j-th teacher layer, with gradient.
    """

    step: int
    epoch: int
    student: list[Tensor]
    teacher: list[Tensor]
    mask: Tensor
    cost: Callable[[int, int], Tensor]
