"""Weights that move knowledge from teacher layers to student layers at the least cost."""

from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn

from kdlab.matching.inputs import MatchingInputs

FLOOR = 1e-6  # the smallest weight of a layer: with none it would have no unit cost
SMALLEST_COST = 1e-12  # of a layer that costs nothing: its unit cost, as a share of the total


class EarthMover(nn.Module):
    """The optimal flow between the layers of both sides, whose weights follow its costs.

    Li et al. 2020, arXiv 2010.06133 (BERT-EMD). The flow F solves the transport problem whose
    costs are the term's losses of all pairs and whose marginals are the layers' weights, uniform
    at first; the loss is sum(F * cost), with gradient through the cost alone. After each step a
    layer's unit cost C (what its weight pays, per weight) gives its next weight: with
    h = sum(C) / C, h / sum(h) at temperature null, as in the released code since 2021 (whose T_emd
    nothing reads), or softmax(h / temperature) as in the paper.

    Differences from the released code: the weights have a floor of 1e-6, for a layer whose weight
    underflows has no unit cost (0 / 0 there); a layer that costs nothing gets the largest weight
    (there the least); where all cost nothing, the weights stay. Each term has weights of its own,
    as in that code with `seperate`. Its first release took a second softmax by default.

    Args:
        students, teachers: how many layers are candidates.
        seed: unused.
        temperature: of the softmax; null for no softmax.

    Attributes:
        student_weights: [S] float64, total 1; the mass that each student layer receives next.
        teacher_weights: [T] float64, total 1.
    """

    student_weights: Tensor
    teacher_weights: Tensor

    def __init__(
        self,
        students: int,
        teachers: int,
        seed: int,
        *,
        temperature: Annotated[float, Gt(0)] | None,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        for name, count in (("student_weights", students), ("teacher_weights", teachers)):
            self.register_buffer(name, torch.full((count,), 1.0 / count, dtype=torch.float64))

    def forward(self, inputs: MatchingInputs) -> Tensor:
        """The flow [S, T] float32, total 1; the weights move on."""
        rows, columns = range(len(inputs.student)), range(len(inputs.teacher))
        cost = torch.stack([torch.stack([inputs.cost(i, j) for j in columns]) for i in rows])
        cost = cost.detach().double()
        if not cost.isfinite().all():  # there is no cheapest flow; the run will end as diverged
            return torch.full_like(cost, 1.0 / cost.numel(), dtype=torch.float32)
        flow = _flow(self.student_weights, self.teacher_weights, cost)
        # Its rows sum to what each student layer pays, its columns to what each teacher layer pays.
        paid = flow * cost
        for weights, of_layer in (
            (self.student_weights, paid.sum(1)),
            (self.teacher_weights, paid.sum(0)),
        ):
            # In place: they are buffers, which a checkpoint has.
            weights.copy_(reweighed(weights, of_layer / weights, self.temperature))
        return flow.float()


def reweighed(weights: Tensor, unit_costs: Tensor, temperature: float | None) -> Tensor:
    """The next weights [n] of layers from their unit costs [n]: the cheaper, the larger."""
    total = unit_costs.sum()
    if total == 0:  # no layer is cheaper than another
        return weights
    cheapness = total / unit_costs.clamp(min=SMALLEST_COST * total)
    if temperature is None:
        shares = cheapness / cheapness.sum()
    else:
        shares = torch.softmax(cheapness / temperature, 0)
    floored = shares.clamp(min=FLOOR)
    return floored / floored.sum()


def _flow(students: Tensor, teachers: Tensor, cost: Tensor) -> Tensor:
    """The cheapest flow [S, T] with marginals `students` [S] and `teachers` [T], all float64."""
    from ot import emd  # slow to import, and no other matching needs it

    return torch.as_tensor(
        emd(students.cpu().numpy(), teachers.cpu().numpy(), cost.cpu().numpy()),
        device=cost.device,
    )
