"""Weights of teacher layers that are drawn anew during training."""

from random import Random
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn

from kdlab.errors import Misfit
from kdlab.matching.inputs import MatchingInputs


class RandomDraw(nn.Module):
    """S of the T teacher layers at random, in rising order, drawn anew every epoch or some steps.

    Haidar et al. 2021, arXiv 2109.10164 (RAIL-KD, layer by layer), whose candidates leave out the
    last layers. A draw depends on the seed and the period alone: nothing is remembered, and a
    resumed run draws what an unbroken one would. The paper's own loss (mean-pooled tokens,
    projected on both sides and normalised) is the term's matter.

    Args:
        students, teachers: how many layers are candidates.
        seed: of the draws; equal in all terms of a run, which so draw alike.
        steps: updates between draws; null: one draw an epoch, as in the paper.

    Raises:
        Misfit: more student than teacher layers.
    """

    def __init__(
        self, students: int, teachers: int, seed: int, *, steps: Annotated[int, Gt(0)] | None
    ) -> None:
        super().__init__()
        if students > teachers:
            raise Misfit(
                f"{students} student layers are more than the teacher's {teachers} to draw from"
            )
        self.students, self.teachers = students, teachers
        self.seed = seed
        self.steps = steps

    def forward(self, inputs: MatchingInputs) -> Tensor:
        """Weights [S, T]: 1/S at each student layer's drawn teacher layer, else 0."""
        # From the step alone: a generator that goes on would have to be saved for an exact resume.
        period = inputs.epoch if self.steps is None else inputs.step // self.steps
        weights = torch.zeros(self.students, self.teachers, device=inputs.mask.device)
        weights[range(self.students), self._draw(period)] = 1.0 / self.students
        return weights

    def _draw(self, period: int) -> list[int]:
        """The 0-based positions of the teacher layers in a period."""
        # `Random` hashes a string by SHA-512; Python's own `hash` differs between processes.
        random = Random(f"{self.seed}/{period}")
        return sorted(random.sample(range(self.teachers), self.students))
