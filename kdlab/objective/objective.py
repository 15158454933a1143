"""What a student minimises: the task's loss plus weighted terms of knowledge.

total = hard.weight * task_loss + Σ term.weight * term_loss
"""

from collections.abc import Collection, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdlab.encoders.architecture import Architecture
from kdlab.metrics import Kind
from kdlab.models.trace import Trace
from kdlab.objective.term_loss import NO_ROWS, Moment, RowView, TeacherRows, TermLoss
from kdlab.options.callables import function
from kdlab.run import Run, Term

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
        self,
        student: Trace,
        teacher: Trace | None,
        labels: Tensor,
        step: int,
        teacher_rows: TeacherRows = NO_ROWS,
    ) -> dict[str, Tensor]:
        """Every loss by name, unweighted: float32 scalars.

        Args:
            student, teacher: forward passes over the same batch; no teacher where no term needs it.
            labels: as in `task_loss`.
            step: updates made before this one.
            teacher_rows: the teacher's views that were computed before training.
        """
        loss_of_logits = partial(task_loss, labels=labels, kind=self.run.task.kind)
        losses = {HARD: loss_of_logits(student.logits)}
        # The epoch in integers: step / steps * epochs is rounded, and may fall just short of one.
        moment = Moment(step, step * self.run.train.epochs // self.steps, step / self.steps)
        for key, term in self.terms.items():
            losses[key] = term(student, teacher, moment, loss_of_logits, teacher_rows)
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
    # Sums over labelled rows, divided by their number: to ask whether there are any, or to select
    # them, would make the CPU wait for a GPU in every step.
    if kind == "regression":
        is_labelled = ~labels.isnan()
        wanted = labels.where(is_labelled, logits.float()[:, 0].detach())
        total = functional.mse_loss(logits.float()[:, 0], wanted, reduction="sum")
    else:
        is_labelled = labels != -100
        total = functional.cross_entropy(logits.float(), labels, ignore_index=-100, reduction="sum")
    return total / is_labelled.sum().clamp(min=1)


def row_views(run: Run) -> frozenset[RowView]:
    """The teacher's views of rows that a run's terms compare: without layers, or of matched ones.

    A language model has none: its logits are of tokens.
    """
    return frozenset(
        (term.view, layer)
        for term in run.terms
        if _is_of_rows(term, run)
        for layer in ({pair[1] for pair in term.matching.pairs} if term.matching else {None})
    )


def traced_terms(run: Run, rows: Collection[RowView]) -> list[Term]:
    """The terms that need a forward pass of the teacher's where some views of rows are there."""
    return [term for term in run.terms if not (rows and _is_of_rows(term, run))]


def teacher_depth(terms: Collection[Term]) -> int | None:
    """The highest of the teacher's layers that terms look at; None: all, and what follows them."""
    if any(term.matching is None for term in terms):
        return None
    return max(matched_layers(terms)[1])


def _is_of_rows(term: Term, run: Run) -> bool:
    return not run.task.is_language_model and getattr(function(term.view), "of_rows", False)


def matched_layers(terms: Collection[Term]) -> tuple[frozenset[int], frozenset[int]]:
    """The student's and the teacher's layers (1-based) that are in some term's pairs."""
    pairs = [pair for term in terms if term.matching for pair in term.matching.pairs]
    return frozenset(pair[0] for pair in pairs), frozenset(pair[1] for pair in pairs)
