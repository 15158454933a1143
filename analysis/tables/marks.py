"""What a table claims: its best rows, ranks, and the notes on its tests."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.statistics.cells import Cell
from analysis.statistics.contrasts import STRONG
from analysis.tables.layout import span_text
from analysis.tables.published_rows import PublishedRows
from kdlab import power
from kdlab.power import LARGEST, LEVEL, SEEDS_NEEDED


def notes(table: str, cells: Mapping[tuple[str, str], Cell], margin: float) -> list[str]:
    """Notes on the families of tests, on what they could have found, and on headroom.

    Args:
        table: as the study calls it.
        cells: by row and column.
        margin: points within which a difference counts as none.
    """
    compared = [cell for cell in cells.values() if cell.family]
    if not compared:
        return []
    return [*_tests(table, compared, margin), *_detectable(cells), *_headroom(cells)]


def best(
    cells: Mapping[tuple[str, str], Cell],
    rows: Sequence[str],
    columns: Sequence[str],
    published: PublishedRows,
) -> dict[str, tuple[list[str], list[str]]]:
    """By column the best rows and the second best; rows that are printed alike share a place.

    Only rows that have all their runs and no degenerate one; of the literature only what may be
    ranked with ours.

    Args:
        cells: by row and column.
        rows: those that may be best: no baselines.
        columns: of the table.
        published: rows of the literature.
    """
    best_rows = {}
    for column in columns:
        in_column = {row: cells[row, column] for row in rows if (row, column) in cells}
        # As they are printed: a reader sees no difference between what rounds to the same.
        means = {row: round(c.mean, 1) for row, c in in_column.items() if c.may_be_best}
        others = {row: published.values.get((row, column)) for row in published.ranked}
        means |= {row: round(value, 1) for row, value in others.items() if value is not None}
        largest = sorted(set(means.values()), reverse=True)[:2]
        if len(largest) > 1:  # where all are equal none is best
            first, second = ([row for row in means if means[row] == mean] for mean in largest)
            best_rows[column] = (first, second)
    return best_rows


def ranks(
    cells: Mapping[tuple[str, str], Cell], rows: Sequence[str], columns: Sequence[str]
) -> list[str]:
    """A note on the mean rank over all columns of the rows that have every run of every column.

    There is none for one column, one complete row, or a table that compares nothing.
    """
    from scipy.stats import rankdata

    is_compared = any(not math.isnan(cell.difference) for cell in cells.values())
    complete = [
        row for row in rows if all((row, c) in cells and cells[row, c].is_complete for c in columns)
    ]
    if not is_compared or len(columns) < 2 or len(complete) < 2:
        return []
    means = np.array([[cells[row, column].mean for column in columns] for row in complete])
    # `rankdata` counts from the smallest; ties share the mean of their ranks (Friedman's ranks).
    mean_ranks = rankdata(-means, axis=0).mean(1)
    order = np.argsort(mean_ranks, kind="stable")
    ranked = "; ".join(f"{complete[i]} {mean_ranks[i]:.1f}" for i in order)
    others = [row for row in rows if row not in complete]
    note = f"mean rank over {', '.join(columns)} (1 is best, of {len(complete)}): {ranked}"
    return [note + (f"; without a rank, being incomplete: {', '.join(others)}" if others else "")]


# What a family of a table is, by the length of its path (`arms.against_controls`).
OF = {1: "of this table", 2: "of each column", 3: "of each column and control"}


def _tests(table: str, compared: Sequence[Cell], margin: float) -> list[str]:
    """What the marks mean: how many tests are corrected together, and what was not tested."""
    tested = [cell for cell in compared if not math.isnan(cell.p)]
    if not tested:
        return [f"no marks: a test needs {SEEDS_NEEDED} seeds that differ"]
    # The others quote the verdict of a table that has the same contrast and came first.
    here = [cell for cell in tested if cell.family[0] == f"table {table}"]
    counted = []
    if here:
        sizes = _sizes(here)
        which = " and ".join(OF[n] for n in sorted({len(family) for family in sizes}))
        counted = [f"the {span_text(sizes.values())} differences {which}"]
    if len(here) < len(tested):
        others = dict.fromkeys(cell.family[0] for cell in tested if cell not in here)
        counted.append(f"that of {' or '.join(others)} for the {len(tested) - len(here)} it has")
    if untested := len(compared) - len(tested):
        counted.append(f"{untested} without {SEEDS_NEEDED} seeds that differ are in none")
    return [
        f"marks: * p < {LEVEL:g}, ** p < {STRONG:g}, by the t of the interval, corrected by Holm "
        f"in a family: {', '.join(counted)}",
        f"≈ no difference beyond ± {margin:g} points: the interval lies within them, also after "
        "this correction; without a mark one cannot tell whether there is a difference",
        *_unable(tested),
    ]


def _unable(tested: Sequence[Cell]) -> list[str]:
    """A note on families so large that no difference could be marked at these seeds."""
    # The largest number of seeds of a family: with fewer its tests have an even higher bar.
    steps = {
        family: power.first_step(n, max(c.seeds for c in tested if c.family == family) - 1)
        for family, n in _sizes(tested).items()
    }
    large = [step for step in steps.values() if step > LARGEST]
    if not large:
        return []
    return [
        f"no mark can be had in {len(large)} of {len(steps)} families: the first would need |t| > "
        f"{min(large):.0f} at so few seeds"
    ]


def _sizes(tested: Sequence[Cell]) -> Counter[tuple[str, ...]]:
    """How many tests a family has: rows that are the same runs are one test."""
    return Counter(family for family, _ in {(cell.family, cell.contrast) for cell in tested})


def _detectable(cells: Mapping[tuple[str, str], Cell]) -> list[str]:
    if not (ranges := _ranges({key: cell.detectable for key, cell in cells.items()})):
        return []
    return [
        f"smallest difference that would have been found with 80 % power (at {LEVEL:g} by "
        f"one test, uncorrected), in points: {ranges}"
    ]


def _headroom(cells: Mapping[tuple[str, str], Cell]) -> list[str]:
    if not (ranges := _ranges({key: cell.headroom for key, cell in cells.items()})):
        return []
    note = f"headroom (teacher minus none), in points: {ranges}"
    if any(math.isnan(cell.share) and not math.isnan(cell.headroom) for cell in cells.values()):
        note += "; the share of it that a row closes is blank where it is within the spread"
    return [note]


def _ranges(numbers_of: Mapping[tuple[str, str], float]) -> str:
    """The range of each column's numbers; "" if there are none."""
    columns: dict[str, list[float]] = {}
    for (_, column), number in numbers_of.items():
        if not math.isnan(number):
            columns.setdefault(column, []).append(number)
    return ", ".join(f"{name} {span_text(numbers, '{:z.1f}')}" for name, numbers in columns.items())
