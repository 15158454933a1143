"""The means of a table's rows beside each other, with what its tests say of each."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from analysis.figures import style
from analysis.figures.drawing import NOTHING, Drawing, Gallery, not_done, settled
from analysis.statistics.cells import Cell
from analysis.tables.arrange import arranged
from analysis.tables.majority_baseline import MAJORITY
from analysis.tables.model import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEACHER: style.Sign = {"marker": "*", "markerfacecolor": "black", "markersize": 7}
# In the order of the key: what a point is called, and its sign.
SIGNS: dict[str, style.Sign] = {
    "teacher": TEACHER,
    "significant (Holm, 5 %)": style.SIGNIFICANT,
    "equal within the margin (Holm, 5 %)": style.EQUAL,
    "not significant": style.NOT_SIGNIFICANT,
    "not compared": style.NO_TEST,
}


def means(runs: pd.DataFrame, tables: Sequence[Table] | None = None) -> Gallery:
    """The mean of each row of each table, with its spread over runs: a figure for every table.

    A panel for each column of the table, a line for each of its rows; several figures of a table
    that has more rows than a page has room for. The signs say what the table's tests say of the
    difference to the row's control.

    Args:
        runs: as `analysis.load` gives them.
        tables: the study's, where they are made already.
    """
    if runs.empty:
        return NOTHING
    drawings, notes = [], []
    for table in arranged(runs) if tables is None else tables:
        # The baseline has no runs, and is far below: it would press all others together.
        rows = [row for row in table.rows if row != MAJORITY and _columns(table, [row])]
        pages = style.rows_of_page(rows)
        for number, page in enumerate(pages, 1):
            name = f"means_{table.name}" + (f"_{number}" if len(pages) > 1 else "")
            drawings.append(_figure(table, page, name))
        if not rows:
            notes.append(f"{table.name}: no means of rows: {not_done(runs.attrs['study'])}")
    return Gallery(tuple(drawings), tuple(notes))


def verdict(table: Table, row: str, column: str) -> str:
    """What the sign of a cell is called in the key, a key of `SIGNS`."""
    cell = table.cells[row, column]
    if row in table.teachers:
        return "teacher"
    if not cell.family or math.isnan(cell.p):
        return "not compared"
    if cell.mark.startswith("*"):
        return "significant (Holm, 5 %)"
    return "equal within the margin (Holm, 5 %)" if cell.mark else "not significant"


def _columns(table: Table, rows: Sequence[str]) -> list[str]:
    """The table's columns in which one of these rows has a score."""
    return [c for c in table.columns if any(_cell(table, row, c) for row in rows)]


def _cell(table: Table, row: str, column: str) -> Cell | None:
    """The cell if it has a score."""
    cell = table.cells.get((row, column))
    return cell if cell and cell.n else None


@style.paper()
def _figure(table: Table, rows: list[str], name: str) -> Drawing:
    columns = _columns(table, rows)
    height = 0.6 + style.row_height(rows) * len(rows)
    per_row = style.balanced(len(columns), 3)
    figure, axes = style.panels(len(columns), height=height, per_row=per_row, sharey=True)
    for column, ax in zip(columns, axes, strict=True):
        _panel(ax, table, rows, column)
        style.rows(ax, rows)
        style.roomy(ax.xaxis)
        ax.locator_params(axis="x", nbins=5)
        ax.set_title(style.wrapped(column, style.NAME))
    style.label(axes, "score (points)", "", per_row)
    handles, labels = style.key_of(axes)
    in_order = sorted(zip(labels, handles, strict=True), key=lambda pair: [*SIGNS].index(pair[0]))
    style.key(figure, [handle for _, handle in in_order], [label for label, _ in in_order])
    return Drawing(style.file_name(name), settled(figure), _caption(table, rows, columns))


def _panel(ax: "Axes", table: Table, rows: Sequence[str], column: str) -> None:
    """Draw one column's means with their standard deviations, each in the line of its row."""
    for position, row in enumerate(rows):
        if cell := _cell(table, row, column):
            kind = verdict(table, row, column)
            spread = None if math.isnan(cell.spread) else cell.spread
            sign = {**style.VERDICT, **SIGNS[kind]}
            ax.errorbar(cell.mean, position, xerr=spread, **sign, label=kind)
            if row in table.teachers:
                ax.axvline(cell.mean, **style.TEACHER)


def _caption(table: Table, rows: Sequence[str], columns: Sequence[str]) -> str:
    cells = {(r, c): cell for r in rows for c in columns if (cell := _cell(table, r, c))}
    over = style.over_runs(cell.n for cell in cells.values())
    sentences = [
        f"{table.name}: the score of each row, {over}. Signs: the paired difference to the row's "
        "control, as the table tests it."
    ]
    majority = [
        f"{column} {cell.mean:.1f}"
        for column in columns
        if (cell := _cell(table, MAJORITY, column))
    ]
    if majority:
        sentences.append(f"Always the most frequent class: {', '.join(majority)}.")
    if any(cell.degenerate for cell in cells.values()):
        names = dict.fromkeys(row for (row, _), cell in cells.items() if cell.degenerate)
        sentences.append(f"Some runs predict the same for every row: of {', '.join(names)}.")
    absent = [row for row in table.rows if row != MAJORITY and not _columns(table, [row])]
    if absent:
        sentences.append(f"Without any score yet: {', '.join(absent)}.")
    return " ".join(sentences)
