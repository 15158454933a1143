"""The runs that a name on the command line stands for: a cell of a study, or a run's uid."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from analysis.read import frame
from analysis.read.axes import FIVE, GROUPS
from analysis.read.frame import NO_SEED
from analysis.tables.layout import EXCLUDED, column_name, shown
from kdlab import record
from kdlab.errors import BadInput
from kdlab.record import Record

UID = re.compile(r"[0-9a-f]{6,32}")
LISTED = 12  # names, in an error
SEEDS = ("seed=", "teacher.seed=")
# Where and how a run is computed, which is no part of it.
PLACE = ("root=", "save=", "device=", "threads=", "checkpoint_seconds=", "tracker", "launcher")


@dataclass(frozen=True)
class Run:
    """One planned or recorded run.

    Attributes:
        seed: NO_SEED of a teacher, and teacher_seed where all seeds share one.
        state: done, diverged, failed, missing or excluded, and `trouble` why.
        overrides: without those that say where it is computed.
        teachers: uids of the runs that it learns from.
        told: its options, and the keys in which its study's runs differ, by name.
        record: None if there is none.
    """

    uid: str | None
    task: str
    seed: int
    teacher_seed: int
    state: str
    trouble: str
    overrides: list[str]
    teachers: list[str]
    told: dict[str, str]
    record: Record | None


@dataclass(frozen=True)
class Target:
    """Runs, and the name under which they may be asked for again."""

    name: str
    study: str | None
    root: str
    runs: list[Run]


class Place(NamedTuple):
    """Where a run is shown; `columns` are what the task's column may be called."""

    table: str
    row: str
    columns: tuple[str, ...]


def find(name: str, root: str) -> Target:
    """The runs of a cell, `STUDY/TABLE/ROW/COLUMN`, or of a uid.

    Table and column may be left out, beginnings suffice where they are unique, and a row without a
    column stands for all of its columns; of a uid six digits do.

    Raises:
        BadInput: if there is no such study, cell or run, or several; it names what there is.
    """
    study, slash, rest = name.partition("/")
    if slash:
        return _cell(study, rest, root)
    return _run(name, root) if UID.fullmatch(name) else _cell(name, "", root)


def read(root: str, uid: str) -> Record | None:
    """A run's record, if there is one."""
    found = record.entries(root).get(uid)
    return record.best(root, found) if found else None


def _cell(study: str, rest: str, root: str) -> Target:
    runs = frame.runs(study, root)
    places = _places(runs)
    chosen = _chosen(study, rest, places)
    rows = runs[[place in chosen for place in places]]
    first = chosen[0]
    column = f"/{first.columns[0]}" if len(chosen) == 1 else ""
    return Target(f"{study}/{first.table}/{first.row}{column}", study, root, _planned(runs, rows))


def _places(runs: pd.DataFrame) -> list[Place]:
    """Where each run stands; a trial as in the tables of trials."""
    columns = ["table", "row", "stage", "trial", "seed", "task", "reports", "metrics"]
    every = []
    for table, row, stage, trial, seed, *of_task in runs[columns].itertuples(index=False):
        if stage == "tune":
            table, row = f"{table}_tune", row if seed == NO_SEED else f"{row}, {trial}"
        every.append(Place(table, row, _columns(*of_task)))
    return every


@cache
def _columns(task: str | None, reports: str, metrics: str) -> tuple[str, ...]:
    """The task itself, and the names of the table's columns."""
    splits, names = json.loads(reports), json.loads(metrics)
    return (str(task), *(column_name(str(task), s, m) for s in splits for m in names))


def _chosen(study: str, text: str, places: list[Place]) -> list[Place]:
    """The cells of one row that a text names: exactly, else by its beginning."""
    every = list(dict.fromkeys(places))
    exact = [place for place in every if text in _names(place)]
    found = exact or [p for p in every if any(n.startswith(text) for n in _names(p)) and text]
    rows = list(dict.fromkeys(f"{place.table}/{place.row}" for place in found))
    if len(rows) == 1:
        return found
    if rows:
        raise BadInput(f"{study}/{text} is several: {_listed(f'{study}/{row}' for row in rows)}")
    there = list(dict.fromkeys(f"{place.table}/{place.row}" for place in every))
    near = get_close_matches(text, there, LISTED, 0.5) or there
    tasks = ", ".join(dict.fromkeys(place.columns[0] for place in every))
    cells = _listed(f"{study}/{row}" for row in near)
    raise BadInput(f"no cell {text!r} in study {study}; there: {cells}; columns: {tasks}")


