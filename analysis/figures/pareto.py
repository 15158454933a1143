"""Score against what a model costs: parameters, FLOPs, latency."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.figures import style
from analysis.figures.drawing import NOTHING, Drawing, Gallery, not_done, settled
from analysis.figures.numbers import number
from analysis.read.axes import MODELS, axes
from analysis.read.frame import NO_SEED, planned_students
from analysis.statistics.cells import Cell
from analysis.tables.arrange import arranged
from analysis.tables.layout import value_text
from analysis.tables.majority_baseline import MAJORITY
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
STUDENT: style.Sign = {"color": "0.45", "linestyle": "none", "elinewidth": 0.7, "capsize": 1.5}
STUDENT |= {"markerfacecolor": "white", "markeredgecolor": "black", "markeredgewidth": 0.8}
TEACHER: style.Sign = {**STUDENT, "marker": "*", "markersize": 8, "markerfacecolor": "black"}
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
    """The Pareto front of points (cost, score): no point of lower or equal cost scores higher."""
    best: list[tuple[float, float]] = []
    # By rising cost, and of equal costs the best first: a point is of the front if it is better
    # than all before it.
    for cost, score in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or score > best[-1][1]:
            best.append((cost, score))
    return best


def _tables(runs: pd.DataFrame, made: Sequence[Table] | None) -> Sequence[Table]:
    """The study's tables; one of all its students where tables differ in size and shape alone."""
    students = planned_students(runs)
    others = [axis for axis in axes(runs) if axis not in MODELS]
    values = [
        {axis: set(part[axis].map(value_text)) for axis in others}
        for _, part in students.groupby("table")
    ]
    # Rows of one label in two tables are different arms, which one table could not tell apart.
    is_shared = students.drop_duplicates(["table", "row"])["row"].duplicated().any()
    if runs["table"].nunique() < 2 or is_shared or any(value != values[0] for value in values):
        return arranged(runs) if made is None else made
    # A study of budgets has a table for each; what a reader compares is all of its models.
    whole = runs.drop_duplicates(["uid", "row", "seed", "teacher_seed"])
    whole = whole.assign(table=runs.attrs["study"])
    whole.attrs = runs.attrs  # pandas does not promise to keep them
    return arranged(whole)


def _why_none(table: Table, cost: str, study: str) -> str:
    """Why there is nothing to draw; "" if there is."""
    students = _students(table)
    points = _points(table, cost, students, table.columns)
    # FLOPs and parameters follow from the architecture; latency is measured, and noise spreads it.
    if cost == MEASURED and len({(cell.transformer, cell.flops) for _, _, cell in points}) == 1:
        return "all its students have one architecture: their latencies differ by chance alone"
    if len({value for _, value, _ in points}) > 1:
        return ""
    if points:
        unit = COSTS[cost][0].rpartition("(")[2][:-1]
        return f"all its students have {points[0][1]:.3g} {unit}"
    if any(table.cells[key].n for key in table.cells if key[0] in students):
        return "no record of its students says it"
    return not_done(study)


def _students(table: Table) -> list[str]:
    return [row for row in table.rows if row not in {*table.teachers, MAJORITY}]


def _points(table: Table, cost: str, rows: Sequence[str], columns: Sequence[str]) -> list[Point]:
    """Rows that have both a score and the cost, in the table's order."""
    points = []
    for row in rows:
        of_row = [table.cells[row, c] for c in table.columns if (row, c) in table.cells]
        # The mean over tasks: their classifiers differ in size, and latency in its noise.
        costs = [getattr(cell, cost) for cell in of_row if getattr(cell, cost) > 0]
        for column in columns:
            cell = table.cells.get((row, column))
            if cell and cell.n and costs:
                points.append((row, sum(costs) / len(costs) / COSTS[cost][1], cell))
    return points


