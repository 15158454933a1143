"""Weights by attention of a student's layers over the teacher's."""

from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn

from kdlab.errors import Misfit
from kdlab.matching import states
from kdlab.matching.inputs import MatchingInputs


class LayerAttention(nn.Module):
    """Row by row, softmax over teacher layers of the dot product of [CLS] states.

    Passban et al. 2020, arXiv 2012.14022 (ALP-KD, all teacher layers): for `mix: features`, so
    that a student layer meets sum_j a_ij h_j. Nothing is learned here; the gradient flows through
    the weights as well, as in GLMKD's implementation. Student states are the projected ones.

    Differences from the paper: a student layer's weights sum to 1/S, so that the term has total
    mass one (the paper adds up the layers' losses, which is `matching.mass: layers`); a view of one
    state a row (such as mean-pooled tokens) has that state in the place of [CLS].

    Args:
        students, teachers: how many layers are candidates.
        seed: unused.
        temperature: what dot products are divided by; the paper has 1.
    """

    def __init__(
        self, students: int, teachers: int, seed: int, *, temperature: Annotated[float, Gt(0)]
    ) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, inputs: MatchingInputs) -> Tensor:
        """Weights [b, S, T], of total 1/S over the teacher's layers.

        Raises:
            Misfit: views that are no states of rows or tokens, or of unequal widths.
        """
        student = torch.stack([states.of_rows(view) for view in inputs.student], dim=1)
        teacher = torch.stack([states.of_rows(view) for view in inputs.teacher], dim=1)
        if student.shape[-1] != teacher.shape[-1]:
            raise Misfit(
                f"attention over layers needs equal widths, not {student.shape[-1]} and "
                f"{teacher.shape[-1]}; projection: auto learns a linear map"
            )
        # Over teacher layers: each student layer's weights have the same total in every row.
        scores = student @ teacher.transpose(1, 2) / self.temperature
        return scores.softmax(dim=-1) / len(inputs.student)
