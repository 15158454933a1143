"""One student in training: everything that a checkpoint must hold for an exact resume."""

import copy
import io
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import get_scheduler

from kdlab import streams
from kdlab.device import Clock, random_state, seeded
from kdlab.durable import Damaged, read_sealed, write_sealed
from kdlab.models.trace import PredictedTokens, Trace, trace
from kdlab.objective.objective import HARD, Objective
from kdlab.options.schema import Train
from kdlab.run import Run
from kdlab.training import optimizer

ZERO_STEPS = 20  # a term that is exactly zero for so long teaches nothing
SHARE_POINTS = (0.1, 0.5, 0.9)
DONE, DIVERGED, TRAINING = "done", "diverged", "training"


@dataclass
class StudentState:
    """A student, its objective, its optimiser, and what was seen of them so far.

    `history` has losses and the score on select at each evaluation, and `degenerate` whether every
    row of select got the same prediction there.
    """

    run: Run
    model: Any
    objective: Objective
    wanted: frozenset[int]
    optimizer: torch.optim.Optimizer
    scheduler: Any
    steps: int
    random: list[Tensor]
    clock: Clock
    step: int = 0
    status: str = TRAINING
    history: dict[str, list[Any]] = field(default_factory=dict)
    degenerate: list[bool] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    zeros: dict[str, int] = field(default_factory=dict)
    shares: dict[str, dict[str, float]] = field(default_factory=dict)
    best: dict[str, Any] | None = None

    @property
    def device(self) -> torch.device:
        """Where the student lives."""
        return next(self.model.parameters()).device


def start(
    run: Run,
    model: nn.Module,
    objective: Objective,
    wanted: frozenset[int],
    steps: int,
    scheduled: int,
) -> StudentState:
    """A learner at step 0, which makes `steps` of the `scheduled` steps."""
    if run.train.freeze_encoder:
        model.base_model.requires_grad_(False)
    groups = _groups(model, objective, run.train)
    adamw = optimizer.adamw(groups, run.train)
    warmup = int(run.train.warmup * scheduled)
    scheduler = get_scheduler(run.train.schedule, adamw, warmup, scheduled)
    device = next(model.parameters()).device
    random = seeded(device, streams.key(run.seed, "dropout"))
    model.train()
    return StudentState(
        run, model, objective, wanted, adamw, scheduler, steps, random, Clock(device)
    )


def _groups(model: nn.Module, objective: Objective, train: Train) -> list[dict[str, Any]]:
    """Weight decay on matrices only: not on biases and LayerNorm, as BERT's own training.

    What a term learns joins the student's groups, or has its own with a learning rate of its own.
    """
    learned = objective.learned()
    shared = [p for parameters, lr in learned if lr is None for p in parameters]
    own = [(parameters, lr) for parameters, lr in learned if lr is not None]
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": chosen, "weight_decay": decay, "lr": lr}
        for parameters, lr in [([*trained, *shared], train.lr), *own]
        for chosen, decay in (
            ([p for p in parameters if p.ndim > 1], train.weight_decay),
            ([p for p in parameters if p.ndim <= 1], 0.0),
        )
    ]


def update(
    learner: StudentState,
    batch: dict[str, Tensor],
    labels: Tensor,
    teacher: Trace | None,
    asked: PredictedTokens | None,
) -> None:
    """One optimiser step, with the student's own random state swapped in around it."""
    precision = learner.run.train.precision
    with (
        random_state(learner.random, learner.device),
        torch.autocast(learner.device.type, torch.bfloat16, enabled=precision == "bf16"),
    ):
        student = trace(learner.model, batch, learner.wanted, asked)
    losses = learner.objective(student, teacher, labels, learner.step)
    total = learner.objective.total(losses, learner.step)
    learner.step += 1
    # One transfer for all of them: a GPU is waited for at each.
    *values, whole = torch.stack([x.detach().double() for x in (*losses.values(), total)]).tolist()
    _watch(learner, losses, values)
    if not math.isfinite(whole):
        learner.status = DIVERGED
        return
    _note_shares(learner, losses)
    learner.optimizer.zero_grad(set_to_none=True)
    total.backward()
    optimizer.step(learner.optimizer, learner.run.train, learner.step)
    learner.scheduler.step()


