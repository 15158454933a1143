"""What a student minimises: the task's loss plus weighted terms over matched layers."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdlab import streams
from kdlab.architecture import Architecture
from kdlab.build import function
from kdlab.run import Run, Term
from kdlab.trace import Trace

HARD = "hard"
PROJECTION_DEVIATION = 0.02


class Objective(nn.Module):
    """The losses of one run, and the projections that they learn.

    Args:
        run: the run; its teacher's dimensions are `teacher`, None without terms.
    """

    def __init__(self, run: Run, teacher: Architecture | None) -> None:
        super().__init__()
        self.classes = run.task.classes
        self.terms = run.terms
        self.weights = {HARD: run.hard_weight} | {term.key: term.weight for term in run.terms}
        self.projections = nn.ModuleDict()
        for term in run.terms:
            for layer in _projected(term, run.student, teacher):
                assert teacher is not None
                name = f"{term.key}_{layer}"
                linear = _projection(run.student.hidden, teacher.hidden, run.seed, name)
                self.projections[name] = linear

    def forward(self, student: Trace, teacher: Trace | None, labels: Tensor) -> dict[str, Tensor]:
        """Every loss by name, unweighted: float32 scalars."""
        losses = {HARD: hard(student.logits, labels, self.classes)}
        for term in self.terms:
            assert teacher is not None
            losses[term.key] = self._term(term, student, teacher)
        return losses

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum that is minimised."""
        return torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum()

    def _term(self, term: Term, student: Trace, teacher: Trace) -> Tensor:
        view: Callable[..., tuple[Tensor, Tensor]] = function(term.view)
        loss = term.loss.bind()
        if term.pairs is None:
            (ours, mask), (theirs, _) = view(student), view(teacher)
            return loss(ours, theirs, mask)
        parts = []
        for layer, other in term.pairs:
            (ours, mask), (theirs, _) = view(student, layer), view(teacher, other)
            if (name := f"{term.key}_{layer}") in self.projections:
                ours = self.projections[name](ours.float())
            parts.append(term.pair_weight * loss(ours, theirs, mask))
        return torch.stack(parts).sum()


def hard(logits: Tensor, labels: Tensor, classes: int | None) -> Tensor:
    """The task's loss: cross-entropy in nats, or squared error; mean over labelled rows, else zero.

    Args:
        logits: [b, classes]; of masked-LM [n, vocabulary].
        labels: [b]; of masked-LM [n]. Numbers of classes or tokens with -100 for none, or numbers
            with NaN for none.
    """
    known = ~labels.isnan() if classes == 1 else labels != -100
    if not known.any():
        return logits.float().sum() * 0.0
    if classes == 1:
        return functional.mse_loss(logits.float()[known, 0], labels[known])
    return functional.cross_entropy(logits.float(), labels, ignore_index=-100)


def wanted(run: Run) -> tuple[frozenset[int], frozenset[int]]:
    """The student's and the teacher's layers that some term looks at."""
    pairs = [pair for term in run.terms for pair in term.pairs or ()]
    return frozenset(pair[0] for pair in pairs), frozenset(pair[1] for pair in pairs)


def _projected(term: Term, student: Architecture, teacher: Architecture | None) -> list[int]:
    if term.projection == "none" or not term.pairs or not teacher:
        return []
    if student.hidden == teacher.hidden:
        return []
    return sorted({layer for layer, _ in term.pairs})


def _projection(student: int, teacher: int, seed: int, name: str) -> nn.Linear:
    """A linear map with bias, its own random stream."""
    generator = torch.Generator().manual_seed(streams.key(seed, f"projection/{name}"))
    linear = nn.utils.skip_init(nn.Linear, student, teacher)
    nn.init.normal_(linear.weight, std=PROJECTION_DEVIATION, generator=generator)
    nn.init.zeros_(linear.bias)
    return linear
