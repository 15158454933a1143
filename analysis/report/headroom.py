"""How far teachers are above students without knowledge, and how much of that is closed."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from analysis.statistics.cells import Cell
from analysis.tables.layout import span_text
from analysis.tables.model import Table


class Headroom(NamedTuple):
    """The gap that knowledge could close in one column, in points.

    Attributes:
        table, column: where it is.
        control: the arm without knowledge, as the study labels it.
        points: the teacher's mean minus that arm's.
        spread: standard deviation of this difference between two runs.
        closed_by: the row that closes most of it; "" where the gap is within its spread.
        share: how much that row closes, in percent.
    """

    table: str
    column: str
    control: str
    points: float
    spread: float
    closed_by: str
    share: float

    @property
    def is_within_spread(self) -> bool:
        """Whether noise alone could make a gap of this size."""
        return self.points <= self.spread


def headrooms(tables: Sequence[Table]) -> list[Headroom]:
    """Every gap of some tables, in order; rows with the same teachers and control share one."""
    return [gap for table in tables for column in table.columns for gap in _of(table, column)]


def _of(table: Table, column: str) -> list[Headroom]:
    rows: dict[tuple[str, frozenset[str | None]], dict[str, Cell]] = {}
    for row in table.rows:
        cell = table.cells.get((row, column))
        if cell and not math.isnan(cell.headroom):
            runs = table.runs[row, column]
            gap = (runs[0].control, frozenset(run.teachers for run in runs))
            rows.setdefault(gap, {})[row] = cell
    return [_gap(table, column, control, cells) for (control, _), cells in rows.items()]


def _gap(table: Table, column: str, control: str, cells: Mapping[str, Cell]) -> Headroom:
    """The gap of rows that share it: as of the row with most runs, since each takes its own seeds.

    A share is of a row that has all of its runs.
    """
    shares = {
        row: cell.share
        for row, cell in cells.items()
        if cell.is_complete and not math.isnan(cell.share)
    }
    best = max(shares, key=lambda row: shares[row], default="")
    fullest = max(cells.values(), key=lambda cell: cell.n)
    share = shares.get(best, math.nan)
    own = (fullest.headroom, fullest.headroom_spread)
    return Headroom(table.name, column, control, *own, best, share)


def in_a_sentence(gaps: Sequence[Headroom]) -> str:
    """What all gaps together say; "" of none."""
    if not gaps:
        return ""
    span = span_text([gap.points for gap in gaps], "{:z.1f}").replace("-", "−")
    within = sum(gap.is_within_spread for gap in gaps)
    text = f"Teachers are {span} points above students without knowledge"
    if within:
        of = f"{within} of {len(gaps)} places" if len(gaps) > 1 else "the only place"
        text += f"; in {of} that is within its spread, and there is little to gain"
    return text + "."
