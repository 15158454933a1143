"""What a student minimises: the task's loss plus weighted terms over matched layers."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdlab.architecture import Architecture
from kdlab.models.trace import Trace
from kdlab.objective.term_loss import Moment, TermLoss
from kdlab.run import Run

HARD = "hard"


class Objective(nn.Module):
    """The losses of one run, and what they learn.

    Args:
        run: the run; its teacher's dimensions are `teacher`, None without terms.
        steps: updates of the whole training, for schedules and matchings that change.
    """

    def __init__(self, run: Run, teacher: Architecture | None, steps: int) -> None:
        super().__init__()
        self.run = run
        self.steps = steps
        self.terms = nn.ModuleDict()
        for term in run.terms:
            assert teacher is not None
            self.terms[term.key] = TermLoss(term, run.student, teacher, run.seed)

    def forward(
        self, student: Trace, teacher: Trace | None, labels: Tensor, step: int
    ) -> dict[str, Tensor]:
        """Every loss by name, unweighted: float32 scalars; `step` updates were made before."""
        losses = {HARD: hard(student.logits, labels, self.run.task.classes)}
        moment = Moment(step, step * self.run.train.epochs // self.steps, step / self.steps)
        taught = partial(hard, labels=labels, classes=self.run.task.classes)
        for key, term in self.terms.items():
            losses[key] = term(student, teacher, moment, taught)
        return losses

    def weights(self, step: int) -> dict[str, float]:
        """The weight of every loss after `step` updates."""
        schedules = {HARD: self.run.hard_schedules} | {
            term.key: term.schedules for term in self.run.terms
        }
        fixed = {HARD: self.run.hard_weight} | {term.key: term.weight for term in self.run.terms}
        return {
            name: weight * schedules[name]["weight"].bind()(step / self.steps)
            if "weight" in schedules[name]
            else weight
            for name, weight in fixed.items()
        }

    def total(self, losses: Mapping[str, Tensor], step: int) -> Tensor:
        """The weighted sum that is minimised."""
        weights = self.weights(step)
        return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()

    def learned(self) -> list[tuple[list[nn.Parameter], float | None]]:
        """Parameters of the terms, and the learning rate that their term asks for."""
        return [
            (
                list(self.terms[term.key].parameters()),
                term.projection.lr if term.projection else None,
            )
            for term in self.run.terms
        ]


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
    pairs = [pair for term in run.terms if term.matching for pair in term.matching.pairs]
    return frozenset(pair[0] for pair in pairs), frozenset(pair[1] for pair in pairs)
