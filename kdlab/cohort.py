"""One cohort from start to end, on one page: task, teachers, students, training, scores, records.

A cohort is a set of runs that train side by side: they share batches and a teacher, so that each
batch is read, and passed through the teacher, once for all of them.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, overload

import torch

from kdlab import device
from kdlab.config.identity import batch_key, teacher_key
from kdlab.data import test_splits
from kdlab.data.task_data import TaskData, task_data
from kdlab.errors import BadInput
from kdlab.models import heads
from kdlab.models.origins import teacher_architecture
from kdlab.models.saved_files import is_whole
from kdlab.models.student import build_student
from kdlab.objective.objective import Objective, row_views
from kdlab.objective.term_loss import RowView
from kdlab.options.schema import Execution
from kdlab.record import DIVERGED, DONE, Record
from kdlab.run import Run, parents
from kdlab.storage import durable, ledger, locks
from kdlab.tracking.tracker import watching
from kdlab.training import (
    outcome,
    resume,
    scoring,
    student_state,
    task_vocabulary,
    teaching,
    test_outputs,
)
from kdlab.training.loop import train
from kdlab.training.student_state import StudentState


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

    Parents that are missing (teachers, earlier stages) are trained first, also those that are among
    `runs`. A run that is done already is not repeated. A run's `result` does not depend on its
    cohort; `kdlab.storage.repeats` says where it is the same bit for bit.

    Args:
        runs: one run, or runs that share task, batches, seed and teacher.
        execution: where and how; by default what conf/run.yaml says.
        again: also repeat runs that are done, to bring back lost outputs or models.
        where: keys of `execution` to change, such as `root="runs"` or `save=True`.

    Returns:
        The record of the run, or the records in the order of `runs`.

    Raises:
        BadInput: if the runs cannot share batches or a teacher, or the data is not as described.
        RuntimeError: if a term of knowledge turns out to teach nothing.
    """
    cohort = [runs] if isinstance(runs, Run) else list(runs)
    execution = replace(execution or _default_execution(), **where)
    torch.set_num_threads(execution.threads)  # before any work: sums depend on it, bit for bit
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
    # Read back also for those just trained: what counts is what is on disk.
    recorded = ledger.entries(execution.root)
    records = [ledger.best(execution.root, recorded[run.uid]) for run in cohort]
    return records[0] if isinstance(runs, Run) else records


def _locked(
    cohort: Sequence[Run], task: TaskData, execution: Execution, on: torch.device, again: bool
) -> None:
    """Train what is still missing, once no other process trains any of it."""
    with ExitStack() as stack:
        # Two processes that were given the same run: the second waits and finds it done. Locks are
        # taken in the order of uids, so that no two processes wait for each other.
        for uid in sorted(run.uid for run in (cohort if again else missing(cohort, execution))):
            stack.enter_context(locks.lock(execution.root, uid))
        # Once more, now that nobody else can change the answer.
        waiting = cohort if again else missing(cohort, execution)
        complete = execution.predict_test and not again
        done = test_outputs.complete(waiting, task, execution.root, on) if complete else []
        if rest := [run for run in waiting if run.uid not in done]:
            _distill(rest, task, execution, on)


def _distill(cohort: Sequence[Run], task: TaskData, execution: Execution, on: torch.device) -> None:
    """Teachers, students, training, scores, records: what `distill` does, in its order."""
    device.forget_peak(on)
    teachers = teaching.Teachers(_with_teacher(cohort), task, execution, on, device.Clock(on))
    teaching.check_on_select(cohort, teachers)
    students = [_student(run, task, on, execution) for run in cohort]
    # Before the training, which is not to be lost if the process is asked to stop meanwhile.
    teacher_logits = outcome.teacher_logits(teachers, students)
    with watching([student.run for student in students], execution) as watches:
        train(
            students,
            teachers,
            task.training,
            task.batches,
            evaluate=lambda student: _select_score(student, task),
            execution=execution,
            on_evaluation=lambda student, event: watches[student.run.uid].evaluated(event),
        )
        teacher_seconds = teachers.clock.seconds()
        recorded = ledger.entries(execution.root)  # runs that are repeated for what they lack
        for student in students:
            outputs = outcome.scored_outputs(student, task)
            # The model has the scored weights from here on: all that follows is about them.
            result = outcome.result_of(student, task, outputs, teacher_logits)
            cost = outcome.cost_of(student, teacher_seconds, len(students), on, execution.root)
            on_tests = scoring.predict_splits(student.model, task.tests, on) if outputs else {}
            earlier = recorded.get(student.run.uid, [])
            written = outcome.write(
                student, task, result, cost, outputs | on_tests, execution, earlier
            )
            watches[student.run.uid].ended(written)


def missing(runs: Sequence[Run], execution: Execution) -> list[Run]:
    """The runs without a record, or without the model or test outputs that `execution` asks for."""
    ledger.heal(execution.root, {run.uid for run in runs})
    recorded = ledger.index(execution.root)
    unpredicted = test_splits.lacking(runs, execution.root) if execution.predict_test else set()

    def is_missing(run: Run) -> bool:
        if run.uid not in recorded or run.uid in unpredicted:
            return True
        # A diverged run has no model to save.
        wants_model = execution.save and recorded[run.uid].status == DONE
        return wants_model and not is_whole(execution.root, run.uid)

    return [run for run in runs if is_missing(run)]


def ensure(parent: Run, execution: Execution) -> None:
    """Train a parent that is missing; a second process that needs it waits and finds it."""
    # Its model is what its children need; test outputs are asked of them alone.
    of_parent = replace(execution, save=True, predict_test=False)
    if distill(parent, of_parent).result["status"] == DIVERGED:
        raise RuntimeError(f"parent {parent.uid} diverged: no run can learn or start from it")


def _student(run: Run, task: TaskData, on: torch.device, execution: Execution) -> StudentState:
    """The student of a run, at step 0 or where its checkpoint has it."""
    model = build_student(run, task.tokenizer, execution.root).to(on)
    if task.names:
        heads.name_classes(model, task.names)
    task_vocabulary.shrink(run, model, task.words)
    objective = Objective(run, teacher_architecture(run), task.scheduled).to(on)
    views = row_views(run) if task.visits_all_rows else frozenset[RowView]()
    student = student_state.start(run, model, objective, len(task.batches), task.scheduled, views)
    resume.restore(student, execution.root)  # over the fresh weights, if there is a checkpoint
    return student


def _select_score(student: StudentState, task: TaskData) -> tuple[float, bool]:
    data = task.scored["select"]
    outputs = scoring.predict(student.model, data, student.device)
    return scoring.select_score(student.run.task, data.labels, outputs)


def _check_cohort(cohort: Sequence[Run]) -> None:
    if len({batch_key(run) for run in cohort}) != 1:
        raise BadInput("runs of a cohort must share task, data, seed, batches and protocol")
    if len({teacher_key(run) for run in cohort} - {None}) > 1:
        raise BadInput("runs of a cohort must share one teacher")
    if len({run.uid for run in cohort}) != len(cohort):
        raise BadInput("a run is twice in the cohort")


def _with_teacher(cohort: Sequence[Run]) -> Run:
    """A run that learns from the cohort's teacher, if there is one: others may use none."""
    return next((run for run in cohort if teacher_key(run) and run.terms), cohort[0])


def _default_execution() -> Execution:
    # Hydra is loaded only by who composes: a worker is handed its execution.
    from kdlab.config.compose import execution

    return execution()
