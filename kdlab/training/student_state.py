"""One student in training: its model, objective and optimiser, and one update of them."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import get_scheduler

from kdlab import streams
from kdlab.device import Clock, RandomState, random_state, seeded
from kdlab.models.trace import PredictedTokens, Trace, trace
from kdlab.objective.objective import HARD, Objective, matched_layers
from kdlab.objective.term_loss import RowView, TeacherRows
from kdlab.options.schema import Train
from kdlab.record import DIVERGED
from kdlab.run import Run
from kdlab.training import optimizer
from kdlab.training.tallies import Tallies, no_tallies

TRAINING = "training"  # beside the statuses of a record
ZERO_STEPS = 20  # a term whose value is exactly zero for so many steps teaches nothing
CHECKED_STEPS = (1, ZERO_STEPS)  # at which terms are looked at, beside those of evaluations
SHARE_POINTS = (0.1, 0.5, 0.9)  # of training, where gradient shares are measured


@dataclass
class StudentState:
    """A student in training, and what has been measured of it so far.

    Attributes:
        run: what it is.
        model: the student.
        objective: the losses, with what they learn (projections, pseudo-classifiers).
        traced_layers: the layers whose queries, keys and values its forward pass keeps.
        row_views: the teacher's views that it takes as computed before training.
        optimizer, scheduler: of the model's and the objective's parameters.
        steps: updates that the run makes.
        random: the student's own random state (dropout), of the CPU and of its device.
        clock: seconds spent on it.
        step: updates made.
        status: `training`, `done` or `diverged`.
        history: at each evaluation, the mean of every loss since the last, and the score on select.
        degenerate: at each evaluation, whether every row of select got the same prediction.
        tallies: what is counted at every update.
        gradient_shares: by point of training, each loss's share of the encoder's gradient [losses],
            on the device.
        best: the weights with the best score on select so far, their step and score.
    """

    run: Run
    model: Any
    objective: Objective
    traced_layers: frozenset[int]
    row_views: frozenset[RowView]
    optimizer: torch.optim.Optimizer
    scheduler: Any
    steps: int
    random: RandomState
    clock: Clock
    tallies: Tallies
    step: int = 0
    status: str = TRAINING
    history: dict[str, list[Any]] = field(default_factory=dict)
    degenerate: list[bool] = field(default_factory=list)
    gradient_shares: dict[str, Tensor] = field(default_factory=dict)
    best: dict[str, Any] | None = None

    @property
    def device(self) -> torch.device:
        """The device of the student's parameters."""
        return next(self.model.parameters()).device

    @property
    def losses(self) -> list[str]:
        """The names of the losses, in the order in which all of them are counted."""
        return [HARD, *(term.key for term in self.run.terms)]


def start(
    run: Run,
    model: nn.Module,
    objective: Objective,
    steps: int,
    scheduled: int,
    row_views: frozenset[RowView],
) -> StudentState:
    """A student at step 0.

    Args:
        run: what it is.
        model, objective: on the device where it trains.
        steps: updates that it makes.
        scheduled: updates over which the learning rate's schedule is spread; more than `steps`
            where `train.stop` ends training early.
        row_views: as in `StudentState`.
    """
    if run.train.freeze_encoder:  # before the groups, which leave out what is not trained
        model.base_model.requires_grad_(False)
    adamw = optimizer.adamw(_parameter_groups(model, objective, run.train), run.train)
    warmup = int(run.train.warmup * scheduled)
    scheduler = get_scheduler(run.train.schedule, adamw, warmup, scheduled)
    optimizer.keep_rates_on_device(adamw)
    device = next(model.parameters()).device
    random = seeded(device, streams.key(run.seed, "dropout"))
    model.train()
    clock = Clock(device)
    layers = matched_layers(run.terms)[0]
    tallies = no_tallies(1 + len(run.terms), device)
    return StudentState(
        run, model, objective, layers, row_views, adamw, scheduler, steps, random, clock, tallies
    )


def _parameter_groups(model: nn.Module, objective: Objective, train: Train) -> list[dict[str, Any]]:
    """The optimiser's groups: weight decay on matrices only, not on biases and LayerNorm.

    That is how BERT was trained. What a term learns joins the student's groups, or has groups of
    its own where its option says a learning rate.
    """
    learned = objective.learned()
    shared = [p for parameters, lr in learned if lr is None for p in parameters]
    separate = [(parameters, lr) for parameters, lr in learned if lr is not None]
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": chosen, "weight_decay": decay, "lr": lr}
        for parameters, lr in [([*trained, *shared], train.lr), *separate]
        for chosen, decay in (
            ([p for p in parameters if p.ndim > 1], train.weight_decay),
            ([p for p in parameters if p.ndim <= 1], 0.0),
        )
    ]


