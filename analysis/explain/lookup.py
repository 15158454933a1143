"""The runs that a name on the command line stands for: a cell of a study, or a run's uid."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import Any, NamedTuple

import pandas as pd

from analysis.read import frame
from analysis.read.axes import FIVE, GROUPS
from analysis.read.frame import NO_SEED
from analysis.tables.layout import EXCLUDED, column_name, value_text
from kdlab.errors import BadInput
from kdlab.record import Record
from kdlab.storage import ledger
from sweeps.study import launched

UID = re.compile(r"[0-9a-f]{6,32}")
LISTED = 12  # names, in an error
SEEDS = ("seed=", "teacher.seed=")
# Overrides of where and how a run is computed, which is no part of it: the fields of
# `kdlab.options.schema.Execution` but for `predict_test`, without which a repeat lacks outputs.
EXECUTION = (
    *("root=", "save=", "device=", "threads=", "checkpoint_seconds=", "teacher_outputs_gb="),
    *("tracker", "launcher"),
)


@dataclass(frozen=True)
class FoundRun:
    """One planned or recorded run.

    Attributes:
        uid: None of what was left out while planning.
        seed: NO_SEED of a teacher; teacher_seed is that where all seeds share a teacher.
        state: done, diverged, failed, missing or excluded, and `trouble` why.
        overrides: without those that say where it is computed.
        teachers: uids of the runs that it learns from.
        options: by name its option of each group, and the keys in which its study's runs differ.
        record: None if there is none.
    """

    uid: str | None
    task: str
    seed: int
    state: str
    overrides: list[str]
    options: dict[str, str]
    record: Record | None
    teacher_seed: int = NO_SEED
    trouble: str = ""
    teachers: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Target:
    """The runs that a name stands for; `study` is None of a run that no study has."""

    name: str
    study: str | None
    root: str
    runs: list[FoundRun]

    @property
    def states(self) -> str:
        """How many of the runs are in each state: `4 done, 1 missing`."""
        counts = Counter(run.state for run in self.runs)
        return ", ".join(f"{count} {state}" for state, count in counts.items())


class CellName(NamedTuple):
    """The cell of a table that a run is in; `columns` are names that the task's column may have."""

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
    entries = ledger.entries(root).get(uid)
    return ledger.best(root, entries) if entries else None


def _cell(study: str, rest: str, root: str) -> Target:
    """The runs of the cells of one row that `rest` names: one column of it, or all."""
    runs = frame.runs(study, root)
    names = _cell_names(runs)  # of each run
    cells = _matching(study, rest, names)
    rows = runs[[name in cells for name in names]]
    first = cells[0]
    column = f"/{first.columns[0]}" if len(cells) == 1 else ""
    return Target(f"{study}/{first.table}/{first.row}{column}", study, root, _planned(runs, rows))


def _cell_names(runs: pd.DataFrame) -> list[CellName]:
    """The cell of each run; a trial's as in the tables of trials."""
    columns = ["table", "row", "stage", "trial", "seed", "task", "reports", "metrics"]
    names = []
    for table, row, stage, trial, seed, *of_task in runs[columns].itertuples(index=False):
        if stage == "tune":
            table, row = f"{table}_tune", row if seed == NO_SEED else f"{row}, {trial}"
        names.append(CellName(table, row, _columns(*of_task)))
    return names


@cache  # thousands of runs have the same few tasks
def _columns(task: str | None, reports: str, metrics: str) -> tuple[str, ...]:
    """The task itself, and the names of the table's columns."""
    splits, names = json.loads(reports), json.loads(metrics)
    return (str(task), *(column_name(str(task), s, m) for s in splits for m in names))


def _matching(study: str, text: str, names: list[CellName]) -> list[CellName]:
    """The cells of one row that a text names: exactly, else by its beginning."""
    cells = list(dict.fromkeys(names))
    # A label in full comes first: `logits` is also the beginning of `logits, weight=2`.
    exact = [cell for cell in cells if text in _texts(cell)]
    # No text at all is the beginning of every label, and names none.
    matching = exact or [c for c in cells if any(t.startswith(text) for t in _texts(c)) and text]
    rows = list(dict.fromkeys(f"{cell.table}/{cell.row}" for cell in matching))
    if len(rows) == 1:
        return matching
    if rows:
        raise BadInput(f"{study}/{text} is several: {_listed(f'{study}/{row}' for row in rows)}")
    all_rows = list(dict.fromkeys(f"{cell.table}/{cell.row}" for cell in cells))
    near = get_close_matches(text, all_rows, LISTED, 0.5) or all_rows
    tasks = ", ".join(dict.fromkeys(cell.columns[0] for cell in cells))
    listed = _listed(f"{study}/{row}" for row in near)
    raise BadInput(f"no cell {text!r} in study {study}; there: {listed}; columns: {tasks}")


