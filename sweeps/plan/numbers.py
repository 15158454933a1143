"""A plan in numbers, which `python -m sweeps plan STUDY --json` prints; `summary` has the words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kdlab.options.memo import files_unchanged
from kdlab.storage import ledger
from kdlab.storage.teacher_files import stored_bytes
from sweeps.journal.run_states import DONE
from sweeps.launchers.choice import Launcher
from sweeps.plan import estimate, marks
from sweeps.plan.memory import Largest, largest
from sweeps.plan.row import Planned
from sweeps.plan.survey import Work, counts
from sweeps.study.schema import Study


@dataclass(frozen=True)
class Hours:
    """What the due runs take.

    Attributes:
        work: hours of all tasks together, what teachers are asked included.
        wall_clock: hours if `at_a_time` tasks work at a time.
        at_a_time: tasks that can.
        measured_cells: how many cells the estimate knows from records, of `cells`.
    """

    work: float
    wall_clock: float
    at_a_time: int
    measured_cells: int
    cells: int


@dataclass(frozen=True)
class Files:
    """What the due runs leave.

    Attributes:
        files: how many, about.
        bytes: that stay: records, outputs, models of parents.
        checkpoint_bytes: of a cohort in training; they go when it is done.
    """

    files: int
    bytes: float
    checkpoint_bytes: float


def hours(work: Work, launcher: Launcher) -> Hours:
    """The hours that the due runs take; all 0 if none is due."""
    asking = work.asking.flops / work.speed
    whole = (sum(work.seconds[run.uid] for run in work.due) + asking) / 3600
    # No more tasks work at a time than the largest level has: children wait for their parents.
    at_a_time = min(launcher.parallel, max(map(len, work.levels), default=0))
    measured, cells = work.measured
    return Hours(whole, whole / at_a_time if at_a_time else 0.0, at_a_time, measured, cells)


def files(work: Work, launcher: Launcher) -> Files:
    """What the due runs leave on disk; all 0 if none is due."""
    saved = [estimate.model_bytes(run) for run in work.due if run.uid in work.parents]
    # The weights, and two moments of AdamW for each.
    largest = 3 * max(map(estimate.model_bytes, work.due), default=0)
    return Files(
        # A task leaves its shard, events, records, outputs and logs, a model about as many files.
        files=6 * sum(map(len, work.levels)) + 6 * len(saved),
        bytes=len(work.due) * estimate.RECORD_BYTES + sum(saved),
        checkpoint_bytes=largest * launcher.keys.cohort,
    )


def memory(work: Work, launcher: Launcher) -> Largest | None:
    """The cohort of the due runs that takes most memory; None if no run is due."""
    cohorts = (cohort for tasks in work.levels for task in tasks for cohort in task)
    with files_unchanged({}):
        return largest(cohorts, launcher.device, launcher.cuda_graphs)


def data(
    study: Study,
    planned: Sequence[Planned],
    work: Work,
    launcher: Launcher,
    waiting: int,
    root: str,
) -> dict[str, Any]:
    """A plan as JSON has it; docs/reference/commands.md says what each key is.

    Args:
        study, planned, work, launcher, waiting, root: as of `summary.report`.
    """
    reasons = {rule.name: rule.reason for rule in study.skip}
    left_out = Counter(entry.cell.excluded for entry in planned if entry.cell.excluded)
    index = ledger.index(root)
    return {
        "question": study.question,
        "root": root,
        "launcher": launcher.name,
        "counts": counts(planned, work),
        "excluded": [
            {"by": why, "reason": reasons.get(why, why), "cells": n} for why, n in left_out.items()
        ],
        "tables": _tables(study, planned, work, root, index),
        "waiting_for_tuning": waiting,
        "to_run": {
            "runs": len(work.due),
            "parents": sum(run.uid in work.parents for run in work.due),
            "cohorts": sum(len(task) for tasks in work.levels for task in tasks),
            "tasks": sum(map(len, work.levels)),
            "runs_by_level": [sum(len(c) for t in tasks for c in t) for tasks in work.levels],
        },
        "hours": asdict(hours(work, launcher)),
        "files": asdict(files(work, launcher)),
        "memory": _memory(work, launcher),
        "stored": {
            "records": len(index),
            "teacher_outputs_bytes": stored_bytes(root),
            "teacher_outputs_to_come_bytes": work.asking.bytes,
        },
    }


def _memory(work: Work, launcher: Launcher) -> dict[str, Any] | None:
    """What the cohort that takes most memory takes, and what its device has."""
    most = memory(work, launcher)
    if most is None:
        return None
    return {
        "runs": len(most.cohort),
        "uid": most.cohort[0].uid,
        "bytes_on_gpu": most.bytes_on_gpu,
        "bytes_on_cpu": most.bytes_on_cpu,
        "device_memory_gb": launcher.keys.device_memory_gb,
    }


def _tables(
    study: Study,
    planned: Sequence[Planned],
    work: Work,
    root: str,
    index: Mapping[str, ledger.Entry],
) -> list[dict[str, Any]]:
    """Of each table its cells, its runs and those done, and what its tests can mark."""
    runs: dict[str, set[str]] = {}
    for entry in planned:
        runs.setdefault(entry.cell.table, set()).update({entry.run.uid} if entry.run else ())
    cells = Counter(entry.cell.table for entry in planned)
    marked = {each.table: asdict(each) for each in marks.of_tables(study, planned, root, index)}
    return [
        {
            "table": table,
            "cells": cells[table],
            "runs": len(uids),
            "done": sum(work.states[uid] == DONE for uid in uids),
            "marks": {k: v for k, v in marked.get(table, {}).items() if k != "table"} or None,
        }
        for table, uids in runs.items()
    ]
