"""The table of a plan, `plan.parquet`: one row a cell, all that `analysis` knows of a study."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kdlab.config.run_keys import applied, keys, varying
from kdlab.run import Run, parents, teacher_runs
from sweeps.plan.levels import with_ancestors
from sweeps.study.outline import Cell
from sweeps.study.schema import Study

# The columns that a cell has as they are.
OF_CELL = (
    "table", "case", "row", "control", "stage", "trials", "unequal", "seed", "teacher_seed", "rule",
)  # fmt: skip


@dataclass(frozen=True)
class Planned:
    """One cell and its run; no run where the cell is left out."""

    cell: Cell
    run: Run | None


@dataclass(frozen=True, kw_only=True)
class PlanRow:
    """A row of `plan.parquet`. What is said to be JSON is a text.

    Of a cell that is left out, what follows `uid` is null (`metrics`, `select_by`, `reports`: []).

    Attributes:
        study: its name.
        question: the study's.
        table: the table that the cell feeds.
        layout: the name of a layout; null: rows as the study labels them.
        case: what the row is called without the grid's part.
        row: its label.
        control: the row that it is compared with.
        stage: "tune" for a trial, "confirm" for a winner, "" where nothing is tuned.
        trial: the tuned overrides.
        trials: how many trials the arm had.
        unequal: the written reason for unequal numbers of trials.
        seed: the student's.
        teacher_seed: null where all seeds share one teacher.
        excluded: why the cell is left out, "" where it is not.
        overrides: JSON list: those of the run.
        uid: the run's.
        teachers: JSON list of uids: the runs that it learns from.
        parents: JSON list of uids: these, and the run that it starts from.
        ancestors: JSON object: each ancestor's uid with a list of its parents' uids.
        task: the name of the chosen option.
        choices: JSON object: by group of options the one that applies.
        keys: JSON object: the keys in which runs of one task differ, with this run's values.
        student: JSON object: the student's architecture.
        metrics: JSON list: the task's.
        select_by: JSON list: the metrics whose mean chooses weights and winners.
        rule: how trials are compared: a key of `sweeps.study.tuning.RULES`.
        reports: JSON list: the splits that tables show.
        seconds: of work, by estimate; null for a run that is not due.
        select_on: the split on which weights are chosen: `Protocol.select_on`.
    """

    study: str
    question: str
    table: str
    layout: str | None
    case: str
    row: str
    control: str
    stage: str
    trial: str
    trials: int
    unequal: str
    seed: int
    teacher_seed: int | None
    excluded: str
    overrides: str
    uid: str | None = None
    teachers: str | None = None
    parents: str | None = None
    ancestors: str | None = None
    task: str | None = None
    choices: str | None = None
    keys: str | None = None
    student: str | None = None
    metrics: str = "[]"
    select_by: str = "[]"
    rule: str
    reports: str = "[]"
    seconds: float | None = None
    select_on: str | None = None


def rows(
    planned: Sequence[Planned], seconds: Mapping[str, float], name: str, study: Study
) -> Iterator[PlanRow]:
    """The rows of a plan.

    Args:
        planned: the study's cells.
        seconds: what due runs take, by uid.
        name: of the study, as it is launched.
        study: the study.
    """
    reasons = {rule.name: f"{rule.name}: {rule.reason}" for rule in study.skip}
    layouts = {block.table: block.layout for block in study.blocks if block.layout}
    differing = _differing([entry.run for entry in planned if entry.run])
    for entry in planned:
        cell, run = entry.cell, entry.run
        yield PlanRow(
            study=name,
            question=study.question,
            layout=layouts.get(cell.table),
            trial=cell.trial,
            excluded=reasons.get(cell.excluded, cell.excluded),
            overrides=json.dumps(cell.overrides),
            **{column: getattr(cell, column) for column in OF_CELL},
            **(_of_run(run, differing[run.uid], seconds) if run else {}),
        )


def _of_run(run: Run, differing_keys: str, seconds: Mapping[str, float]) -> dict[str, Any]:
    """The columns of a plan's row that tell of its run."""
    # Lists and dicts are JSON, as a column of Parquet has one type, and their keys differ by row.
    own_parents = parents(run)
    ancestors = with_ancestors(own_parents).items()
    links = {uid: [parent.uid for parent in parents(ancestor)] for uid, ancestor in ancestors}
    return {
        "uid": run.uid,
        "teachers": json.dumps([teacher.uid for teacher in teacher_runs(run)]),
        "parents": json.dumps([parent.uid for parent in own_parents]),
        "ancestors": json.dumps(links),
        "task": run.choices["task"],
        "choices": json.dumps(applied(run)),
        "keys": differing_keys,
        "student": json.dumps(asdict(run.student)),
        "metrics": json.dumps(run.task.metrics),
        "select_by": json.dumps(run.task.select_by),
        "reports": json.dumps(list(run.task.report)),
        "seconds": seconds.get(run.uid),
        "select_on": run.protocol.select_on,
    }


def _differing(runs: Sequence[Run]) -> dict[str, str]:
    """By uid, as JSON, the keys in which runs of one task differ."""
    distinct = {run.uid: run for run in runs}.values()
    # The keys of 100,000 runs at a time would take much memory: they are made twice.
    names = varying((run.choices["task"], keys(run)) for run in distinct)
    return {
        run.uid: json.dumps({key: value for key, value in keys(run).items() if key in names})
        for run in distinct
    }
