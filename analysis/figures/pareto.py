"""Score against what a model costs: parameters, FLOPs, latency."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.figures.drawing import NOTHING, Drawing, Gallery, settled
from analysis.figures.numbers import number
from analysis.figures.style import (
    MAJORITY,
    MARKERS,
    MOST,
    TEACHER,
    file_name,
    key,
    label,
    logarithmic,
    over_runs,
    panels,
    paper,
    roomy,
)
from analysis.read.axes import axes
from analysis.read.frame import NO_SEED
from analysis.statistics.cells import Cell
from analysis.tables.arrange import arranged
from analysis.tables.layout import EXCLUDED, value_text
from analysis.tables.majority_baseline import MAJORITY as CONSTANT
from analysis.tables.model import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# By field of a cell: the label of the axis, and how many of the field's units are one of the axis.
COSTS = {
    "parameters": ("parameters (M)", 1e6),
    "flops": ("FLOPs of one row of 128 tokens (G)", 1e9),
    "latency": ("latency of one row of 128 tokens (ms)", 1.0),
}
MEASURED = "latency"
MODELS = ("size", "shape", "family")
MANY = 10  # rows that a column of the page has no room for
Point = tuple[str, float, Cell]  # the row, its cost, its score


def pareto(runs: pd.DataFrame, tables: Sequence[Table] | None = None) -> Gallery:
    """Score against parameters, FLOPs and latency: a figure each for every table of a study.

    A panel for each column of the table; the line is the best mean of a student that costs no more,
    of rows with all their runs and none degenerate.

    Args:
        runs: as `analysis.load` gives them.
        tables: the study's, where they are made already.
    """
    if runs.empty:
        return NOTHING
    drawings, notes = [], []
    for table in _tables(runs, tables):
        for cost in COSTS:
            if why := _why_none(table, cost, runs.attrs["study"]):
                notes.append(f"{table.name}: no score against {cost}: {why}")
            else:
                drawings.append(_figure(table, cost, runs))
    return Gallery(tuple(drawings), tuple(notes))


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The Pareto front of points (cost, score): those that none of the same or less cost beats."""
    best: list[tuple[float, float]] = []
    for cost, score in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or score > best[-1][1]:
            best.append((cost, score))
    return best


def _tables(runs: pd.DataFrame, made: Sequence[Table] | None) -> Sequence[Table]:
    """The study's tables; one of all its students where tables differ in size and shape alone."""
    names = list(dict.fromkeys(runs["table"]))
    students = runs[(runs["seed"] != NO_SEED) & (runs["state"] != EXCLUDED)]
    others = [axis for axis in axes(runs) if axis not in MODELS]
    values = [
        {axis: set(part[axis].map(value_text)) for axis in others}
        for _, part in students.groupby("table")
    ]
    is_shared = students.drop_duplicates(["table", "row"])["row"].duplicated().any()
    if len(names) < 2 or is_shared or any(value != values[0] for value in values):
        return arranged(runs) if made is None else made
    whole = runs.drop_duplicates(["uid", "row", "seed", "teacher_seed"])
    whole = whole.assign(table=runs.attrs["study"])
    whole.attrs = runs.attrs
    return arranged(whole)


def _why_none(table: Table, cost: str, study: str) -> str:
    """Why there is nothing to draw; "" if there is."""
    students = _students(table)
    own = _points(table, cost, students, table.columns)
    if cost == MEASURED and len({(cell.transformer, cell.flops) for _, _, cell in own}) == 1:
        return "all its students have one architecture: their latencies differ by chance alone"
    if len({value for _, value, _ in own}) > 1:
        return ""
    if own:
        unit = COSTS[cost][0].rpartition("(")[2][:-1]
        return f"all its students have {own[0][1]:.3g} {unit}"
    if any(table.cells[place].n for place in table.cells if place[0] in students):
        return "no record of its students says it (older ones do not)"
    return f"none of its runs is done; python -m sweeps launch {study} --wait"


def _students(table: Table) -> list[str]:
    return [row for row in table.rows if row not in {*table.teachers, CONSTANT}]


def _points(table: Table, cost: str, rows: Sequence[str], columns: Sequence[str]) -> list[Point]:
    """Rows that have both a score and the cost, in the table's order."""
    points = []
    for row in rows:
        of_row = [table.cells[row, c] for c in table.columns if (row, c) in table.cells]
        known = [getattr(cell, cost) for cell in of_row if getattr(cell, cost) > 0]
        for column in columns:
            cell = table.cells.get((row, column))
            if cell and cell.n and known:
                points.append((row, sum(known) / len(known) / COSTS[cost][1], cell))
    return points


