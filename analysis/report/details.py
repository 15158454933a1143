"""What a report has behind each cell: its runs with their commands, and what it is filtered by."""

import json
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

import pandas as pd

from analysis.explain.lookup import without_execution
from analysis.explain.why import repeating
from analysis.read.frame import NO_SEED, PERCENT, planned_students, reader
from analysis.report.forest import Scale, of_seed
from analysis.statistics.cells import CellRun, grouped
from analysis.tables import averages, rerun_commands
from analysis.tables.layout import column_name, value_text
from analysis.tables.model import Table
from analysis.tables.text import difference_text, score_text

FACETS = ("task", "size", "knowledge")  # what a reader may filter by
EDGE = 0.06  # of a cell's width left free on both sides of its dots, which have a size themselves
Cell = tuple[str, str]  # a row and a column of a table
Arms = Mapping[Cell, Sequence[CellRun]]


class View(NamedTuple):
    """How a cell is shown.

    Attributes:
        number: of the cell in the page; None if it has no runs, as the majority baseline.
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
        of_averages = _of_averages(table)
        arms = {**table.runs, **of_averages}
        numbers = {key: len(cells) + place for place, key in enumerate(arms)}
        cells += [_cell(table, key, arm, runs) for key, arm in arms.items()]
        views.append(_views(table, arms, numbers, facets, option_of))
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


def _of_averages(table: Table) -> Arms:
    """The runs of each average: those of its row in the columns that it is over."""
    arms = {}
    for group, tasks in averages.tasks_of_groups(table.runs).items():
        column = averages.name_of(group)
        for row in (row for row, of in table.cells if of == column):
            of_tasks = [(row, head) for heads in tasks.values() for head in heads]
            arms[row, column] = [run for key in of_tasks for run in table.runs[key]]
    return arms


def _views(
    table: Table,
    arms: Arms,
    numbers: Mapping[Cell, int],
    facets: Mapping[str, list[str]],
    option_of: Mapping[str, Mapping[str, str]],
) -> dict[Cell, View]:
    """Every cell of a table; an average has the sizes and knowledge of its row, and no task."""
    spans = {column: _span(table, column) for column in table.columns}
    views = {}
    for row, column in table.cells:
        arm, is_average = arms.get((row, column), ()), (row, column) not in table.runs
        of_arm = {name: _numbers(option_of[name], arm) for name in facets if name != "task"}
        # A teacher stands beside students of all sizes: a filter of these leaves it alone.
        of_arm = {name: text for name, text in of_arm.items() if text}
        if "task" in facets and arm:
            # An average is of no single task: any filter of it leaves it out.
            of_arm["task"] = "" if is_average else str(facets["task"].index(arm[0].task))
        is_student = not is_average and row not in table.teachers
        dots = _dots(arm, spans[column]) if is_student else []
        views[row, column] = View(numbers.get((row, column)), of_arm, dots)
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
    scored = (run for run, *_ in _by_uid(arm).values() if run.has_score)
    return [
        (span.place(PERCENT * run.score), f"{_title(run)}: {_points(run.score)}") for run in scored
    ]


def _cell(table: Table, key: Cell, arm: Sequence[CellRun], runs: pd.DataFrame) -> dict[str, Any]:
    """A cell's names, its numbers in words, the commands that explain it, and its runs."""
    cell, difference = table.cells[key], difference_text(table.cells[key])
    is_average = key not in table.runs
    # As the study labels them: the layout of a table may show them under other names.
    names = dict.fromkeys(
        f"{runs.attrs['study']}/{run.table}/{run.row}{'' if is_average else f'/{_column(run)}'}"
        for run in arm
    )
    why = ["python", "-m", "analysis", "why"]
    root = ["--root", str(runs.attrs["root"])]
    return {
        "name": " · ".join([table.name, *key]),
        "text": score_text(cell) + (f"; Δ {difference} to {arm[0].control}" if difference else ""),
        "why": [shlex.join([*why, name, *root]) for name in names],
        "runs": [_listed(of_run, is_average) for of_run in _by_uid(arm).values()],
    }


def _column(run: CellRun) -> str:
    return column_name(run.task, run.split, run.metric)


def _by_uid(arm: Sequence[CellRun]) -> dict[str, list[CellRun]]:
    """What an arm has of each run: a score in each of a task's columns; with crossed teachers a run
    stands there once for each of them.
    """
    return grouped(arm, lambda run: run.uid)


def _listed(of_run: Sequence[CellRun], is_average: bool) -> list[str]:
    """A run's uid, what it is called in a cell, and its points.

    In an average a task counts with the mean of its columns, and so does each of its runs.
    """
    title, scores = _title(of_run[0]), {_column(run): run.score for run in of_run}
    if is_average:
        mean = "mean of " if len(scores) > 1 else ""
        title = f"{mean}{' and '.join(scores)}, {title}"
    return [of_run[0].uid, title, _points(fmean(scores.values()))]


def _title(run: CellRun) -> str:
    return "teacher" if run.is_teacher else of_seed(run.seed, run.teacher_seed)


def _points(score: float) -> str:
    return "" if math.isnan(score) else f"{PERCENT * score:.2f}"


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
