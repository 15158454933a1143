"""One cohort, one page: task, teacher, students, objective, train, score."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from filelock import FileLock
from torch import nn

from kdlab import device, durable, record, repeats
from kdlab.config.identity import batch_key, teacher_key
from kdlab.config.parents import teacher_architecture
from kdlab.data import test_splits
from kdlab.data.task_data import TaskData, task_data
from kdlab.errors import BadInput
from kdlab.models import costs, heads, saving
from kdlab.models.saved_files import is_whole
from kdlab.models.student import build_student
from kdlab.models.teacher import outputs_order
from kdlab.objective import objective
from kdlab.options.schema import Execution
from kdlab.record import Record
from kdlab.run import Run, parents
from kdlab.tracking import provenance
from kdlab.tracking.tracker import watching
from kdlab.training import scoring, student_state, teaching, test_outputs
from kdlab.training.loop import train
from kdlab.training.student_state import DIVERGED, DONE, StudentState


@overload
def distill(
    runs: Run, execution: Execution | None = None, *, again: bool = False, **where: Any
) -> Record: ...
@overload
def distill(
    runs: Sequence[Run], execution: Execution | None = None, *, again: bool = False, **where: Any
) -> list[Record]: ...


def distill(
    runs: Run | Sequence[Run],
    execution: Execution | None = None,
    *,
    again: bool = False,
    **where: Any,
) -> Record | list[Record]:
    """Train a run, or a cohort of runs side by side, and record what came of it.

    Missing parents, teachers or earlier stages, are trained first, also those that are among
    `runs`. A run that is done already is not repeated. A run's `result` is the same, whatever its
    cohort: `kdlab.repeats` says where bit for bit.

    Args:
        runs: one run, or runs that share task, batches, seed and teacher.
        place: where and how; by default what conf/run.yaml says.
        again: also repeat runs that are done, to bring back lost outputs or models.
        where: keys of `execution` to change, such as `root="runs"` or `save=True`.

    Raises:
        BadInput: if the runs cannot share batches or a teacher, or the data is not as described.
        RuntimeError: if a term of knowledge turns out to teach nothing.
    """
    cohort = [runs] if isinstance(runs, Run) else list(runs)
    execution = replace(execution or _default_place(), **where)
    torch.set_num_threads(execution.threads)
    _check_cohort(cohort)
    durable.check_root(execution.root)
    if execution.predict_test:
        test_splits.splits(cohort[0].task)
    on = device.chosen(execution)
    with device.deterministic(on):
        if waiting := cohort if again else missing(cohort, execution):
            task = task_data(waiting[0], execution.predict_test)  # first: data may be refused
            # No lock is held meanwhile: whoever waits for a parent keeps nobody waiting.
            trained = waiting if again else test_outputs.untrained(waiting, execution)
            for parent in {p.uid: p for run in trained for p in parents(run)}.values():
                ensure(parent, execution)
            _locked(cohort, task, execution, on, again)
    recorded = record.entries(execution.root)
    records = [record.best(execution.root, recorded[run.uid]) for run in cohort]
    return records[0] if isinstance(runs, Run) else records


def _locked(
    cohort: Sequence[Run], task: TaskData, execution: Execution, on: torch.device, again: bool
) -> None:
    """Do what is still missing, once no other process does."""
    with ExitStack() as stack:
        # Two processes that were given the same run: the second waits and finds it done.
        for uid in sorted(run.uid for run in (cohort if again else missing(cohort, execution))):
            stack.enter_context(_lock(execution, uid))
        waiting = cohort if again else missing(cohort, execution)
        complete = execution.predict_test and not again
        done = test_outputs.complete(waiting, task, execution.root, on) if complete else []
        if rest := [run for run in waiting if run.uid not in done]:
            _distill(rest, task, execution, on)


def _distill(cohort: Sequence[Run], task: TaskData, execution: Execution, on: torch.device) -> None:
    device.forget_peak(on)
    taught = _with_teacher(cohort)
    teachers = teaching.load(taught, task.tokenizer, task.names, execution.root, on)
    examined = teaching.examine(cohort, teachers, task.scored["select"], on)
    learners = [_learner(run, task, on, execution) for run in cohort]
    with watching([student.run for student in learners], execution) as watches:
        teacher_seconds = train(
            learners,
            teachers,
            task.training,
            task.batches,
            evaluate=lambda x: _select_score(x, task),
            execution=execution,
            note=lambda x, event: watches[x.run.uid].evaluated(event),
        )
        shown = _teacher_outputs(teachers, task, learners, on, examined)
        recorded = record.entries(execution.root)  # of runs that lack a model, or outputs
        for student in learners:
            uid = student.run.uid
            result, found = _result(student, task, shown)
            cost = _cost(student, teacher_seconds, len(learners), on, execution.root)
            earlier = record.best(execution.root, recorded[uid]) if uid in recorded else None
            found |= test_outputs.outputs(student.model, task, on) if found else {}
            left = _leave(student, task, result, cost, found, execution, earlier)
            watches[uid].ended(left)


def missing(runs: Sequence[Run], execution: Execution) -> list[Run]:
    """The runs whose record, or whose model or test outputs if they are asked for, lack."""
    record.heal(execution.root, {run.uid for run in runs})
    found = record.index(execution.root)
    unpredicted = test_splits.lacking(runs, execution.root) if execution.predict_test else set()

    def is_missing(run: Run) -> bool:
        if run.uid not in found or run.uid in unpredicted:
            return True
        # A diverged run has no model to save.
        wants_model = execution.save and found[run.uid].status == DONE
        return wants_model and not is_whole(execution.root, run.uid)

    return [run for run in runs if is_missing(run)]


def ensure(parent: Run, execution: Execution) -> None:
    """Train a parent that is missing; a second process that needs it waits and finds it."""
    where = replace(execution, save=True, predict_test=False)  # which is asked of its children
    if distill(parent, where).result["status"] == DIVERGED:
        raise RuntimeError(f"parent {parent.uid} diverged: no run can learn or start from it")


def _lock(execution: Execution, uid: str) -> FileLock:
    path = Path(execution.root) / "locks" / f"{uid}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path)


def _learner(run: Run, task: TaskData, on: torch.device, execution: Execution) -> StudentState:
    model = build_student(run, task.tokenizer, execution.root).to(on)
    if task.names:
        heads.name_classes(model, task.names)
    dimensions = teacher_architecture(run.teacher, run.teacher_checkpoint)
    goal = objective.Objective(run, dimensions, task.scheduled).to(on)
    wanted = objective.wanted(run)[0]
    student = student_state.start(run, model, goal, wanted, len(task.batches), task.scheduled)
    student_state.restore(student, execution.root)
    return student


def _select_score(student: StudentState, task: TaskData) -> tuple[float, bool]:
    data = task.scored["select"]
    found = scoring.predict(student.model, data, student.device)
    return scoring.selection(student.run.task, data.labels, found)


def _teacher_outputs(
    teachers: Sequence[nn.Module],
    task: TaskData,
    learners: Sequence[StudentState],
    on: torch.device,
    examined: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    if not teachers or not any(student.run.terms for student in learners):
        return {}
    if learners[0].run.task.masked:  # too many outputs to be kept and compared
        return {}
    return {
        name: examined[name] if name in examined else teaching.outputs(teachers, data, on)
        for name, data in task.scored.items()
    }


def _result(
    student: StudentState, task: TaskData, shown: Mapping[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The deterministic part of the record, and the outputs of every scored split."""
    run = student.run
    if student.best and student.status != DIVERGED:
        student.model.load_state_dict(student.best["weights"])
    result: dict[str, Any] = {
        "status": student.status,
        "steps": student.step,
        "examples_seen": sum(map(len, task.batches[: student.step])),
    }
    if student.status == DIVERGED:
        return result, {}
    found = {
        name: scoring.predict(student.model, data, student.device)
        for name, data in task.scored.items()
    }
    scored = {
        name: scoring.scores(run.task, task.scored[name].labels, array)
        for name, array in found.items()
    }
    order = outputs_order(run, task.names) if run.terms else None
    agreement = {name: scoring.agreement(found[name], shown[name]) for name in shown if run.terms}
    return result | {
        "scored_step": student.best["step"] if student.best else student.step,
        "scores": scored,
        "curves": student.history,
        "select_degenerate": student.degenerate,
        "shares": student.shares,
        "agreement": agreement,
        **({"teacher_order": order} if order else {}),
        "degenerate": sorted(n for n in found if scoring.is_degenerate(run.task, found[n])),
        "weights": saving.digest(student.model),
        "outputs": {name: record.short_digest(array.tobytes()) for name, array in found.items()},
    }, found


