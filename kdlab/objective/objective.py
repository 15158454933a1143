"""What a student minimises: the task's loss plus weighted terms of knowledge.

total = hard.weight * task_loss + Σ term.weight * term_loss
"""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdlab.architecture import Architecture
from kdlab.metrics import Kind
from kdlab.models.trace import Trace
from kdlab.objective.term_loss import Moment, TermLoss
from kdlab.run import Run

HARD = "hard"  # the name of the task's loss among the losses


class Objective(nn.Module):
    """The losses of one run, and what they learn (projections, pseudo-classifiers).

    Args:
        run: its terms and weights.
        teacher: the teacher's dimensions; None for a run without terms.
        steps: updates of the whole training, over which schedules are spread.
    """

    def __init__(self, run: Run, teacher: Architecture | None, steps: int) -> None:
        super().__init__()
        self.run = run
        self.steps = steps
        self.terms = nn.ModuleDict()
        for term in run.terms:
            assert teacher is not None  # which a run with terms has
            self.terms[term.key] = TermLoss(term, run.student, teacher, run.seed)

    def forward(
        self, student: Trace, teacher: Trace | None, labels: Tensor, step: int
    ) -> dict[str, Tensor]:
        """Every loss by name, unweighted: float32 scalars.

        Args:
            student, teacher: forward passes over the same batch; no teacher without terms.
            labels: as in `task_loss`.
            step: updates made before this one.
        """
        loss_of_logits = partial(task_loss, labels=labels, kind=self.run.task.kind)
        losses = {HARD: loss_of_logits(student.logits)}
        # The epoch in integers: step / steps * epochs is rounded, and may fall just short of one.
        moment = Moment(step, step * self.run.train.epochs // self.steps, step / self.steps)
        for key, term in self.terms.items():
            losses[key] = term(student, teacher, moment, loss_of_logits)
        return losses

    def weights(self, step: int) -> dict[str, float]:
        """The weight of every loss after `step` updates: its option's, times its schedule."""
        weights = {HARD: self.run.hard_weight} | {term.key: term.weight for term in self.run.terms}
        schedules = {HARD: self.run.hard_schedules}
        schedules |= {term.key: term.schedules for term in self.run.terms}
        for name, of_loss in schedules.items():
            if "weight" in of_loss:
                weights[name] *= of_loss["weight"].bind()(step / self.steps)
        return weights

    def total(self, losses: Mapping[str, Tensor], step: int) -> Tensor:
        """The weighted sum that is minimised."""
        weights = self.weights(step)
        return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()

    def learned(self) -> list[tuple[list[nn.Parameter], float | None]]:
        """The parameters of each term, and their learning rate; None: the student's."""
        rates = {t.key: t.projection.lr if t.projection else None for t in self.run.terms}
        return [(list(loss.parameters()), rates[key]) for key, loss in self.terms.items()]


def task_loss(logits: Tensor, labels: Tensor, kind: Kind) -> Tensor:
    """The loss on labels: cross-entropy in nats, or of regression the squared error.

    The mean over labelled rows (of masked-LM over masked tokens); zero where there is none.

    Args:
        logits: [b, classes]; of masked-LM [n, vocabulary].
        labels: [b]; of masked-LM [n]. Class or token numbers with -100 for none, or of regression
            values with NaN for none.
        kind: of the task.
    """
    is_regression = kind == "regression"
    is_labelled = ~labels.isnan() if is_regression else labels != -100
    if not is_labelled.any():
        return logits.float().sum() * 0.0  # a zero that has a gradient, as every loss
    if is_regression:
        return functional.mse_loss(logits.float()[is_labelled, 0], labels[is_labelled])
    return functional.cross_entropy(logits.float(), labels, ignore_index=-100)


def traced_layers(run: Run) -> tuple[frozenset[int], frozenset[int]]:
    """The student's and the teacher's layers (1-based) that are in some term's pairs."""
    pairs = [pair for term in run.terms if term.matching for pair in term.matching.pairs]
    return frozenset(pair[0] for pair in pairs), frozenset(pair[1] for pair in pairs)
