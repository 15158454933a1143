"""What a table shows: every cell as text, and what of it stands out; the same in all formats."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from analysis.statistics.cells import Cell
from analysis.tables.majority_baseline import MAJORITY
from analysis.tables.model import Table
from kdlab.power import SEEDS_NEEDED

PLAIN, BEST, SECOND = "", "best", "second"
LEFT_OUT, NOT_PLANNED = "n/a", "–"
MEAN = "mean"


@dataclass(frozen=True)
class Entry:
    """A cell as text; `emphasis` is PLAIN, BEST or SECOND."""

    text: str
    emphasis: str = PLAIN


class Head(NamedTuple):
    """What a column shows `of` what: the mean (MEAN), a difference, ... of a task's metric.

    Of rows themselves and of their models there is nothing to show it of.
    """

    part: str
    of: str = ""

    @property
    def text(self) -> str:
        """In one line."""
        return self.of if self.part == MEAN else f"{self.part} {self.of}".strip()


@dataclass(frozen=True)
class Shown:
    """Heads of columns, the first that of the rows' names; rows of entries, in three parts.

    Attributes:
        baselines: teachers and the majority.
        students: our rows.
        published: the literature's.
    """

    columns: list[Head]
    baselines: list[list[Entry]]
    students: list[list[Entry]]
    published: list[list[Entry]]

    @property
    def heads(self) -> list[str]:
        """Of columns, each in one line."""
        return [column.text for column in self.columns]

    @property
    def rows(self) -> list[list[Entry]]:
        """Of all parts."""
        return [*self.baselines, *self.students, *self.published]

    @property
    def groups(self) -> list[tuple[str, list[int]]]:
        """What columns beside each other show something of, and their places."""
        places = range(len(self.columns))
        return [(of, list(g)) for of, g in groupby(places, lambda n: self.columns[n].of)]


def shown(table: Table) -> Shown:
    """A table's cells as text."""
    heads = [(Head(""), lambda row: Entry(row)), *_models(table), *_scores(table)]
    baselines = {*table.teachers, MAJORITY}

    def entries(rows: list[str]) -> list[list[Entry]]:
        return [[show(row) for _, show in heads] for row in rows]

    return Shown(
        [head for head, _ in heads],
        entries([row for row in table.rows if row in baselines]),
        entries([row for row in table.rows if row not in baselines]),
        entries(table.published.rows),
    )


def explanation(table: Table) -> str:
    """What a cell says."""
    texts = {entry.text for row in shown(table).students for entry in row}
    said = [
        "Cells: mean ± standard deviation over seeds, in points (runs); (runs/expected) where some "
        "are missing. Δ: the paired difference to the control with its 95 % interval, of a paired "
        f"t over seeds ({SEEDS_NEEDED} or more) whose error also holds what comes from teachers "
        "and examples. Bold: the best of rows that have all their runs and none degenerate, "
        "baselines aside; underlined: the second."
    ]
    if table.layout.models or models_differ(table):
        said.append("FLOPs and latency: of one row of 128 tokens, latency where the runs were.")
    if LEFT_OUT in texts:
        said.append(f"{LEFT_OUT}: cannot apply, left out while planning.")
    if NOT_PLANNED in texts:
        said.append(f"{NOT_PLANNED}: not in this study.")
    return " ".join(said)


def models_differ(table: Table) -> bool:
    """Whether the students that records know are of several architectures."""
    students = [cell for (row, _), cell in table.cells.items() if row not in table.teachers]
    return len({(cell.transformer, cell.flops) for cell in students if cell.flops > 0}) > 1


Column = tuple[Head, Callable[[str], Entry]]
MODEL = {
    "Transformer": ("transformer", 1e6, "M"),
    "parameters": ("parameters", 1e6, "M"),
    "FLOPs": ("flops", 1e9, "G"),
    "latency": ("latency", 1.0, "ms"),
}


