"""Weights by the similarity of student and teacher layers."""

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn

from kdlab.errors import Misfit
from kdlab.matching import states
from kdlab.matching.inputs import MatchingInputs

NOT_CHOSEN = -1


class MonotoneCka(nn.Module):
    """Each student layer to one teacher layer, in rising order, of the largest total linear CKA.

    The similarity is Kornblith et al. 2019, arXiv 1905.00414, between the views of all valid units
    of one batch, the student's after projection. The choice is the best of all lists of distinct
    rising teacher layers (`first`, `last` and `skip` are three of them), found by dynamic
    programming; a tie goes to lower layers. The literature has no single definition of a
    CKA-optimal matching; this is the project's own.

    Args:
        students, teachers: how many layers are candidates.
        seed: unused.
        steps: updates between choices; null: the first batch decides for good.

    Attributes:
        chosen: [S] the positions of the chosen teacher layers; -1 before the first choice.

    Raises:
        Misfit: more student than teacher layers.
    """

    chosen: Tensor

    def __init__(
        self, students: int, teachers: int, seed: int, *, steps: Annotated[int, Gt(0)] | None
    ) -> None:
        super().__init__()
        if students > teachers:
            raise Misfit(
                f"{students} student layers are more than the teacher's {teachers}, "
                "which are distinct and in order"
            )
        self.teachers = teachers
        self.steps = steps
        # A buffer, so that a resumed run keeps the choice of the batch that it no longer sees.
        self.register_buffer("chosen", torch.full((students,), NOT_CHOSEN))

    def forward(self, inputs: MatchingInputs) -> Tensor:
        """Weights [S, T]: 1/S at each student layer's teacher layer, else 0.

        Raises:
            Misfit: views that are no states of rows or tokens.
        """
        if bool(self.chosen[0] == NOT_CHOSEN) or (self.steps and inputs.step % self.steps == 0):
            with torch.no_grad():
                self.chosen.copy_(torch.tensor(rising(similarities(inputs).tolist())))
        weights = torch.zeros(len(self.chosen), self.teachers, device=inputs.mask.device)
        return weights.scatter_(1, self.chosen.unsqueeze(1), 1.0 / len(self.chosen))


def similarities(inputs: MatchingInputs) -> Tensor:
    """Linear CKA [S, T] of all pairs of layers over valid units; 0 where one does not vary."""
    student, teacher = (
        [_centred(states.of_units(view, inputs.mask)) for view in views]
        for views in (inputs.student, inputs.teacher)
    )
    cross = torch.stack([torch.stack([(x.T @ y).norm() ** 2 for y in teacher]) for x in student])
    norms = [torch.stack([(x.T @ x).norm() for x in layers]) for layers in (student, teacher)]
    scale = norms[0].unsqueeze(1) * norms[1]
    # A diverging student's states are not finite: the choice must end, and so will the run.
    return torch.where(scale > 0, cross / scale, 0.0).nan_to_num()


def rising(scores: Sequence[Sequence[float]]) -> list[int]:
    """One column for each row, strictly rising, whose scores have the largest total.

    Args:
        scores: rows of equal length, at least as many columns as rows.

    Example:
        [[5, 9, 0], [0, 8, 7]] gives [1, 2]: 9 + 7 is more than 5 + 8.
    """
    columns = range(len(scores[0]))
    # Row by row, as there are too many lists to try them all (12 of 24 layers: 2.7 million).
    # best[j]: the largest total of the rows so far with all columns below j, and those columns.
    best: list[tuple[float, list[int]]] = [(0.0, [])] * (len(columns) + 1)
    for row, values in enumerate(scores):
        extended: list[tuple[float, list[int]]] = [(float("-inf"), [])]
        for column in columns:
            total, earlier = best[column]
            candidate = total + values[column], [*earlier, column]
            # Too few columns below this one leave an earlier row without a choice.
            is_better = len(earlier) == row and candidate[0] > extended[-1][0]
            extended.append(candidate if is_better else extended[-1])
        best = extended
    return best[-1][1]


def _centred(units: Tensor) -> Tensor:
    """Units [n, d] less their mean, float64."""
    # CKA takes fourth powers of the states, and a tie is decided by the last bits.
    units = units.double()
    return units - units.mean(0)