@paper()
def _figure(table: Table, cost: str, runs: pd.DataFrame) -> Drawing:
    rows = [row for row in _students(table) if _points(table, cost, [row], table.columns)]
    columns = [column for column in table.columns if _points(table, cost, rows, [column])]
    markers = _markers(table, rows, runs)
    is_wide = len(rows) > MANY
    figure, axes = panels(len(columns), height=2.6 if is_wide else 2.2, is_wide=is_wide)
    handles: dict[str, Any] = {}
    for column, ax in zip(columns, axes, strict=True):
        points = _points(table, cost, rows, [column])
        _baselines(ax, table, cost, column, handles)
        _front(ax, points, handles)
        for row, value, cell in points:
            spread = None if math.isnan(cell.spread) else cell.spread
            drawn = ax.errorbar(
                value, cell.mean, spread, **_sign(markers[row]), label=row, zorder=3
            )
            handles.setdefault(f"{rows.index(row) + 1}  {row}", drawn.lines[0])
        values = [value for _, value, _ in points]
        ax.set_xscale("log")
        logarithmic(ax.xaxis, min(values), max(values))
        roomy(ax)
        ax.set_title(column)
    label(axes, COSTS[cost][0], "score (points)")
    key(figure, list(handles.values()), list(handles))
    settled(figure)
    for column, ax in zip(columns, axes, strict=True):
        points = _points(table, cost, rows, [column])
        number(ax, [(v, cell.mean, str(rows.index(row) + 1)) for row, v, cell in points])
    return Drawing(
        file_name(f"pareto_{table.name}_{cost}"),
        figure,
        _caption(table, cost, rows, columns, runs),
    )


def _sign(marker: str) -> dict[str, Any]:
    return {
        "marker": marker,
        "color": "0.45",
        "markerfacecolor": "white",
        "markeredgecolor": "black",
        "markeredgewidth": 0.8,
        "linestyle": "none",
        "elinewidth": 0.7,
        "capsize": 1.5,
    }


def _markers(table: Table, rows: Sequence[str], runs: pd.DataFrame) -> dict[str, str]:
    """A marker for each knowledge, if they are few."""
    students = runs[(runs["seed"] != NO_SEED) & runs["row"].isin(rows)]
    known = students.drop_duplicates("row").set_index("row")["knowledge"].fillna("").to_dict()
    names = list(dict.fromkeys(known.get(row, "") for row in rows))
    if len(names) > MOST:
        return dict.fromkeys(rows, MARKERS[0])
    return {row: MARKERS[names.index(known.get(row, ""))] for row in rows}


def _front(ax: "Axes", points: Sequence[Point], handles: dict[str, Any]) -> None:
    able = [(v, cell.mean) for _, v, cell in points if _is_able(cell)]
    steps = front(able)
    if not steps:
        return
    ends = [*steps, (max(value for _, value, _ in points), steps[-1][1])]
    (line,) = ax.step(
        *zip(*ends, strict=True), where="post", color="black", linewidth=1.0, zorder=2
    )
    handles.setdefault("best at most so large", line)


def _is_able(cell: Cell) -> bool:
    """Whether a cell may be the best of a table, as in the table itself."""
    return cell.is_complete and not cell.degenerate


def _baselines(ax: "Axes", table: Table, cost: str, column: str, handles: dict[str, Any]) -> None:
    for teacher in table.teachers:
        for _, value, cell in _points(table, cost, [teacher], [column]):
            ax.axhline(cell.mean, **TEACHER)
            spread = None if math.isnan(cell.spread) else cell.spread
            sign = _sign("*") | {"markersize": 8, "markerfacecolor": "black"}
            handles.setdefault(teacher, ax.errorbar(value, cell.mean, spread, **sign, zorder=3))
    if (CONSTANT, column) in table.cells:
        line = ax.axhline(table.cells[CONSTANT, column].mean, **MAJORITY)
        handles.setdefault(CONSTANT, line)


STEPS = (
    "Step line: the best mean of a student that costs no more, of arms with all their runs and "
    "none degenerate."
)
NO_STEPS = "No line of the best: no arm has all its runs and none degenerate."


def _caption(
    table: Table, cost: str, rows: Sequence[str], columns: Sequence[str], runs: pd.DataFrame
) -> str:
    cells = [cell for _, _, cell in _points(table, cost, rows, columns)]
    absent = [row for row in _students(table) if row not in rows]
    sentences = [
        f"{table.name}: score against {COSTS[cost][0]}, {over_runs(cell.n for cell in cells)}.",
        STEPS if any(_is_able(cell) for cell in cells) else NO_STEPS,
    ]
    if any(cell.degenerate for cell in cells):
        sentences.append("Some arms predict the same for every row: they are no part of the line.")
    empty = [column for column in table.columns if column not in columns]
    if cost == MEASURED and len(devices := runs["device"].dropna().unique()) > 1:
        sentences.append(f"Measured on several machines: {', '.join(sorted(devices))}.")
    if empty:
        sentences.append(f"Without any score yet: {', '.join(empty)}.")
    if absent:
        sentences.append(f"Without score or cost, and not drawn: {', '.join(absent)}.")
    return " ".join(sentences)
