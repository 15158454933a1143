"""The training loop: students side by side over the same batches and one teacher forward pass."""

import copy
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from tqdm import tqdm

from kdlab import streams
from kdlab.data.tokens import Encoded, examples
from kdlab.metrics import ranked
from kdlab.objective.objective import matched_layers, teacher_depth, traced_terms
from kdlab.objective.term_loss import RowView, TeacherRows
from kdlab.options.schema import Execution
from kdlab.record import DIVERGED, DONE
from kdlab.run import compares_all_tokens
from kdlab.storage import life_signs
from kdlab.training import resume, student_state
from kdlab.training.step_graphs import (
    Key,
    StepGraphs,
    ask_teacher,
    kept,
    step_graphs,
    update_together,
)  # fmt: skip
from kdlab.training.stopping import Stopped, stop
from kdlab.training.student_state import TRAINING, Batch, StudentState
from kdlab.training.teaching import Teachers, row_outputs, teacher_forward

Evaluate = Callable[[StudentState], tuple[float, bool]]


def train(
    students: Sequence[StudentState],
    teachers: Teachers,
    data: Encoded,
    batches: Sequence[np.ndarray],
    evaluate: Evaluate,
    execution: Execution,
    on_evaluation: Callable[[StudentState, dict[str, float]], None],
) -> None:
    """Train every student over the same batches.

    A student that was resumed joins when the batches reach its step; one that diverges leaves.

    Args:
        students: of one cohort.
        teachers: of the cohort; not asked if no student needs one.
        data: the training rows, tokenised.
        batches: the positions of the rows of every step.
        evaluate: scores a student on select; also says whether all rows got the same prediction.
        execution: where checkpoints go, and how often.
        on_evaluation: called with each evaluation of each student.

    Raises:
        Stopped: `stop` was set; every run's checkpoint is saved.
    """
    run, device = students[0].run, students[0].device
    graphs = _graphs(students, teachers, execution)
    views = frozenset[RowView]().union(*(student.row_views for student in students))
    before = row_outputs(teachers, views)
    points = evaluation_points(len(batches), run.protocol.evaluations)
    data = data.on(device)
    first = _first_step(students, len(batches))
    last_saved = time.monotonic()
    with _progress(students, execution.root, first, len(batches)) as show:
        for step in range(first, len(batches)):
            if not any(student.status == TRAINING for student in students):
                break  # all diverged
            # A student further on joins later: it has had this batch.
            active = [s for s in students if s.status == TRAINING and s.step == step]
            if not active:  # the one furthest behind diverged, and the others had this batch
                continue
            rows = batches[step]
            teacher_rows = before.at(rows, views, device) if before else {}
            batch, key = _batch(graphs, teachers, active, data, rows, teacher_rows, step)
            is_read = step + 1 in points
            # Those that are left when all that are recorded were replayed.
            rest = update_together(graphs, key, active, batch, is_read) if graphs else active
            for student in rest:
                with student.clock.running():
                    student_state.update(student, batch, is_read)
                    if is_read and student.status == TRAINING:
                        on_evaluation(student, _evaluated(student, points, evaluate))
            # Between two steps, as a checkpoint has no gradients.
            last_saved = _saved(active, execution, last_saved)
            if stop.is_set():
                raise Stopped(f"stopped after step {step + 1} of {len(batches)}")
            show(step + 1)
    for student in students:
        student.status = DONE if student.status == TRAINING else DIVERGED


def _saved(students: Sequence[StudentState], execution: Execution, last: float) -> float:
    """Save checkpoints if that is due, or the process is to stop; when it was done last."""
    if not stop.is_set() and time.monotonic() - last < execution.checkpoint_seconds:
        return last
    for student in students:
        resume.save(student, execution.root)
    return time.monotonic()


def _first_step(students: Sequence[StudentState], steps: int) -> int:
    """The step of the student that is furthest behind: resumed ones may be at different steps."""
    return min((s.step for s in students if s.status == TRAINING), default=steps)


