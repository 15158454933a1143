"""Weights by how alike the layers of both sides are."""

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn

from kdlab.errors import Misfit
from kdlab.matching import states
from kdlab.matching.inputs import MatchingInputs

UNSEEN = -1


class MonotoneCka(nn.Module):
    """Each student layer to one teacher layer, in rising order, of the largest total linear CKA.

    The similarity is Kornblith et al. 2019, arXiv 1905.00414, between the views of all valid units
    of one batch, the student's after projection. The choice is the best of all lists of distinct
    rising teacher layers (`first`, `last` and `skip` are three of them), found by dynamic
    programming; a tie goes to lower layers. The literature has no one definition
    of CKA-optimal matching; this is ours.

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
        self.register_buffer("chosen", torch.full((students,), UNSEEN))

    def forward(self, seen: MatchingInputs) -> Tensor:
        """Weights [S, T]: 1/S at each student layer's teacher layer, else 0.

        Raises:
            Misfit: views that are no states of rows or tokens.
        """
        if bool(self.chosen[0] == UNSEEN) or (self.steps and seen.step % self.steps == 0):
            with torch.no_grad():
                self.chosen.copy_(torch.tensor(rising(similarities(seen).tolist())))
        weights = torch.zeros(len(self.chosen), self.teachers, device=seen.mask.device)
        return weights.scatter_(1, self.chosen.unsqueeze(1), 1.0 / len(self.chosen))


def similarities(seen: MatchingInputs) -> Tensor:
    """Linear CKA [S, T] of all pairs of layers over valid units; 0 where one does not vary."""
    ours, theirs = (
        [_centred(states.of_units(view, seen.mask)) for view in views]
        for views in (seen.student, seen.teacher)
    )
    found = torch.stack([torch.stack([(x.T @ y).norm() ** 2 for y in theirs]) for x in ours])
    own = [torch.stack([(x.T @ x).norm() for x in views]) for views in (ours, theirs)]
    norm = own[0].unsqueeze(1) * own[1]
    return torch.where(norm > 0, found / norm, 0.0).nan_to_num()


def rising(scores: Sequence[Sequence[float]]) -> list[int]:
    """One column for each row, strictly rising, of the largest total.

    Args:
        scores: rows of equal length, at least as many columns as rows.
    """
    columns = range(len(scores[0]))
    # best[j]: the largest total so far, and its columns, with the last of them below j.
    best: list[tuple[float, list[int]]] = [(0.0, [])] * (len(columns) + 1)
    for row, values in enumerate(scores):
        found: list[tuple[float, list[int]]] = [(float("-inf"), [])]
        for column in columns:
            total, picked = best[column]
            here = total + values[column], [*picked, column]
            usable = len(picked) == row and here[0] > found[-1][0]
            found.append(here if usable else found[-1])
        best = found
    return best[-1][1]


def _centred(units: Tensor) -> Tensor:
    units = units.double()
    return units - units.mean(0)
