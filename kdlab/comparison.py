"""One term of knowledge in training: views compared pair by pair or mixed, and what that learns."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from kdlab import streams
from kdlab.architecture import Architecture
from kdlab.build import function
from kdlab.matching.seen import Seen
from kdlab.run import Term, layers_of
from kdlab.trace import Trace

PROJECTION_DEVIATION = 0.02
SHARED = "shared"  # the projection of all layers, or of a view without layers


@dataclass(frozen=True)
class Moment:
    """Where training is: updates made, passes over the labelled rows, share of all updates."""

    step: int
    epoch: int
    progress: float


class Comparison(nn.Module):
    """A term's loss, with its projections and its matching's weights.

    Args:
        term: what is compared.
        student, teacher: the dimensions of both.
        seed: of the run.
    """

    def __init__(self, term: Term, student: Architecture, teacher: Architecture, seed: int) -> None:
        super().__init__()
        self.term = term
        self.view: Callable[..., tuple[Tensor, Tensor]] = function(term.view)
        self.stacks = layers_of(term.view) == "layers"
        self.projections = nn.ModuleDict()
        for place in _projected(term, student, teacher):
            stream = term.key if place == SHARED else f"{term.key}_{place}"
            self.projections[place] = _projection(student.hidden, teacher.hidden, seed, stream)
        self.ours = sorted({pair[0] for pair in term.pairs or ()})
        self.theirs = sorted({pair[1] for pair in term.pairs or ()})
        self.weigh: nn.Module | None = None
        if term.weigh:
            stream_key = streams.key(seed, "matching")
            self.weigh = term.weigh.bind()(len(self.ours), len(self.theirs), stream_key)

    def forward(self, student: Trace, teacher: Trace, moment: Moment) -> Tensor:
        """The loss, unweighted: a float32 scalar."""
        loss = self._loss(moment.progress)
        if self.term.pairs is None:
            ours, mask = self._student(student)
            return loss(ours, self.view(teacher)[0], mask)
        if self.stacks:
            (ours, mask), (theirs, _) = (
                self.view(trace, [pair[side] for pair in self.term.pairs])
                for side, trace in enumerate((student, teacher))
            )
            return loss(ours, theirs, mask)
        if self.weigh or self.term.mix == "features":
            return self._mixed(loss, student, teacher, moment)
        parts = []
        for layer, other in self.term.pairs:
            ours, mask = self._student(student, layer)
            parts.append(self.term.pair_weight * loss(ours, self.view(teacher, other)[0], mask))
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

    def _mixed(
        self, loss: Callable[..., Tensor], student: Trace, teacher: Trace, moment: Moment
    ) -> Tensor:
        """Weights over all candidates, on losses or on the teacher's views."""
        pairs = [self._student(student, layer) for layer in self.ours]
        ours, mask = [view.float() for view, _ in pairs], pairs[0][1]
        theirs = [self.view(teacher, layer)[0].float() for layer in self.theirs]
        cost = cache(lambda i, j: loss(ours[i], theirs[j], mask))
        weights = self._weights(Seen(moment.step, moment.epoch, ours, theirs, mask, cost))
        if self.term.mix == "losses":
            if weights.ndim == 3:
                raise ValueError("weights that differ by row are for matching.mix=features")
            chosen = weights.nonzero().tolist()
            return torch.stack([weights[i, j] * cost(i, j) for i, j in chosen]).sum()
        parts = []
        for position, view in enumerate(ours):
            mixture, mass = _mixture(weights[..., position, :], theirs)
            parts.append(mass * loss(view, mixture, mask))
        return torch.stack(parts).sum()

    def _weights(self, seen: Seen) -> Tensor:
        if self.weigh:
            return self.weigh(seen)
        weights = torch.zeros(len(self.ours), len(self.theirs), device=seen.mask.device)
        for layer, other in self.term.pairs or ():
            place = (self.ours.index(layer), self.theirs.index(other))
            weights[place] = self.term.pair_weight
        return weights


def _mixture(weights: Tensor, views: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The weighted mean of T views [b, ...] by weights [T] or [b, T], and the mean total weight."""
    total = weights.sum(-1, keepdim=True)
    share = weights / total
    share = share.reshape(*share.shape, *[1] * (views[0].ndim - 1))
    # One weight of a layer is the same for every row.
    share = share.unsqueeze(1) if weights.ndim == 1 else share.transpose(0, 1)
    return (share * torch.stack(views)).sum(0), total.mean()


def _projected(term: Term, student: Architecture, teacher: Architecture) -> list[str]:
    """The names of the projections that a term learns."""
    equal = student.hidden == teacher.hidden
    if term.projection == "none" or (term.projection == "auto" and equal):
        return []
    if term.pairs is None or term.shared:
        return [SHARED]
    return [str(layer) for layer in sorted({layer for layer, _ in term.pairs})]


def _projection(student: int, teacher: int, seed: int, name: str) -> nn.Linear:
    """A linear map with bias, its own random stream."""
    generator = torch.Generator().manual_seed(streams.key(seed, f"projection/{name}"))
    linear = nn.utils.skip_init(nn.Linear, student, teacher)
    nn.init.normal_(linear.weight, std=PROJECTION_DEVIATION, generator=generator)
    nn.init.zeros_(linear.bias)
    return linear