def _graphs(
    students: Sequence[StudentState], teachers: Teachers, execution: Execution
) -> StepGraphs | None:
    """Where the students' updates are recorded; None where there is nothing to record them with."""
    if students[0].device.type != "cuda" or not execution.cuda_graphs:
        return None
    return step_graphs(students, len(teachers.run.teachers))


def _batch(
    graphs: StepGraphs | None,
    teachers: Teachers,
    students: Sequence[StudentState],
    data: Encoded,
    rows: np.ndarray,
    teacher_rows: TeacherRows,
    step: int,
) -> tuple[Batch, Key]:
    """A step's batch with what the teachers say of it, and under which key it may be recorded."""
    run, device = students[0].run, students[0].device
    # Masks are drawn for the step, so that a resumed run has those of an unbroken one.
    mask_key = streams.key(run.seed, f"masks/{step}")
    all_tokens = compares_all_tokens(run)  # the same for all of a cohort
    inputs, labels, predicted = examples(data, rows, device, mask_key, all_tokens)
    batch = Batch(inputs, labels, predicted, teacher_rows)
    terms = [term for s in students for term in traced_terms(s.run, s.row_views)]
    layers = matched_layers(terms)[1]
    depth = teacher_depth(terms) if terms else 0
    # Of the teacher's pass, too: when a student diverges, less of it may be looked at from then on.
    key = (tuple(inputs["input_ids"].shape), layers, depth)
    if graphs:
        batch = kept(graphs, key, batch)
    if terms:  # else no active student needs a forward pass of the teachers'
        ask = partial(_asked, teachers, batch, rows, layers, depth)
        with teachers.clock.running():
            ask_teacher(graphs, key, batch, ask) if graphs else ask()
    return batch, key


def _asked(
    teachers: Teachers, batch: Batch, rows: np.ndarray, layers: frozenset[int], depth: int | None
) -> None:
    """Fill in the teachers' forward pass over a batch."""
    is_bf16 = teachers.run.train.precision == "bf16"
    with torch.no_grad(), torch.autocast(teachers.device.type, torch.bfloat16, enabled=is_bf16):
        batch.teacher = teacher_forward(
            teachers.models, batch.inputs, rows, layers, batch.predicted, depth
        )


def evaluation_points(steps: int, evaluations: int) -> list[int]:
    """The steps after which select is scored: equal parts of training, the last included.

    For example 10 steps and 4 evaluations: after steps 2, 5, 8 and 10.
    """
    return sorted({max(1, round(steps * k / evaluations)) for k in range(1, evaluations + 1)})


def _evaluated(student: StudentState, points: list[int], evaluate: Evaluate) -> dict[str, float]:
    """Score a student on select, keep its weights if they are the best; return what is logged."""
    previous = [0, *points][points.index(student.step)]  # the point before this one
    student_state.close_losses(student, student.step - previous)
    score, is_degenerate = evaluate(student)
    student.history.setdefault("select", []).append(score)
    student.degenerate.append(is_degenerate)
    if student.run.protocol.checkpoint == "best_select":
        counted, best = ranked(score, is_degenerate), student.best
        if best is None or counted > best["counted"]:  # of equal scores the earliest
            # A copy: the tensors of a state dict are the model's own, which training changes.
            weights = copy.deepcopy(student.model.state_dict())
            student.best = {"counted": counted, "step": student.step, "weights": weights}
    latest = {name: values[-1] for name, values in student.history.items()}
    return {"step": student.step, **latest, "select_degenerate": float(is_degenerate)}


@contextmanager
def _progress(
    students: Sequence[StudentState], root: str, first: int, steps: int
) -> Iterator[Callable[[int], None]]:
    """Show how many updates were made: in a bar here, and to those who look at the root."""
    run = students[0].run
    what = f"{run.task.name} seed {run.seed}, {len(students)} side by side"
    bar = tqdm(
        total=steps,
        initial=first,
        unit="step",
        desc=what,
        leave=False,
        mininterval=0.2 if sys.stderr.isatty() else 15.0,  # a log file needs a line now and then
        dynamic_ncols=True,
    )
    uids = [student.run.uid for student in students]
    with bar, life_signs.telling(root, what, uids, first, steps) as tell:

        def show(step: int) -> None:
            bar.update()
            tell(step)

        yield show