def _watch(learner: StudentState, losses: dict[str, Tensor], values: list[float]) -> None:
    """Refuse a term that is not connected, not finite at the start, or dead; add up the losses."""
    for (name, loss), value in zip(losses.items(), values, strict=True):
        learner.sums[name] = learner.sums.get(name, 0.0) + value
        if name == HARD:
            continue
        if learner.step == 1 and not (loss.requires_grad and math.isfinite(value)):
            what = "is not finite" if loss.requires_grad else "does not depend on the student"
            raise RuntimeError(f"knowledge.{name} {what} at step 1 (run {learner.run.uid})")
        learner.zeros[name] = learner.zeros.get(name, 0) + 1 if value == 0.0 else 0
        if learner.zeros[name] == ZERO_STEPS and not any(_gradients(learner, loss)):
            raise RuntimeError(
                f"knowledge.{name}: value and gradient were exactly 0 for {ZERO_STEPS} steps "
                f"(run {learner.run.uid}): this term teaches nothing"
            )


def _note_shares(learner: StudentState, losses: dict[str, Tensor]) -> None:
    """At 10, 50 and 90 % of training, each weighted loss's share of the encoder's gradient."""
    for point in SHARE_POINTS:
        if learner.step == max(1, round(point * learner.steps)):
            weights = learner.objective.weights(learner.step - 1)
            norms = {
                name: weights[name] * torch.stack(_gradients(learner, loss)).norm()
                for name, loss in losses.items()
            }
            whole = float(sum(norms.values())) or 1.0
            learner.shares[f"{point:g}"] = {name: float(n) / whole for name, n in norms.items()}


def _gradients(learner: StudentState, loss: Tensor) -> list[Tensor]:
    """The norm of a loss's gradient on every tensor of the encoder; of the head if that is all."""
    encoder = [p for p in learner.model.base_model.parameters() if p.requires_grad]
    encoder = encoder or [p for p in learner.model.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss, encoder, retain_graph=True, allow_unused=True)
    zero = torch.zeros((), device=learner.device)
    return [zero if gradient is None else gradient.norm() for gradient in found]


def note_losses(learner: StudentState, steps: int) -> None:
    """Close a stretch of `steps` steps: its mean losses join the history."""
    for name, total in learner.sums.items():
        learner.history.setdefault(name, []).append(total / steps)
    learner.sums = {}


def weights(learner: StudentState) -> dict[str, Tensor]:
    """A copy of the student's weights."""
    return copy.deepcopy(learner.model.state_dict())


# ---- checkpoints -------------------------------------------------------------------------------

KEPT = (
    *("random", "step", "status", "history", "degenerate"),
    *("sums", "zeros", "shares", "best"),
)


def checkpoint_path(root: str | Path, uid: str) -> Path:
    """Where an unfinished run is saved."""
    return Path(root) / "checkpoints" / f"{uid}.pt"


def save(learner: StudentState, root: str) -> None:
    """Save everything that an exact resume needs, whole or not at all."""
    content = {name: getattr(learner, name) for name in KEPT} | {
        "model": learner.model.state_dict(),
        "objective": learner.objective.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "scheduler": learner.scheduler.state_dict(),
        "seconds": learner.clock.seconds(),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_sealed(checkpoint_path(root, learner.run.uid), buffer.getvalue())


def restore(learner: StudentState, root: str) -> None:
    """Go on from the run's checkpoint, if there is one; a damaged one is named, and not used."""
    path = checkpoint_path(root, learner.run.uid)
    if not path.exists():
        return
    try:
        packed = read_sealed(path)
    except Damaged as error:
        print(f"{error}: run {learner.run.uid} starts anew", file=sys.stderr, flush=True)
        return
    content = torch.load(io.BytesIO(packed), weights_only=True, map_location="cpu")
    learner.clock.earlier = content["seconds"]
    for name in ("model", "objective", "optimizer", "scheduler"):
        getattr(learner, name).load_state_dict(content[name])
    for name in KEPT:
        setattr(learner, name, content[name])


def forget(root: str, uid: str) -> None:
    """Remove a finished run's checkpoint, and what a killed process left of one."""
    path = checkpoint_path(root, uid)
    for found in path.parent.glob(f"{path.name}*"):
        found.unlink(missing_ok=True)
