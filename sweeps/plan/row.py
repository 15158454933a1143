"""The table of a plan, `plan.parquet`: one row a cell, all that `analysis` knows of a study."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from kdlab.config.run_keys import applied, keys, varying
from kdlab.run import Run, parents, teacher_runs
from sweeps.plan.levels import with_ancestors
from sweeps.study.outline import Cell
from sweeps.study.schema import Study


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
        layout: a file of `sweeps/layouts`; null: rows as the study labels them.
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
        rule: how trials are compared: a function of `sweeps.study.tuning`.
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
    uid: str | None
    teachers: str | None
    parents: str | None
    ancestors: str | None
    task: str | None
    choices: str | None
    keys: str | None
    student: str | None
    metrics: str
    select_by: str
    rule: str
    reports: str
    seconds: float | None
    select_on: str | None


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
        first = parents(run) if run else []
        links = {uid: [p.uid for p in parents(a)] for uid, a in with_ancestors(first).items()}
        yield PlanRow(
            study=name,
            question=study.question,
            table=cell.table,
            layout=layouts.get(cell.table),
            case=cell.case,
            row=cell.row,
            control=cell.control,
            stage=cell.stage,
            trial=cell.trial,
            trials=cell.trials,
            unequal=cell.unequal,
            seed=cell.seed,
            teacher_seed=cell.teacher_seed,
            excluded=reasons.get(cell.excluded, cell.excluded),
            overrides=json.dumps(cell.overrides),
            uid=run.uid if run else None,
            teachers=json.dumps([teacher.uid for teacher in teacher_runs(run)]) if run else None,
            parents=json.dumps([parent.uid for parent in first]) if run else None,
            ancestors=json.dumps(links) if run else None,
            task=run.choices["task"] if run else None,
            choices=json.dumps(applied(run)) if run else None,
            keys=differing[run.uid] if run else None,
            student=json.dumps(asdict(run.student)) if run else None,
            metrics=json.dumps(run.task.metrics if run else []),
            select_by=json.dumps(run.task.select_by if run else []),
            rule=cell.rule,
            reports=json.dumps(list(run.task.report) if run else []),
            seconds=seconds.get(run.uid) if run else None,
            select_on=run.protocol.select_on if run else None,
        )


def _differing(runs: Sequence[Run]) -> dict[str, str]:
    """By uid, as JSON, the keys in which runs of one task differ."""
    distinct = {run.uid: run for run in runs}.values()
    # The keys of 100,000 runs at a time would take much memory: they are made twice.
    kept = varying((run.choices["task"], keys(run)) for run in distinct)
    return {
        run.uid: json.dumps({key: value for key, value in keys(run).items() if key in kept})
        for run in distinct
    }