def _cost(
    student: StudentState, teacher_seconds: float, cohort: int, on: torch.device, root: str
) -> dict[str, Any]:
    return {
        "parameters": costs.parameters(student.model),
        "flops": costs.inference_flops(student.run.student),
        "seconds": round(student.clock.seconds(), 3),
        "teacher_seconds": round(teacher_seconds, 3),
        "cohort": cohort,
        "peak_memory": device.peak_memory(on),
        **costs.latency(student.model, student.run.student, root),
        **provenance.provenance(on),
    }


def _leave(
    student: StudentState,
    task: TaskData,
    result: dict[str, Any],
    cost: dict[str, Any],
    found: Mapping[str, np.ndarray],
    execution: Execution,
    earlier: Record | None,
) -> Record:
    """Outputs, model, record, in this order: a record means that the rest is there."""
    run = student.run
    result["examples"] = {
        name: record.write_examples(execution.root, task.ids[name], task.scored[name].labels)
        for name in found
        if name in task.scored
    }
    if execution.save and found:
        saving.save(student.model, task.tokenizer, execution.root, run.uid)
    left = Record(run.uid, dict(run.choices), list(run.overrides), result, cost, {})
    if earlier and (kind := repeats.kind(earlier, left)) != repeats.EQUAL:
        print(f"run {run.uid}: {repeats.SAID[kind]}; both are kept", file=sys.stderr)
    elif earlier and found.keys() <= set(record.kept(execution.root, earlier)):
        left = earlier
    if left is not earlier:
        left = replace(left, artifacts=test_outputs.artifacts(execution.root, task, found))
        record.append(execution.root, left)
    student_state.forget(execution.root, run.uid)
    return left


def _check_cohort(cohort: Sequence[Run]) -> None:
    if len({batch_key(run) for run in cohort}) != 1:
        raise BadInput("runs of a cohort must share task, data, seed, batches and protocol")
    if len({teacher_key(run) for run in cohort} - {None}) > 1:
        raise BadInput("runs of a cohort must share one teacher")
    if len({run.uid for run in cohort}) != len(cohort):
        raise BadInput("a run is twice in the cohort")


def _with_teacher(cohort: Sequence[Run]) -> Run:
    return next((run for run in cohort if teacher_key(run) and run.terms), cohort[0])


def _default_place() -> Execution:
    from kdlab.config.compose import execution

    return execution()
