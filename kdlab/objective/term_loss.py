"""One term of knowledge in training: a loss between a view of the student and one of the teacher.

Read `TermLoss.forward` first. What it is made of:

- views of both sides (`kdlab.objective.views`), the student's projected where widths differ, or
  both sides as pseudo-classifiers' logits (`kdlab.objective.learned_maps`);
- the loss, some of whose knobs may follow a schedule;
- the pairs of layers of the term's matching: each compared by itself, all at once as a stack, or
  mixed by weights (`kdlab.objective.mixing`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from kdlab import streams
from kdlab.encoders.architecture import Architecture
from kdlab.matching.inputs import MatchingInputs
from kdlab.models.trace import Trace
from kdlab.objective import learned_maps, mixing
from kdlab.objective.learned_maps import SHARED
from kdlab.objective.views import View
from kdlab.options.callables import function
from kdlab.run import Matching, Term

# A view by the dotted name of its function, with a layer (1-based), or None where it has no layers.
RowView = tuple[str, int | None]
TeacherRows = Mapping[RowView, Tensor]  # [b, d] each, of the batch at hand
NO_ROWS: TeacherRows = {}
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # (student, teacher, mask) -> scalar
TaskLoss = Callable[[Tensor], Tensor]  # logits of the batch at hand -> scalar


@dataclass(frozen=True)
class TeacherBatch:
    """What the teacher says of a batch: in a forward pass, and what was computed before."""

    trace: Trace | None
    rows: TeacherRows


@dataclass(frozen=True)
class Moment:
    """Where training is before an update.

    Attributes:
        step: updates made.
        epoch: whole passes over the labelled rows.
        progress: share of all updates, in [0, 1).
    """

    step: int
    epoch: int
    progress: float


class TermLoss(nn.Module):
    """A term's loss, and what it learns: projections, pseudo-classifiers, its matching's weights.

    Args:
        term: what is compared.
        student, teacher: the dimensions of both.
        seed: of the run.
    """

    def __init__(self, term: Term, student: Architecture, teacher: Architecture, seed: int) -> None:
        super().__init__()
        self.term = term
        self.view: Callable[..., View] = function(term.view)
        pairs = term.matching.pairs if term.matching else ()
        self.student_layers = sorted({pair[0] for pair in pairs})
        self.teacher_layers = sorted({pair[1] for pair in pairs})
        self.projections = learned_maps.projections(term, self.student_layers, student.hidden, seed)
        self.pseudo_classifiers = learned_maps.pseudo_classifiers(
            term, self.teacher_layers, teacher.hidden, seed
        )
        self.weigh: nn.Module | None = None
        if term.matching and term.matching.weigh:
            counts = len(self.student_layers), len(self.teacher_layers)
            # The same stream for all terms of a run: random matchings draw the same layers in all.
            self.weigh = term.matching.weigh.bind()(*counts, streams.key(seed, "matching"))

    def forward(
        self,
        student: Trace,
        teacher: Trace | None,
        moment: Moment,
        task_loss: TaskLoss,
        teacher_rows: TeacherRows = NO_ROWS,
    ) -> Tensor:
        """The loss, unweighted: a float32 scalar.

        Args:
            student, teacher: forward passes over the same batch.
            moment: where training is.
            task_loss: from which pseudo-classifiers learn.
            teacher_rows: the teacher's views that were computed before training.
        """
        of_teacher = TeacherBatch(teacher, teacher_rows)
        value = self._compared(student, of_teacher, moment)
        if not self.pseudo_classifiers:
            return value
        logits = [self._pseudo_logits(of_teacher, layer) for layer in self.teacher_layers]
        lesson = torch.stack([task_loss(of_layer) for of_layer in logits]).sum()
        # Its value is zero and its gradient the lesson's: the term's value is what it compares.
        return value + (lesson - lesson.detach())

    def _compared(self, student: Trace, teacher: TeacherBatch, moment: Moment) -> Tensor:
        """The loss over the term's pairs of layers, or of a view that has no layers."""
        loss, matching = self._loss_at(moment.progress), self.term.matching
        if matching is None:
            student_view, mask = self._student_view(student)
            return loss(student_view, self._of_teacher(teacher), mask)
        if matching.stacked:  # such a term has no projection, and its view is none of rows
            assert teacher.trace is not None
            student_view, mask = self.view(student, [pair[0] for pair in matching.pairs])
            teacher_view, _ = self.view(teacher.trace, [pair[1] for pair in matching.pairs])
            return loss(student_view, teacher_view, mask)
        if matching.is_mixed:
            return self._mixed(matching, loss, student, teacher, moment)
        by_pair = []
        for student_layer, teacher_layer in matching.pairs:
            student_view, mask = self._student_view(student, student_layer)
            value = loss(student_view, self._teacher_view(teacher, teacher_layer), mask)
            by_pair.append(matching.pair_weight * value)
        return torch.stack(by_pair).sum()

    def _loss_at(self, progress: float) -> Loss:
        """The term's loss, its scheduled knobs as they are at this point of training."""
        scheduled = {
            knob: self.term.loss.knobs[knob] * schedule.bind()(progress)
            for knob, schedule in self.term.schedules.items()
            if knob != "weight"  # which `Objective.weights` schedules
        }
        loss = self.term.loss.bind()
        return lambda student, teacher, mask: loss(student, teacher, mask, **scheduled)

    def _student_view(self, trace: Trace, *layer: int) -> View:
        """The student's view, projected if the term has a projection for it."""
        view, mask = self.view(trace, *layer)
        # A term has a projection for each of its layers, or a shared one, or none.
        for name in (*map(str, layer), SHARED):
            if name in self.projections:
                return self.projections[name](view.float()), mask
        return view, mask

    def _teacher_view(self, teacher: TeacherBatch, layer: int) -> Tensor:
        """The teacher's view, or its pseudo-classifier's logits, which the student cannot move."""
        if self.pseudo_classifiers:
            return self._pseudo_logits(teacher, layer).detach()
        return self._of_teacher(teacher, layer)

    def _pseudo_logits(self, teacher: TeacherBatch, layer: int) -> Tensor:
        """Logits [b, c] of the pseudo-classifier of one of the teacher's layers."""
        return self.pseudo_classifiers[str(layer)](self._of_teacher(teacher, layer).float())

    def _of_teacher(self, teacher: TeacherBatch, *layer: int) -> Tensor:
        """The term's view of the teacher: as it was computed before, or of its forward pass."""
        before = teacher.rows.get((self.term.view, layer[0] if layer else None))
        if before is not None:
            return before
        assert teacher.trace is not None
        return self.view(teacher.trace, *layer)[0]

    def _mixed(
        self,
        matching: Matching,
        loss: Loss,
        student: Trace,
        teacher: TeacherBatch,
        moment: Moment,
    ) -> Tensor:
        """Weights over all pairs of matched layers, laid on losses or on the teacher's views."""
        views = [self._student_view(student, layer) for layer in self.student_layers]
        # Which units are valid is a matter of the batch, and so the same at every layer.
        student_views, mask = [view.float() for view, _ in views], views[0][1]
        teacher_views = [self._teacher_view(teacher, n).float() for n in self.teacher_layers]
        # Cached, since a matching may ask for the losses that are summed afterwards.
        cost = cache(lambda i, j: loss(student_views[i], teacher_views[j], mask))
        inputs = MatchingInputs(moment.step, moment.epoch, student_views, teacher_views, mask, cost)
        if self.weigh:
            weights = matching.pair_weight * self.weigh(inputs)
        else:
            layers = self.student_layers, self.teacher_layers
            weights = mixing.fixed_weights(matching, *layers, mask.device)
        if matching.mix == "losses":
            return mixing.over_losses(weights, inputs)
        return mixing.over_features(weights, inputs, loss)
