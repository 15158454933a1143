"""A table as text, the same in all formats: what each cell says, and which ones stand out.

`rendered` turns a `Table`, which holds numbers, into a `TextTable`; Markdown, LaTeX and HTML differ
in how they set that.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import NamedTuple

from analysis.statistics.cells import Cell
from analysis.tables.majority_baseline import MAJORITY
from analysis.tables.model import Table
from kdlab.power import SEEDS_NEEDED

PLAIN, BEST, SECOND = "", "best", "second"
LEFT_OUT, NOT_PLANNED = "n/a", "–"
MEAN, OF_TEACHER = "mean", "of teacher"


@dataclass(frozen=True)
class TextCell:
    """A cell as text; `emphasis` is PLAIN, BEST or SECOND."""

    text: str
    emphasis: str = PLAIN


class Head(NamedTuple):
    """The head of a column.

    Attributes:
        part: what is shown: MEAN, `Δ` (a difference), `gap closed`, `parameters`, ...
        of: the task and metric that it is of; "" for what is of a row itself, such as its size.
    """

    part: str
    of: str = ""

    @property
    def text(self) -> str:
        """In one line."""
        return self.of if self.part == MEAN else f"{self.part} {self.of}".strip()


@dataclass(frozen=True)
class TextTable:
    """A table as text.

    Attributes:
        columns: their heads, the first that of the rows' names.
        baselines: rows of teachers and of the majority baseline, a cell for each column.
        students: our rows.
        published: the literature's.
    """

    columns: list[Head]
    baselines: list[list[TextCell]]
    students: list[list[TextCell]]
    published: list[list[TextCell]]

    @property
    def rows(self) -> list[list[TextCell]]:
        """The rows of all three parts."""
        return [*self.baselines, *self.students, *self.published]

    @property
    def groups(self) -> list[tuple[str, list[int]]]:
        """Columns side by side that are of one task and metric: that, and their numbers."""
        indices = range(len(self.columns))
        return [(of, list(group)) for of, group in groupby(indices, lambda n: self.columns[n].of)]


def rendered(table: Table) -> TextTable:
    """A table's cells as text."""
    columns = [(Head(""), TextCell), *_models(table), *_scores(table)]
    baselines = {*table.teachers, MAJORITY}

    def cells(rows: list[str]) -> list[list[TextCell]]:
        return [[cell_of(row) for _, cell_of in columns] for row in rows]

    return TextTable(
        [head for head, _ in columns],
        cells([row for row in table.rows if row in baselines]),
        cells([row for row in table.rows if row not in baselines]),
        cells(table.published.rows),
    )


def explanation(table: Table) -> str:
    """The note on how to read a cell."""
    texts = {cell.text for row in rendered(table).students for cell in row}
    notes = [
        "Cells: mean ± standard deviation over seeds, in points (runs); (runs/expected) where some "
        "are missing. Δ: the paired difference to the control with its 95 % interval, of a paired "
        f"t over seeds ({SEEDS_NEEDED} or more) whose error also holds what comes from teachers "
        "and examples. Bold: the best of rows that have all their runs and none degenerate, "
        "baselines aside; underlined: the second."
    ]
    if table.layout.models or models_differ(table):
        notes.append("FLOPs and latency: of one row of 128 tokens, latency where the runs were.")
    if LEFT_OUT in texts:
        notes.append(f"{LEFT_OUT}: cannot apply, left out while planning.")
    if NOT_PLANNED in texts:
        notes.append(f"{NOT_PLANNED}: not in this study.")
    return " ".join(notes)


def models_differ(table: Table) -> bool:
    """Whether the students that records know are of several architectures."""
    students = [cell for (row, _), cell in table.cells.items() if row not in table.teachers]
    return len({(cell.transformer, cell.flops) for cell in students if cell.flops > 0}) > 1


Column = tuple[Head, Callable[[str], TextCell]]  # its head, and its cell of a row
# Columns on a row's model: the head, the field of a cell, and the unit it is shown in.
MODEL = {
    "Transformer": ("transformer", 1e6, "M"),
    "parameters": ("parameters", 1e6, "M"),
    "FLOPs": ("flops", 1e9, "G"),
    "latency": ("latency", 1.0, "ms"),
}