def _names(place: Place) -> list[str]:
    """What a cell may be called within its study."""
    rows = [place.row, f"{place.table}/{place.row}"]
    return rows + [f"{row}/{column}" for row in rows for column in place.columns]


def _listed(names: Iterable[str]) -> str:
    every = [f"'{name}'" for name in names]
    more = [f"and {len(every) - LISTED} more"] if len(every) > LISTED else []
    return ", ".join([*every[:LISTED], *more])


def _run(text: str, root: str) -> Target:
    """The run of a uid, or of the beginning of one: recorded, planned, or a parent of such."""
    studies = sorted(path.parent.name for path in Path(root).glob("studies/*/plan.parquet"))
    known = {study: _planned_uids(study, root) for study in studies}
    every = set(record.index(root)).union(*known.values())
    found = sorted(uid for uid in every if uid.startswith(text))
    if len(found) != 1:
        said = f"is several: {_listed(found)}" if found else f"is no run under {root}"
        raise BadInput(f"{text} {said}")
    (uid,) = found
    for study in studies:
        if uid in known[study]:
            runs = frame.runs(study, root)
            rows = runs[runs["uid"] == uid]
            if len(rows):
                return Target(uid, study, root, _planned(runs, rows.head(1)))
    return Target(uid, None, root, [_unplanned(uid, root)])


def _planned_uids(study: str, root: str) -> set[str]:
    plan = frame.read_plan(study, root)
    plan = plan[plan["uid"].notna()]
    ancestors = (set(json.loads(text)) for text in plan["ancestors"].unique())
    return set(plan["uid"]).union(*ancestors)


def _planned(runs: pd.DataFrame, rows: pd.DataFrame) -> list[Run]:
    """Rows of a study's frame with their records."""
    names = [name for name in runs.columns if name in (*FIVE, *GROUPS) or "." in name]
    reader = frame.reader(rows)
    order = rows.drop_duplicates(["uid", "seed", "teacher_seed", "task", "excluded"])
    return [_of_row(row, names, reader) for row in order.to_dict("records")]


def _of_row(row: Mapping[Any, Any], names: list[str], reader: Any) -> Run:
    found = reader(row["uid"]) if isinstance(row["file"], str) else None
    is_teacher = row["seed"] == NO_SEED  # the plan has no overrides of it
    overrides = found.overrides if is_teacher and found else json.loads(row["overrides"])
    why = row["excluded"] if row["state"] == EXCLUDED else row["trouble"]
    return Run(
        uid=row["uid"],
        task=str(row["task"]),
        seed=int(row["seed"]),
        teacher_seed=int(row["teacher_seed"]),
        state=row["state"],
        trouble=why if isinstance(why, str) else "",
        overrides=_own(overrides),
        teachers=json.loads(row["teachers"])
        if isinstance(row["teachers"], str) and not is_teacher
        else [],
        told={name: text for name in names if (text := shown(row[name]))},
        record=found,
    )


def _unplanned(uid: str, root: str) -> Run:
    """A run of no study here: of `python -m kdlab`, or a parent."""
    found = read(root, uid)
    overrides = found.overrides if found else []
    seeds = [text.partition("=")[2] for text in overrides if text.startswith("seed=")]
    return Run(
        uid=uid,
        task=found.choices["task"] if found else "",
        seed=int(seeds[-1]) if seeds else NO_SEED,
        teacher_seed=NO_SEED,
        state=found.result["status"] if found else "missing",
        trouble="",
        overrides=_own(overrides),
        teachers=[],
        told=dict(found.choices) if found else {},
        record=found,
    )


def _own(overrides: Iterable[str]) -> list[str]:
    return [text for text in overrides if not text.startswith(PLACE)]
