"""One term of knowledge in training: views compared pair by pair or mixed, and what that learns.

A term whose projection is `classes` compares what layers say of the classes: linear maps, one for
each matched layer of both sides, the teacher's learned from the labels (pseudo-classifiers: Wu et
al. 2021, Universal-KD, EMNLP 2021 main 603).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from kdlab import streams
from kdlab.architecture import Architecture
from kdlab.errors import Misfit
from kdlab.matching.inputs import MatchingInputs
from kdlab.models.trace import Trace
from kdlab.options.callables import function
from kdlab.run import Matching, Term

PROJECTION_DEVIATION = 0.02
SHARED = "shared"  # the projection of all layers, or of a view without layers

Taught = Callable[[Tensor], Tensor]  # the task's loss of logits on the batch at hand


@dataclass(frozen=True)
class Moment:
    """Where training is: updates made, passes over the labelled rows, share of all updates."""

    step: int
    epoch: int
    progress: float


class TermLoss(nn.Module):
    """A term's loss, with its projections and its matching's weights.

    Args:
        term: what is compared.
        student, teacher: the dimensions of both.
        seed: of the run.
    """

    def __init__(
        self,
        term: Term,
        student: Architecture,
        teacher: Architecture,
        seed: int,
    ) -> None:
        super().__init__()
        self.term = term
        self.view: Callable[..., tuple[Tensor, Tensor]] = function(term.view)
        pairs = term.matching.pairs if term.matching else ()
        self.ours = sorted({pair[0] for pair in pairs})
        self.theirs = sorted({pair[1] for pair in pairs})
        self.projections = nn.ModuleDict()
        self.readouts = nn.ModuleDict()
        if made := term.projection:
            for place in [SHARED] if made.shared else map(str, self.ours):
                stream = term.key if place == SHARED else f"{term.key}_{place}"
                self.projections[place] = _projection(student.hidden, made.width, seed, stream)
            for layer in self.theirs if made.to_classes else ():
                stream = f"{term.key}_teacher_{layer}"
                self.readouts[str(layer)] = _projection(teacher.hidden, made.width, seed, stream)
        self.weigh: nn.Module | None = None
        if term.matching and term.matching.weigh:
            stream_key = streams.key(seed, "matching")
            self.weigh = term.matching.weigh.bind()(len(self.ours), len(self.theirs), stream_key)

    def forward(self, student: Trace, teacher: Trace, moment: Moment, taught: Taught) -> Tensor:
        """The loss, unweighted: a float32 scalar. `taught` trains the teacher's maps to classes."""
        value = self._compared(student, teacher, moment)
        if not self.readouts:
            return value
        lesson = torch.stack([taught(self._readout(teacher, layer)) for layer in self.theirs]).sum()
        return value + (lesson - lesson.detach())  # a gradient for the maps, no part of the value

    def _compared(self, student: Trace, teacher: Trace, moment: Moment) -> Tensor:
        loss = self._loss(moment.progress)
        matching = self.term.matching
        if matching is None:
            ours, mask = self._student(student)
            return loss(ours, self.view(teacher)[0], mask)
        if matching.stacked:
            (ours, mask), (theirs, _) = (
                self.view(trace, [pair[side] for pair in matching.pairs])
                for side, trace in enumerate((student, teacher))
            )
            return loss(ours, theirs, mask)
        if matching.is_mixed:
            return self._mixed(matching, loss, student, teacher, moment)
        parts = []
        for layer, other in matching.pairs:
            ours, mask = self._student(student, layer)
            parts.append(matching.pair_weight * loss(ours, self._teacher(teacher, other), mask))
        return torch.stack(parts).sum()

    def _loss(self, progress: float) -> Callable[..., Tensor]:
        changed = {
            knob: self.term.loss.knobs[knob] * schedule.bind()(progress)
            for knob, schedule in self.term.schedules.items()
            if knob != "weight"
        }
        bound = self.term.loss.bind()
        return lambda *tensors: bound(*tensors, **changed)

    def _student(self, trace: Trace, *layer: int) -> tuple[Tensor, Tensor]:
        """The student's view, projected where a projection is learned."""
        ours, mask = self.view(trace, *layer)
        place = str(*layer) if str(*layer) in self.projections else SHARED
        if place in self.projections:
            ours = self.projections[place](ours.float())
        return ours, mask

    def _teacher(self, trace: Trace, layer: int) -> Tensor:
        """The teacher's view, or what its layer says of the classes."""
        if self.readouts:
            return self._readout(trace, layer).detach()
        return self.view(trace, layer)[0]

    def _readout(self, trace: Trace, layer: int) -> Tensor:
        logits: Tensor = self.readouts[str(layer)](self.view(trace, layer)[0].float())
        return logits

    def _mixed(
        self,
        matching: Matching,
        loss: Callable[..., Tensor],
        student: Trace,
        teacher: Trace,
        moment: Moment,
    ) -> Tensor:
        """Weights over all candidates, on losses or on the teacher's views."""
        pairs = [self._student(student, layer) for layer in self.ours]
        ours, mask = [view.float() for view, _ in pairs], pairs[0][1]
        theirs = [self._teacher(teacher, layer).float() for layer in self.theirs]
        cost = cache(lambda i, j: loss(ours[i], theirs[j], mask))
        inputs = MatchingInputs(moment.step, moment.epoch, ours, theirs, mask, cost)
        weights = self._weights(matching, inputs)
        if matching.mix == "losses":
            if weights.ndim == 3:
                raise Misfit("weights that differ by row are for matching.mix=features")
            chosen = weights.nonzero().tolist()
            return torch.stack([weights[i, j] * cost(i, j) for i, j in chosen]).sum()
        parts = []
        for position, view in enumerate(ours):
            mixture, mass = _mixture(weights[..., position, :], theirs)
            parts.append(mass * loss(view, mixture, mask))
        return torch.stack(parts).sum()

    def _weights(self, matching: Matching, inputs: MatchingInputs) -> Tensor:
        if self.weigh:
            return matching.pair_weight * self.weigh(inputs)
        weights = torch.zeros(len(self.ours), len(self.theirs), device=inputs.mask.device)
        for layer, other in matching.pairs:
            place = (self.ours.index(layer), self.theirs.index(other))
            weights[place] = matching.pair_weight
        return weights


def _mixture(weights: Tensor, views: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The weighted mean of T views [b, ...] by weights [T] or [b, T], and the mean total weight."""
    total = weights.sum(-1, keepdim=True)
    share = weights / total
    share = share.reshape(*share.shape, *[1] * (views[0].ndim - 1))
    # One weight of a layer is the same for every row.
    share = share.unsqueeze(1) if weights.ndim == 1 else share.transpose(0, 1)
    return (share * torch.stack(views)).sum(0), total.mean()


def _projection(width: int, to: int, seed: int, name: str) -> nn.Linear:
    """A linear map with bias, its own random stream."""
    generator = torch.Generator().manual_seed(streams.key(seed, f"projection/{name}"))
    linear = nn.utils.skip_init(nn.Linear, width, to)
    nn.init.normal_(linear.weight, std=PROJECTION_DEVIATION, generator=generator)
    nn.init.zeros_(linear.bias)
    return linear
