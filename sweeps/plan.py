"""A study's runs, composed and named, and what is left to do."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kdlab.config import compose
from kdlab.record import records, write_whole
from kdlab.run import Run
from kdlab.schema import BadInput
from sweeps.expand import Cell, expand
from sweeps.schema import Study


@dataclass(frozen=True)
class Planned:
    """One cell and its run; no run where a skip rule leaves the cell out."""

    cell: Cell
    run: Run | None


def plan(study: Study, extra: tuple[str, ...] = ()) -> list[Planned]:
    """Compose every run of a study; nothing is written.

    Raises:
        BadInput: naming the table, row and key of the first run that is wrong.
    """
    planned = [
        Planned(cell, None if cell.excluded else _run(cell)) for cell in expand(study, extra)
    ]
    used = {entry.cell.excluded for entry in planned}
    for rule in study.skip:
        if rule.name not in used:
            raise BadInput(
                f"skip rule {rule.name!r} leaves no run out: is {rule.when} spelt right?"
            )
    _check_places(planned)
    return planned


def _check_places(planned: Sequence[Planned]) -> None:
    """Two different runs must not stand for the same seed of the same cell."""
    seen: dict[tuple[object, ...], str] = {}
    for entry in planned:
        if entry.run:
            cell = entry.cell
            # Winners stand beside what was not tuned; every trial stands by itself.
            trial = cell.trial if cell.stage == "tune" else None
            task = entry.run.choices["task"]
            place = (cell.table, cell.row, task, cell.seed, cell.teacher_seed, trial)
            if seen.setdefault(place, entry.run.uid) != entry.run.uid:
                raise BadInput(
                    f"{cell.table}, row {cell.row!r}, task {task}, seed {cell.seed}: two runs; "
                    "give them rows of their own"
                )


def _run(cell: Cell) -> Run:
    try:
        return compose(*cell.overrides)
    except BadInput as error:
        raise BadInput(f"{cell.table}, row {cell.row!r}: {error}") from None


def unique(planned: Sequence[Planned]) -> list[Run]:
    """Every run once, in order: two tables may share one."""
    return list({entry.run.uid: entry.run for entry in planned if entry.run}.values())


def counts(planned: Sequence[Planned], root: str) -> dict[str, int]:
    """Raw, excluded, duplicate, done and to run."""
    runs = unique(planned)
    done = records(root)
    excluded = sum(1 for entry in planned if entry.run is None)
    return {
        "raw": len(planned),
        "excluded": excluded,
        "duplicate": len(planned) - excluded - len(runs),
        "done": sum(1 for run in runs if run.uid in done),
        "to run": sum(1 for run in runs if run.uid not in done),
    }


def write(planned: Sequence[Planned], name: str, study: Study, root: str) -> Path:
    """Write the plan's table, all that `analysis` needs to know of a study."""
    rows = [
        {
            "study": name,
            "question": study.question,
            "table": entry.cell.table,
            "row": entry.cell.row,
            "control": entry.cell.control,
            "stage": entry.cell.stage,
            "trial": entry.cell.trial,
            "trials": entry.cell.trials,
            "unequal": entry.cell.unequal,
            "seed": entry.cell.seed,
            "teacher_seed": entry.cell.teacher_seed,
            "excluded": entry.cell.excluded,
            "overrides": json.dumps(entry.cell.overrides),
            "uid": entry.run.uid if entry.run else None,
            "teacher": entry.run.teacher.uid if entry.run and entry.run.teacher else None,
            "task": entry.run.choices["task"] if entry.run else None,
            "metrics": json.dumps(entry.run.task.metrics if entry.run else []),
            "reports": json.dumps(list(entry.run.task.report) if entry.run else []),
            "select_on": entry.run.protocol.select_on if entry.run else None,
        }
        for entry in planned
    ]
    path = Path(root) / "studies" / name / "plan.parquet"
    write_whole(path, pd.DataFrame(rows).to_parquet(index=False))
    return path