def _models(table: Table) -> list[Column]:
    """What rows' models are, if they differ or the layout asks for it; and where they start."""
    if not (table.layout.models or models_differ(table)):
        return []
    found: list[Column] = []
    for head, (key, unit, sign) in MODEL.items():
        numbers = {row: _model(table, row, key, unit, sign) for row in table.rows}
        if head == "parameters":
            numbers |= {row: f"{size:.1f} M" for row, size in table.published.sizes.items()}
        if any(numbers.values()):
            found.append((Head(head), _looked_up(numbers)))
    if table.inits:
        found.append((Head("init"), _looked_up(dict(table.inits))))
    return found


def _looked_up(texts: dict[str, str]) -> Callable[[str], Entry]:
    return lambda row: Entry(texts.get(row, ""))


def _model(table: Table, row: str, key: str, unit: float, sign: str) -> str:
    """A row's number, the same in every column but for the classifier; "" if no record has it."""
    found = [getattr(cell, key) / unit for (name, _), cell in table.cells.items() if name == row]
    found = [number for number in found if not math.isnan(number)]
    if key == "latency" and found:  # measured: it differs from machine to machine
        found = [sum(found) / len(found)]
    shown = [f"{number:.{2 if number >= 1 else 3}f} {sign}" for number in found]
    return " or ".join(dict.fromkeys(shown))


def _scores(table: Table) -> list[Column]:
    found: list[Column] = []
    for column in table.columns:
        own = [cell for (_, name), cell in table.cells.items() if name == column]
        found.append((Head(MEAN, column), _show(table, column, _score)))
        if any(not math.isnan(cell.difference) for cell in own):
            found.append((Head("Δ", column), _show(table, column, _difference)))
        if any(not math.isnan(cell.share) for cell in own):
            found.append((Head("gap closed", column), _show(table, column, _share)))
        if table.layout.of_teacher and any(not math.isnan(cell.of_teacher) for cell in own):
            found.append((Head("of teacher", column), _show(table, column, _of_teacher)))
    return found


def _show(table: Table, column: str, text: Callable[[Cell], str]) -> Callable[[str], Entry]:
    def show(row: str) -> Entry:
        is_score = text is _score
        emphasis = _emphasis(table, row, column) if is_score else PLAIN
        if (row, column) in table.published.values:
            value = table.published.values[row, column]
            mark = table.published.marks[row, column]
            return Entry(f"{value:.1f}{mark}" if is_score else "", emphasis)
        cell = table.cells.get((row, column))
        if cell is None:
            return Entry(_absent(table, row, column) if is_score else "")
        return Entry(text(cell), emphasis)

    return show


def _emphasis(table: Table, row: str, column: str) -> str:
    first, second = table.best.get(column, ([], []))
    return BEST if row in first else SECOND if row in second else PLAIN


def _absent(table: Table, row: str, column: str) -> str:
    if (row, column) in table.inapplicable:
        return LEFT_OUT
    is_ours = row in table.rows and column != table.average
    return NOT_PLANNED if is_ours and row not in {*table.teachers, MAJORITY} else ""


def _score(cell: Cell) -> str:
    count = f"{cell.n}" if cell.n == cell.expected else f"{cell.n}/{cell.expected}"
    if not cell.n:
        return f"{'diverged' if cell.diverged else 'missing'} ({count})"
    mark = "†" if cell.degenerate else ""
    deviation = "" if math.isnan(cell.spread) else f" ± {cell.spread:.1f}"
    return f"{cell.mean:.1f}{deviation}{mark} ({count})"


def _difference(cell: Cell) -> str:
    if math.isnan(cell.difference):
        return ""
    if math.isnan(cell.low):
        return f"{cell.difference:+.1f}"
    return f"{cell.difference:+.1f} [{cell.low:.1f}, {cell.high:.1f}]{cell.mark}"


def _share(cell: Cell) -> str:
    return "" if math.isnan(cell.share) else f"{cell.share:.0f} %"


def _of_teacher(cell: Cell) -> str:
    return "" if math.isnan(cell.of_teacher) else f"{cell.of_teacher:.1f} %"