def _models(table: Table) -> list[Column]:
    """Sizes of rows' models, if they differ or the layout asks for them; and the initialization."""
    if not (table.layout.models or models_differ(table)):
        return []
    columns: list[Column] = []
    for head, (key, unit, sign) in MODEL.items():
        numbers = {row: _model(table, row, key, unit, sign) for row in table.rows}
        if head == "parameters":  # which is all that papers say of a model's size
            numbers |= {row: f"{size:.1f} M" for row, size in table.published.sizes.items()}
        if any(numbers.values()):
            columns.append((Head(head), _looked_up(numbers)))
    if table.inits:
        columns.append((Head("init"), _looked_up(dict(table.inits))))
    return columns


def _looked_up(texts: dict[str, str]) -> Callable[[str], TextCell]:
    return lambda row: TextCell(texts.get(row, ""))


def _model(table: Table, row: str, key: str, unit: float, sign: str) -> str:
    """A row's number, the same in every column but for the classifier; "" if no record has it."""
    cells = [cell for (name, _), cell in table.cells.items() if name == row]
    numbers = [getattr(cell, key) / unit for cell in cells if not math.isnan(getattr(cell, key))]
    if key == "latency" and numbers:  # measured: it differs from machine to machine
        numbers = [sum(numbers) / len(numbers)]
    texts = [f"{number:.{2 if number >= 1 else 3}f} {sign}" for number in numbers]
    return " or ".join(dict.fromkeys(texts))


def _scores(table: Table) -> list[Column]:
    """For each column of the table the score, and a column for each other number of its cells."""
    columns: list[Column] = []
    for column in table.columns:
        columns.append((Head(MEAN, column), partial(_score_of, table, column)))
        cells = {row: cell for (row, name), cell in table.cells.items() if name == column}
        for part, text in BESIDE.items():
            texts = {row: text(cell) for row, cell in cells.items()}
            # A column in which no cell has such a number would be empty.
            if any(texts.values()) and (table.layout.of_teacher or part != OF_TEACHER):
                columns.append((Head(part, column), _looked_up(texts)))
    return columns


def _score_of(table: Table, column: str, row: str) -> TextCell:
    """The score of a row in a column, or what stands there without one."""
    emphasis = _emphasis(table, row, column)
    if (row, column) in table.published.values:
        value, mark = table.published.values[row, column], table.published.marks[row, column]
        return TextCell(f"{value:.1f}{mark}", emphasis)
    if (row, column) in table.cells:
        return TextCell(score_text(table.cells[row, column]), emphasis)
    return TextCell(_absent(table, row, column))


def _emphasis(table: Table, row: str, column: str) -> str:
    first, second = table.best.get(column, ([], []))
    return BEST if row in first else SECOND if row in second else PLAIN


def _absent(table: Table, row: str, column: str) -> str:
    if (row, column) in table.inapplicable:
        return LEFT_OUT
    # An average is blank for a row that has not all runs, and a published row where its paper is.
    is_of_study = row in table.rows and column != table.average
    return NOT_PLANNED if is_of_study and row not in {*table.teachers, MAJORITY} else ""


def score_text(cell: Cell) -> str:
    """`83.1 ± 0.4 (5)`; (4/5) where a run is missing, † where some predict one class for all."""
    count = f"{cell.n}" if cell.n == cell.expected else f"{cell.n}/{cell.expected}"
    if not cell.n:
        return f"{'diverged' if cell.diverged else 'missing'} ({count})"
    mark = "†" if cell.degenerate else ""
    deviation = "" if math.isnan(cell.spread) else f" ± {cell.spread:.1f}"
    return f"{_points(cell.mean)}{deviation}{mark} ({count})"


def difference_text(cell: Cell) -> str:
    if math.isnan(cell.difference):
        return ""
    difference = _points(cell.difference, "+")
    if math.isnan(cell.low):
        return difference
    return f"{difference} [{_points(cell.low)}, {_points(cell.high)}]{cell.mark}"


def _points(value: float, sign: str = "-") -> str:
    """Points with one digit; what rounds to zero is `0.0`, without a sign."""
    return f"{value:{sign}z.1f}".replace("+0.0", "0.0")


def _share(cell: Cell) -> str:
    return "" if math.isnan(cell.share) else f"{cell.share:.0f} %"


def _of_teacher(cell: Cell) -> str:
    return "" if math.isnan(cell.of_teacher) else f"{cell.of_teacher:.1f} %"


# Columns beside a score: the head, and what gives a cell's text.
BESIDE = {"Δ": difference_text, "gap closed": _share, OF_TEACHER: _of_teacher}
