"""What a table claims: its tests corrected as one family, and what stands under it of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from analysis.cells import Cell
from analysis.literature import Beside
from analysis.stats import LEVEL, MARGIN, SEEDS_NEEDED, holm

STRONG = 0.01
Cells = dict[tuple[str, str], Cell]


def corrected(cells: Cells, margin: float = MARGIN) -> Cells:
    """Cells with Holm's p in the family of all differences of the table, and their marks."""
    adjusted = holm([cell.p for cell in cells.values()])
    equivalences = holm([cell.equivalence for cell in cells.values()])
    found = [
        replace(cell, adjusted=p, equivalence=q)
        for cell, p, q in zip(cells.values(), adjusted, equivalences, strict=True)
    ]
    return {
        key: replace(cell, mark=_mark(cell, margin)) for key, cell in zip(cells, found, strict=True)
    }


def _mark(cell: Cell, margin: float) -> str:
    """A test over seeds takes the teachers as they are: the interval has to agree for others."""
    mark = ""
    if not cell.low <= 0 <= cell.high and cell.adjusted < LEVEL:
        mark = "**" if cell.adjusted < STRONG else "*"
    is_small = -margin < cell.low and cell.high < margin and cell.equivalence < LEVEL
    is_small &= cell.degenerate < cell.n  # runs that all failed are alike in nothing else
    return f"{mark}≈" if is_small else mark


def notes(cells: Mapping[tuple[str, str], Cell], margin: float) -> list[str]:
    """The family, what could have been found, and the headroom."""
    compared = [cell for cell in cells.values() if not math.isnan(cell.difference)]
    if not compared:
        return []
    return [*_family(compared, margin), *_detectable(cells), *_headroom(cells)]


def best(
    cells: Mapping[tuple[str, str], Cell],
    rows: Sequence[str],
    columns: Sequence[str],
    published: Beside,
) -> dict[str, tuple[list[str], list[str]]]:
    """By column the best rows and the second best, equal as they are shown; no baselines.

    Only rows that have all their runs and no degenerate one; of the literature only what may be
    ranked with ours.
    """
    found = {}
    for column in columns:
        own = {row: cells[row, column] for row in rows if (row, column) in cells}
        whole = {row: cell for row, cell in own.items() if cell.is_complete and not cell.degenerate}
        means = {row: round(cell.mean, 1) for row, cell in whole.items()}
        others = {row: published.values.get((row, column)) for row in published.ranked}
        means |= {row: round(value, 1) for row, value in others.items() if value is not None}
        places = sorted(set(means.values()), reverse=True)[:2]
        if len(places) > 1:  # where all are equal none is best
            first, second = ([row for row in means if means[row] == place] for place in places)
            found[column] = (first, second)
    return found


def ranks(
    cells: Mapping[tuple[str, str], Cell], rows: Sequence[str], columns: Sequence[str]
) -> list[str]:
    """The mean rank over all columns of the rows that have every run of every column.

    Nothing for one column, one complete row, or a table that compares nothing.
    """
    from scipy.stats import rankdata

    is_compared = any(not math.isnan(cell.difference) for cell in cells.values())
    complete = [row for row in rows if all(_is_complete(cells.get((row, c))) for c in columns)]
    if not is_compared or len(columns) < 2 or len(complete) < 2:
        return []
    means = np.array([[cells[row, column].mean for column in columns] for row in complete])
    mean_ranks = rankdata(-means, axis=0).mean(1)
    order = np.argsort(mean_ranks, kind="stable")
    shown = "; ".join(f"{complete[i]} {mean_ranks[i]:.1f}" for i in order)
    left = [row for row in rows if row not in complete]
    note = f"mean rank over {', '.join(columns)} (1 is best, of {len(complete)}): {shown}"
    return [note + (f"; without a rank, being incomplete: {', '.join(left)}" if left else "")]


def _is_complete(cell: Cell | None) -> bool:
    return cell is not None and cell.is_complete


def _family(compared: list[Cell], margin: float) -> list[str]:
    tested = [cell for cell in compared if not math.isnan(cell.p)]
    if not tested:
        return [f"no marks: a test needs {SEEDS_NEEDED} seeds"]
    counted = f"all {len(tested)} differences of this table"
    if untested := len(compared) - len(tested):
        counted += f" that have {SEEDS_NEEDED} seeds and vary ({untested} do not)"
    return [
        f"marks: * p < {LEVEL:g}, ** p < {STRONG:g}, if the interval is without zero: paired "
        "t-test over seeds (each the mean of its teachers), its error with that of the examples, "
        f"corrected by Holm in the family of {counted}",
        f"≈ no difference beyond ± {margin:g} points, if the interval is within them: two "
        f"one-sided tests of this kind at {LEVEL:g}, corrected in the same family; "
        "without a mark one cannot tell whether there is a difference",
    ]


def _detectable(cells: Mapping[tuple[str, str], Cell]) -> list[str]:
    found = {key: cell.detectable for key, cell in cells.items()}
    if not (shown := _ranges(found)):
        return []
    return [
        "smallest difference that would have been found with 80 % power (paired t-test at "
        f"{LEVEL:g} of one cell, uncorrected), in points: {shown}"
    ]


def _headroom(cells: Mapping[tuple[str, str], Cell]) -> list[str]:
    if not (shown := _ranges({key: cell.headroom for key, cell in cells.items()})):
        return []
    note = f"headroom (teacher minus none), in points: {shown}"
    known = [cell for cell in cells.values() if not math.isnan(cell.headroom)]
    if any(math.isnan(cell.share) for cell in known):
        note += "; the share of it that a row closes is blank where it is within the spread"
    return [note]


def _ranges(found: Mapping[tuple[str, str], float]) -> str:
    """The range of each column's numbers; "" if there are none."""
    columns: dict[str, list[float]] = {}
    for (_, column), number in found.items():
        if not math.isnan(number):
            columns.setdefault(column, []).append(number)
    ranges = {column: (min(numbers), max(numbers)) for column, numbers in columns.items()}
    return ", ".join(
        f"{column} {low:.1f}" + (f" to {high:.1f}" if f"{low:.1f}" != f"{high:.1f}" else "")
        for column, (low, high) in ranges.items()
    )
