"""The forest plot: every arm against its control, with an interval and a dot for each seed.

A panel is a column of a table. Places are percent of a panel's width, so that one drawing fits a
phone and a wide screen; where an arm has no control the panel shows scores.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from analysis.read.frame import PERCENT
from analysis.statistics.cells import Cell, CellRun
from analysis.tables.model import Table
from analysis.tables.text import difference_text, score_text

TOP, BOTTOM = 5.0, 19.0  # pixels of a line between which its dots stand
TICKS = 5  # labels of a scale, at most
ROOM = 1.04  # of a scale around what it has to hold
BEYOND = 1.0  # spans of the dots by which an interval may widen the scale


def heights(count: int) -> list[str]:
    """Where so many dots of one arm stand in its line, in pixels: one under the other."""
    step = (BOTTOM - TOP) / max(1, count - 1)
    return [f"{TOP + n * step if count > 1 else (TOP + BOTTOM) / 2:.1f}" for n in range(count)]


class Dot(NamedTuple):
    """A seed: its value in points, and what is said of it."""

    value: float
    title: str


@dataclass(frozen=True)
class Line:
    """An arm in a panel, in points; NaN stands for what there is not.

    Attributes:
        row: its label.
        kind: `control`, `better`, `worse`, `alike` or `untold`, by the verdict of its test.
        mean, low, high: the difference with its interval, or the score.
        dots: a seed each.
        text: the numbers in words.
    """

    row: str
    kind: str
    mean: float
    low: float
    high: float
    dots: list[Dot]
    text: str


@dataclass(frozen=True)
class Panel:
    """A column's arms, in groups of one control.

    Attributes:
        place: of the table among all.
        compares: whether it shows differences; else scores.
        groups: of each its lines, the control first.
        scale: what the panel's width stands for.
    """

    table: str
    place: int
    column: str
    compares: bool
    groups: list[list[Line]]
    scale: "Scale"


@dataclass(frozen=True)
class Scale:
    """Points from the left end of a panel to its right end."""

    low: float
    high: float

    def share(self, points: float) -> float:
        """Where a value stands, from 0 to 1; what lies outside stands at the end."""
        return (min(max(points, self.low), self.high) - self.low) / (self.high - self.low)

    def place(self, points: float) -> str:
        """As `share`, in percent of the width."""
        return f"{PERCENT * self.share(points):.2f}%"

    def width(self, low: float, high: float) -> str:
        """The width of a stretch, in percent."""
        share = (min(high, self.high) - max(low, self.low)) / (self.high - self.low)
        return f"{PERCENT * share:.2f}%"

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Round values, and each as text."""
        from matplotlib.ticker import MaxNLocator

        steps = MaxNLocator(nbins=TICKS, steps=[1, 2, 5, 10]).tick_values(self.low, self.high)
        inside = [float(value) for value in steps if self.low <= value <= self.high]
        return [(value, f"{value:z.4g}".replace("-", "−")) for value in inside]


def panels(tables: Sequence[Table], margin: float) -> list[Panel]:
    """A panel for each column of each table, averages first.

    Args:
        tables: as `analysis.tables.papers.of_study` gives them.
        margin: points within which a difference counts as none; a scale always holds them.
    """
    return [
        panel for place, table in enumerate(tables) for panel in _of_table(table, place, margin)
    ]


def _of_table(table: Table, place: int, margin: float) -> Iterator[Panel]:
    of_tasks = {column for _, column in table.runs}
    control_of = _controls(table)
    for column in sorted(table.columns, key=lambda column: column in of_tasks):
        rows = [row for row in control_of if (row, column) in table.cells]
        if not rows:
            continue
        compares = any(not math.isnan(table.cells[row, column].difference) for row in rows)
        if compares:
            groups = list(_groups(table, column, {row: control_of[row] for row in rows}))
        else:
            groups = [_scores(table, column, rows)]
        lines = [line for group in groups for line in group]
        scale = scale_of(lines, margin if compares else math.nan)
        yield Panel(table.name, place, column, compares, groups, scale)


