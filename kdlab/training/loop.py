"""The loop: students side by side over one teacher pass."""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from kdlab import streams
from kdlab.data.tokens import Encoded, examples
from kdlab.device import Clock
from kdlab.metrics import ranked
from kdlab.models.trace import PredictedTokens, Trace
from kdlab.objective.objective import wanted
from kdlab.options.schema import Execution
from kdlab.run import compares_all_tokens
from kdlab.training import student_state as learning
from kdlab.training.student_state import DIVERGED, DONE, TRAINING, StudentState
from kdlab.training.teaching import show

Evaluate = Callable[[StudentState], tuple[float, bool]]
# Set by who wants the process to end soon: the next step is the last, and all is saved.
stop = threading.Event()


class Stopped(Exception):
    """Training was asked to stop; every run in it goes on from its checkpoint."""


def train(
    learners: Sequence[StudentState],
    teachers: Sequence[nn.Module],
    data: Encoded,
    batches: Sequence[np.ndarray],
    evaluate: Evaluate,
    execution: Execution,
    note: Callable[[StudentState, dict[str, float]], None],
) -> float:
    """Train every learner over the same batches; return the seconds the teachers took.

    A learner that was resumed joins when the batches reach its step; one that diverges leaves.

    Args:
        learners: of one cohort.
        teachers: frozen; one, one for each fold, or none if no learner needs one.
        data: the training rows, tokenised.
        batches: the rows of every step.
        evaluate: scores a learner on select, and says whether every row gets the same prediction.
        place: where checkpoints go and how often.
        note: is told each evaluation.

    Raises:
        Stopped: once `stop` is set, with every run's checkpoint saved.
    """
    layers = frozenset().union(*(wanted(learner.run)[1] for learner in learners))
    points = evaluation_points(len(batches), learners[0].run.protocol.evaluations)
    everywhere = compares_all_tokens(learners[0].run)  # as all of a cohort
    first = min((x.step for x in learners if x.status == TRAINING), default=len(batches))
    saved, device = time.monotonic(), learners[0].device
    teaching = Clock(device)
    bar = _bar(learners, first, len(batches))
    for step in range(first, len(batches)):
        if not any(learner.status == TRAINING for learner in learners):
            break  # all diverged
        active = [x for x in learners if x.status == TRAINING and x.step == step]
        key = streams.key(learners[0].run.seed, f"masks/{step}")
        inputs, answers, asked = examples(data, batches[step], device, key, everywhere)
        with teaching.running():
            shown = _shown(teachers, active, inputs, batches[step], layers, asked)
        for learner in active:
            with learner.clock.running():
                learning.update(learner, inputs, answers, shown, asked)
                if step + 1 in points and learner.status == TRAINING:
                    note(learner, _evaluated(learner, points, evaluate))
        if stop.is_set() or time.monotonic() - saved >= execution.checkpoint_seconds:
            for learner in active:
                learning.save(learner, execution.root)
            saved = time.monotonic()
        if stop.is_set():
            raise Stopped(f"stopped after step {step + 1} of {len(batches)}")
        bar.update()
    bar.close()
    for learner in learners:
        learner.status = DONE if learner.status == TRAINING else DIVERGED
    return teaching.seconds()


def _shown(
    teachers: Sequence[nn.Module],
    active: Sequence[StudentState],
    inputs: dict[str, Tensor],
    rows: np.ndarray,
    layers: frozenset[int],
    asked: PredictedTokens | None,
) -> Trace | None:
    """What the teachers make of a batch, if a learner looks at it."""
    if not teachers or not any(learner.run.terms for learner in active):
        return None
    run, device = active[0].run, active[0].device
    with (
        torch.no_grad(),
        torch.autocast(device.type, torch.bfloat16, enabled=run.train.precision == "bf16"),
    ):
        return show(teachers, inputs, rows, layers, asked)


def evaluation_points(steps: int, evaluations: int) -> list[int]:
    """The steps after which select is scored: equal fractions of training, the last included."""
    return sorted({max(1, round(steps * k / evaluations)) for k in range(1, evaluations + 1)})


def _evaluated(learner: StudentState, points: list[int], evaluate: Evaluate) -> dict[str, float]:
    position = points.index(learner.step)
    learning.note_losses(learner, learner.step - ([0, *points])[position])
    score, is_degenerate = evaluate(learner)
    learner.history.setdefault("select", []).append(score)
    learner.degenerate.append(is_degenerate)
    if learner.run.protocol.checkpoint == "best_select":
        counted, best = ranked(score, is_degenerate), learner.best
        if best is None or counted > best["counted"]:
            learner.best = {
                "counted": counted,
                "step": learner.step,
                "weights": learning.weights(learner),
            }
    losses = {name: values[-1] for name, values in learner.history.items()}
    return {"step": learner.step, **losses, "select_degenerate": float(is_degenerate)}


def _title(learners: Sequence[StudentState]) -> str:
    run = learners[0].run
    return f"{run.task.name} seed {run.seed}, {len(learners)} side by side"


def _bar(learners: Sequence[StudentState], first: int, steps: int) -> Any:
    # In a log file a line now and then is enough.
    interval = 0.2 if sys.stderr.isatty() else 15.0
    return tqdm(
        total=steps,
        initial=first,
        unit="step",
        desc=_title(learners),
        leave=False,
        mininterval=interval,
        dynamic_ncols=True,
    )