@dataclass
class Batch:
    """What students learn from in one update.

    Attributes:
        inputs: of the model, as `kdlab.data.tokens.examples` gives them.
        labels: [b], or [n] of a language model's predicted tokens.
        predicted: at which tokens a language model is asked for logits.
        teacher_rows: the teachers' views that were computed before training.
        teacher: the teachers' forward pass over the same inputs, if a term needs it.
        is_known: whether a batch of the same shape went before (`kdlab.training.step_graphs`).
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    predicted: PredictedTokens | None
    teacher_rows: TeacherRows
    teacher: Trace | None = None
    is_known: bool = False


def update(student: StudentState, batch: Batch, is_read: bool) -> None:
    """One optimiser step, unless a loss is or was not finite: such a student is `diverged`.

    Whether it is so stays on the device, as the values of the losses do: a step that asked would
    make the CPU wait until a GPU has done it. The weights of a diverged student do not change, and
    its status does when it is read.

    Args:
        student: changed in place.
        batch: of labelled or other rows.
        is_read: whether to read what was counted, which waits for the device.

    Raises:
        RuntimeError: a term turns out to teach nothing.
    """
    of_terms, total = counted_losses(student, batch)
    student.step += 1
    if is_read or student.step in CHECKED_STEPS:
        _read(student, of_terms)
        if student.status == DIVERGED:
            return
    # Before the backward pass, which frees the graph that the gradients of single losses need.
    _measure_gradient_shares(student, of_terms)
    descend(student, total, student.step)
    student.scheduler.step()


def is_watched(student: StudentState, is_read: bool) -> bool:
    """Whether the next update does more than to train."""
    step = student.step + 1
    return is_read or step in CHECKED_STEPS or any(_is_at(student, p, step) for p in SHARE_POINTS)


def counted_losses(student: StudentState, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
    """Every loss of a student on a batch, by name, and what is minimised; both are counted."""
    precision = student.run.train.precision
    with (
        # Each student draws its dropout from its own stream, whoever trains beside it.
        random_state(student.random),
        torch.autocast(student.device.type, torch.bfloat16, enabled=precision == "bf16"),
    ):
        student_trace = trace(student.model, batch.inputs, student.traced_layers, batch.predicted)
    # Outside of autocast: losses are in float32 also where the forward pass is not.
    objective = student.objective
    of_terms: dict[str, Tensor] = objective(
        student_trace, batch.teacher, batch.labels, student.step, batch.teacher_rows
    )
    total = objective.total(of_terms, student.step)
    values = torch.stack([loss.detach().double() for loss in of_terms.values()])
    student.tallies.add(values, total.detach())
    return of_terms, total


def descend(student: StudentState, total: Tensor, updates: int) -> None:
    """Backward pass and optimiser step; `updates` are those made, this one included."""
    student.optimizer.zero_grad(set_to_none=True)
    total.backward()
    optimizer.step(student.optimizer, student.run.train, updates, student.tallies.diverged)


def _read(student: StudentState, losses: dict[str, Tensor]) -> None:
    """Notice that a student diverged; refuse a term that is not connected, not finite or dead."""
    tallies = student.tallies
    for (name, loss), zero_steps in zip(losses.items(), tallies.zero_steps.tolist(), strict=True):
        if name == HARD:
            continue
        if student.step == 1 and not (loss.requires_grad and loss.isfinite()):
            what = "is not finite" if loss.requires_grad else "does not depend on the student"
            raise RuntimeError(f"knowledge.{name} {what} at step 1 (run {student.run.uid})")
        # A loss may be zero at a point where its gradient is not: only both together are a mistake.
        if zero_steps >= ZERO_STEPS and not any(_gradient_norms(student, loss)):
            raise RuntimeError(
                f"knowledge.{name}: value and gradient were exactly 0 for {zero_steps} steps "
                f"(run {student.run.uid}): this term teaches nothing"
            )
    if tallies.diverged:
        student.status, student.step = DIVERGED, int(tallies.steps)


def _measure_gradient_shares(student: StudentState, losses: dict[str, Tensor]) -> None:
    """At 10, 50 and 90 % of training, each weighted loss's share of the encoder's gradient.

    A share is of the sum of the losses' own norms, so that the shares of a point add up to one.
    """
    for point in SHARE_POINTS:
        if _is_at(student, point, student.step):
            # This update is counted already; its losses were weighted at the step before it.
            weights = student.objective.weights(student.step - 1)
            norms = torch.stack(
                [
                    weights[name] * torch.stack(_gradient_norms(student, loss)).norm()
                    for name, loss in losses.items()
                ]
            )
            # Not the norm of the whole gradient, in which the losses' gradients partly cancel.
            total = norms.sum()
            student.gradient_shares[f"{point:g}"] = norms / total.where(total > 0, 1)


def _is_at(student: StudentState, point: float, step: int) -> bool:
    return step == max(1, round(point * student.steps))


def _gradient_norms(student: StudentState, loss: Tensor) -> list[Tensor]:
    """The norm of a loss's gradient on every tensor of the encoder; of the head if that is all."""
    encoder = [p for p in student.model.base_model.parameters() if p.requires_grad]
    encoder = encoder or [p for p in student.model.parameters() if p.requires_grad]
    # `allow_unused`: a loss on layer 2 does not reach layer 3.
    gradients = torch.autograd.grad(loss, encoder, retain_graph=True, allow_unused=True)
    zero = torch.zeros((), device=student.device)
    return [zero if gradient is None else gradient.norm() for gradient in gradients]


def close_losses(student: StudentState, steps: int) -> None:
    """Move the mean losses of the last `steps` updates into the history."""
    for name, total in zip(student.losses, student.tallies.loss_sums.tolist(), strict=True):
        student.history.setdefault(name, []).append(total / steps)
    student.tallies.loss_sums.zero_()