def _texts(cell: CellName) -> list[str]:
    """All names that a cell may be called by within its study."""
    rows = [cell.row, f"{cell.table}/{cell.row}"]
    return rows + [f"{row}/{column}" for row in rows for column in cell.columns]


def _listed(names: Iterable[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    more = [f"and {len(quoted) - LISTED} more"] if len(quoted) > LISTED else []
    return ", ".join([*quoted[:LISTED], *more])


def _run(text: str, root: str) -> Target:
    """The run of a uid, or the only one whose uid begins so: planned, recorded or a parent."""
    planned = {study: _planned_uids(study, root) for study in launched.studies(root)}
    uids = set(ledger.index(root)).union(*planned.values())
    matching = sorted(uid for uid in uids if uid.startswith(text))
    if len(matching) != 1:
        why = f"is several: {_listed(matching)}" if matching else f"is no run under {root}"
        raise BadInput(f"{text} {why}")
    (uid,) = matching
    # A study knows more of a run than its record: its seeds, and what failed it.
    for study, uids in planned.items():
        if uid in uids:
            runs = frame.runs(study, root)
            rows = runs[runs["uid"] == uid]
            if len(rows):
                return Target(uid, study, root, _planned(runs, rows.head(1)))
    return Target(uid, None, root, [_unplanned(uid, root)])


def _planned_uids(study: str, root: str) -> set[str]:
    plan = launched.read_plan(study, root)
    plan = plan[plan["uid"].notna()]  # what was left out while planning has none
    ancestors = (set(json.loads(text)) for text in plan["ancestors"].unique())
    return set(plan["uid"]).union(*ancestors)


def _planned(runs: pd.DataFrame, rows: pd.DataFrame) -> list[FoundRun]:
    """Rows of a study's frame with their records."""
    names = [name for name in runs.columns if name in (*FIVE, *GROUPS) or "." in name]
    reader = frame.reader(rows)
    # A run that stands in several tables is listed once.
    rows = rows.drop_duplicates(["uid", "seed", "teacher_seed", "task", "excluded"])
    return [_of_row(row, names, reader) for row in rows.to_dict("records")]


def _of_row(row: Mapping[Any, Any], names: list[str], reader: Any) -> FoundRun:
    """A row of a study's frame with its record; `names` are the columns that are its options."""
    record = reader(row["uid"]) if isinstance(row["file"], str) else None
    is_teacher = row["seed"] == NO_SEED  # the plan has no overrides of it
    overrides = record.overrides if is_teacher and record else json.loads(row["overrides"])
    has_teachers = isinstance(row["teachers"], str) and not is_teacher
    why = row["excluded"] if row["state"] == EXCLUDED else row["trouble"]
    return FoundRun(
        uid=row["uid"],
        task=str(row["task"]),
        seed=int(row["seed"]),
        teacher_seed=int(row["teacher_seed"]),
        state=row["state"],
        trouble=why if isinstance(why, str) else "",
        overrides=without_execution(overrides),
        teachers=json.loads(row["teachers"]) if has_teachers else [],
        options={name: text for name in names if (text := value_text(row[name]))},
        record=record,
    )


def _unplanned(uid: str, root: str) -> FoundRun:
    """A run that no study here has planned: one of `python -m kdlab`, or a parent."""
    record = read(root, uid)
    overrides = record.overrides if record else []
    # In Hydra the last of several overrides of a key counts.
    seeds = [text.partition("=")[2] for text in overrides if text.startswith("seed=")]
    return FoundRun(
        uid=uid,
        task=record.choices["task"] if record else "",
        seed=int(seeds[-1]) if seeds else NO_SEED,
        state=record.result["status"] if record else "missing",
        overrides=without_execution(overrides),
        options=dict(record.choices) if record else {},
        record=record,
    )


def without_execution(overrides: Iterable[str]) -> list[str]:
    """Overrides of what a run is, without those of where and how it is computed."""
    return [text for text in overrides if not text.startswith(EXECUTION)]
