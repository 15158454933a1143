"""What a report has behind each cell: its runs with their commands, and what it is filtered by."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from analysis.explain.lookup import without_execution
from analysis.explain.why import repeating
from analysis.read.frame import NO_SEED, PERCENT, planned_students, reader
from analysis.report.forest import Scale, of_seed
from analysis.statistics.cells import CellRun
from analysis.tables import rerun_commands
from analysis.tables.layout import column_name, value_text
from analysis.tables.model import Table
from analysis.tables.text import difference_text, score_text

FACETS = ("task", "size", "knowledge")  # what a reader may filter by
EDGE = 0.06  # of a cell's width left free on both sides of its dots, which have a size themselves
Cell = tuple[str, str]  # a row and a column of a table


class View(NamedTuple):
    """How a cell is shown.

    Attributes:
        number: of the cell in the page; None if it has no runs of its own, as an average.
        facets: by name the numbers of the values that its runs have, as a text.
        dots: of a student each seed: its place in the column's span, and what is said of it.
    """

    number: int | None
    facets: Mapping[str, str]
    dots: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Details:
    """What is behind the cells of a report.

    Attributes:
        views: of each table, by row and column.
        facets: by name its values, of those that have several.
        data: cells and runs as JSON, which may stand within a page's `script`.
    """

    views: list[dict[Cell, View]]
    facets: dict[str, list[str]]
    data: str


def details(runs: pd.DataFrame, tables: Sequence[Table]) -> Details:
    """The runs behind the cells of some tables.

    Args:
        runs: as `analysis.load` gives them.
        tables: of these.
    """
    facets = _facets(runs)
    option_of = _options(runs, facets)
    cells: list[dict[str, Any]] = []
    views = []
    for table in tables:
        numbers = {}
        for key, arm in table.runs.items():
            numbers[key] = len(cells)
            cells.append(_cell(table, key, arm, runs))
        views.append(_views(table, numbers, facets, option_of))
    uids = dict.fromkeys(uid for cell in cells for uid, *_ in cell["runs"])
    text = json.dumps({"cells": cells, "runs": _runs(runs, uids)}, ensure_ascii=False)
    # Within a script only `</script` and `<!--` would end or change it: no `<` is left at all.
    return Details(views, facets, text.replace("<", "\\u003c"))


def _facets(runs: pd.DataFrame) -> dict[str, list[str]]:
    """The values of each facet that has several among the students."""
    students = planned_students(runs)
    values = {name: list(dict.fromkeys(students[name].map(value_text))) for name in FACETS}
    return {name: of_name for name, of_name in values.items() if len(of_name) > 1}


def _options(runs: pd.DataFrame, facets: Mapping[str, list[str]]) -> dict[str, dict[str, str]]:
    """By facet and student's uid the number of the value that the run has."""
    students = planned_students(runs).drop_duplicates("uid")
    return {
        name: {
            uid: str(values.index(value_text(value)))
            for uid, value in zip(students["uid"], students[name], strict=True)
        }
        for name, values in facets.items()
    }


def _views(
    table: Table,
    numbers: Mapping[Cell, int],
    facets: Mapping[str, list[str]],
    option_of: Mapping[str, Mapping[str, str]],
) -> dict[Cell, View]:
    """Every cell of a table; an average has the sizes and knowledge of its row, and no task."""
    of_row: dict[str, list[CellRun]] = {}
    for (row, _), arm in table.runs.items():
        of_row.setdefault(row, []).extend(arm)
    spans = {column: _span(table, column) for column in table.columns}
    views = {}
    for row, column in table.cells:
        arm = table.runs.get((row, column), of_row.get(row, ()))
        of_arm = {name: _numbers(option_of[name], arm) for name in facets if name != "task"}
        # A teacher stands beside students of all sizes: a filter of these leaves it alone.
        of_arm = {name: text for name, text in of_arm.items() if text}
        number = numbers.get((row, column))
        if (
            "task" in facets and arm
        ):  # an average is of no single task: any filter of it leaves it out
            of_arm["task"] = "" if number is None else str(facets["task"].index(arm[0].task))
        is_student = number is not None and row not in table.teachers
        dots = _dots(arm, spans[column]) if is_student else []
        views[row, column] = View(number, of_arm, dots)
    return views


def _numbers(option_of: Mapping[str, str], arm: Iterable[CellRun]) -> str:
    return " ".join(dict.fromkeys(option_of[run.uid] for run in arm if run.uid in option_of))


def _span(table: Table, column: str) -> Scale | None:
    """From the lowest run of a student to the highest; None if all are equal, or there are none."""
    points = [
        PERCENT * run.score
        for (row, of), arm in table.runs.items()
        for run in arm
        if of == column and row not in table.teachers and run.has_score
    ]
    if not points or min(points) == max(points):
        return None
    room = EDGE * (max(points) - min(points))
    return Scale(min(points) - room, max(points) + room)


def _dots(arm: Sequence[CellRun], span: Scale | None) -> list[tuple[str, str]]:
    if span is None:
        return []
    scored = (run for run in _once(arm) if run.has_score)
    return [(span.place(PERCENT * run.score), f"{_title(run)}: {_points(run)}") for run in scored]


def _cell(table: Table, key: Cell, arm: Sequence[CellRun], runs: pd.DataFrame) -> dict[str, Any]:
    """A cell's names, its numbers in words, the command that explains it, and its runs."""
    cell, first = table.cells[key], arm[0]
    # As the study labels it: the layout of a table may show it under other names.
    column = column_name(first.task, first.split, first.metric)
    name = f"{runs.attrs['study']}/{first.table}/{first.row}/{column}"
    why = ["python", "-m", "analysis", "why", name, "--root", str(runs.attrs["root"])]
    difference = difference_text(cell)
    return {
        "name": " · ".join([table.name, *key]),
        "text": score_text(cell) + (f"; Δ {difference} to {first.control}" if difference else ""),
        "why": shlex.join(why),
        "runs": [[run.uid, _title(run), _points(run)] for run in _once(arm)],
    }


def _once(arm: Sequence[CellRun]) -> Iterable[CellRun]:
    """The runs of a cell; with crossed teachers a run stands there once for each of them."""
    return {run.uid: run for run in arm}.values()


def _title(run: CellRun) -> str:
    return "teacher" if run.is_teacher else of_seed(run.seed, run.teacher_seed)


def _points(run: CellRun) -> str:
    return f"{PERCENT * run.score:.2f}" if run.has_score else ""


def _runs(runs: pd.DataFrame, uids: Iterable[str]) -> dict[str, list[str]]:
    """By uid a run's state and the command that does it, or repeats it elsewhere."""
    rows = {row["uid"]: row for row in runs.drop_duplicates("uid").to_dict("records")}
    read = reader(runs)
    of_run = {}
    for uid in uids:
        row = rows[uid]
        trouble = f" ({row['trouble']})" if isinstance(row["trouble"], str) else ""
        is_recorded = isinstance(row["file"], str)
        overrides = json.loads(row["overrides"])
        if row["seed"] == NO_SEED:  # the plan has no overrides of a teacher, its record does
            overrides = read(uid).overrides if is_recorded else []
        if is_recorded:
            threads = row["threads"]
            command = repeating(overrides, None if pd.isna(threads) else int(threads))
        else:
            own = without_execution(overrides)
            command = rerun_commands.single(own, str(runs.attrs["root"]))
        of_run[uid] = [row["state"] + trouble, command if overrides else ""]
    return of_run