@style.paper()
def _figure(table: Table, cost: str, runs: pd.DataFrame) -> Drawing:
    """The figure of a table and a cost; the key numbers its rows, as labels are too long."""
    rows = [row for row in _students(table) if _points(table, cost, [row], table.columns)]
    points_of = {column: _points(table, cost, rows, [column]) for column in table.columns}
    columns = [column for column, points in points_of.items() if points]
    markers = _markers(rows, runs)
    is_wide = len(rows) > MANY
    figure, axes = style.panels(len(columns), height=2.6 if is_wide else 2.2, is_wide=is_wide)
    handles: dict[str, Any] = {}
    for column, ax in zip(columns, axes, strict=True):
        points = points_of[column]
        _baselines(ax, table, cost, column, handles)
        _front(ax, points, handles)
        for row, value, cell in points:
            spread = None if math.isnan(cell.spread) else cell.spread
            sign = {**STUDENT, "marker": markers[row], "label": row}
            drawn = ax.errorbar(value, cell.mean, spread, **sign, zorder=3)
            handles.setdefault(f"{rows.index(row) + 1}  {row}", drawn.lines[0])
        values = [value for _, value, _ in points]
        ax.set_xscale("log")
        style.logarithmic(ax.xaxis, min(values), max(values))
        style.roomy(ax.yaxis)
        ax.set_title(column)
    style.label(axes, COSTS[cost][0], "score (points)")
    style.key(figure, list(handles.values()), list(handles))
    settled(figure)  # numbers are placed among points: these must not move any more
    for column, ax in zip(columns, axes, strict=True):
        number(ax, [(v, cell.mean, str(rows.index(row) + 1)) for row, v, cell in points_of[column]])
    return Drawing(
        style.file_name(f"pareto_{table.name}_{cost}"),
        figure,
        _caption(table, cost, rows, columns, runs),
    )


def _markers(rows: Sequence[str], runs: pd.DataFrame) -> dict[str, str]:
    """A marker for each knowledge, if they are few."""
    students = runs[(runs["seed"] != NO_SEED) & runs["row"].isin(rows)]
    knowledge_of = (
        students.drop_duplicates("row").set_index("row")["knowledge"].fillna("").to_dict()
    )
    names = list(dict.fromkeys(knowledge_of.get(row, "") for row in rows))
    if len(names) > style.MOST:
        return dict.fromkeys(rows, style.MARKERS[0])
    return {row: style.MARKERS[names.index(knowledge_of.get(row, ""))] for row in rows}


def _front(ax: "Axes", points: Sequence[Point], handles: dict[str, Any]) -> None:
    """Draw the best that each budget buys."""
    able = [(v, cell.mean) for _, v, cell in points if cell.may_be_best]
    steps = front(able)
    if not steps:
        return
    # The line goes on to the right: what is larger may always be replaced by the best so far.
    ends = [*steps, (max(value for _, value, _ in points), steps[-1][1])]
    (line,) = ax.step(
        *zip(*ends, strict=True), where="post", color="black", linewidth=1.0, zorder=2
    )
    handles.setdefault("best at most so large", line)


def _baselines(ax: "Axes", table: Table, cost: str, column: str, handles: dict[str, Any]) -> None:
    """Draw the teachers and the majority baseline, which has a score and no cost."""
    for teacher in table.teachers:
        for _, value, cell in _points(table, cost, [teacher], [column]):
            ax.axhline(cell.mean, **style.TEACHER)
            spread = None if math.isnan(cell.spread) else cell.spread
            drawn = ax.errorbar(value, cell.mean, spread, **TEACHER, zorder=3)
            handles.setdefault(teacher, drawn)
    if (MAJORITY, column) in table.cells:
        line = ax.axhline(table.cells[MAJORITY, column].mean, **style.MAJORITY)
        handles.setdefault(MAJORITY, line)


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
    over = style.over_runs(cell.n for cell in cells)
    sentences = [
        f"{table.name}: score against {COSTS[cost][0]}, {over}.",
        STEPS if any(cell.may_be_best for cell in cells) else NO_STEPS,
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