def _controls(table: Table) -> dict[str, str]:
    """By the row of each arm that of its control; its own where it has none.

    Rows are as the layout labels them, controls as the study does.
    """
    arms: dict[str, CellRun] = {}
    for (row, _), runs in table.runs.items():
        if row not in table.teachers:
            arms.setdefault(row, runs[0])
    labels: dict[str, str] = {}
    for row, run in arms.items():
        labels.setdefault(run.row, row)
    return {row: labels.get(run.control, run.control) or row for row, run in arms.items()}


def _groups(table: Table, column: str, control_of: Mapping[str, str]) -> Iterator[list[Line]]:
    """The arms of each control behind it."""
    for control in dict.fromkeys(control_of.values()):
        members = [row for row, own in control_of.items() if own == control and row != control]
        first = [_own(table, control, column)] if (control, column) in table.cells else []
        yield [*first, *(_compared(table, row, column) for row in members)]


def _own(table: Table, row: str, column: str) -> Line:
    """A control: its seeds around their own mean, where the others have their differences."""
    cell = table.cells[row, column]
    dots = [
        Dot(value - cell.mean, title) for value, title in _seeds(table.runs.get((row, column), []))
    ]
    return Line(row, "control", 0.0, math.nan, math.nan, dots, score_text(cell))


def _compared(table: Table, row: str, column: str) -> Line:
    cell, sample = table.cells[row, column], table.samples.get((row, column))
    dots = []
    if sample:
        both = zip(sample.keys, sample.values.tolist(), strict=True)
        dots = [Dot(value, f"{of_seed(*key)}: {value:+.1f}") for key, value in both]
    text = difference_text(cell) or score_text(cell)
    return Line(row, kind(cell), cell.difference, cell.low, cell.high, dots, text)


def kind(cell: Cell) -> str:
    """The verdict on a cell's difference in a word, by its mark."""
    if "*" in cell.mark:
        return "better" if cell.difference > 0 else "worse"
    return "alike" if cell.mark else "untold"


def _scores(table: Table, column: str, rows: Sequence[str]) -> list[Line]:
    """Lines of scores, where nothing is compared."""
    lines = []
    for row in rows:
        cell = table.cells[row, column]
        dots = list(_seeds(table.runs.get((row, column), [])))
        lines.append(Line(row, "untold", cell.mean, math.nan, math.nan, dots, score_text(cell)))
    return lines


def _seeds(runs: Iterable[CellRun]) -> Iterator[Dot]:
    """The score of each run that has one, once."""
    for run in {run.uid: run for run in runs if run.has_score}.values():
        points = PERCENT * run.score
        yield Dot(points, f"{of_seed(run.seed, run.teacher_seed)}: {points:.1f}")


def of_seed(seed: int, teacher_seed: int) -> str:
    """What a run of a cell is called: `seed 3`, or `seed 3, teacher seed 6` of crossed ones."""
    return f"seed {seed}" + (f", teacher seed {teacher_seed}" if teacher_seed >= 0 else "")


def scale_of(lines: Sequence[Line], margin: float) -> Scale:
    """A scale that holds all dots and means, and of wide intervals the better part.

    The few seeds of one arm may have an interval of a hundred points, beside which no other arm's
    difference could be seen.

    Args:
        lines: of the panel.
        margin: that it has to hold on both sides of zero; NaN where it shows scores.
    """
    points = [dot.value for line in lines for dot in line.dots]
    points += [line.mean for line in lines if not math.isnan(line.mean)]
    points += [-margin, margin] if not math.isnan(margin) else []
    low, high = min(points, default=0.0), max(points, default=1.0)
    span = (high - low) or 1.0
    lows = [line.low for line in lines if not math.isnan(line.low)]
    highs = [line.high for line in lines if not math.isnan(line.high)]
    low = max(min([low, *lows]), low - BEYOND * span)
    high = min(max([high, *highs]), high + BEYOND * span)
    middle, half = (low + high) / 2, ROOM * ((high - low) or 1.0) / 2
    return Scale(middle - half, middle + half)
