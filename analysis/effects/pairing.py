"""Matched comparisons: pairs of runs that differ in one axis and agree in all others.

The two runs of a pair agree in task, seed and teacher seed too. Where an axis does not apply to one
of them (the matching of a student without layer knowledge), it may have any level in the other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.effects.comparable import Grid, absent, governs, grids, same_or_absent
from analysis.statistics import contrasts
from analysis.statistics.pairs import COMPARED, OTHER, SEEDS, Inference, compare, in_frame

ENDS = ["level", "other"]  # of a pair: the level of its first run and of its second
NAMES = ["column", "axis", *ENDS]  # what a comparison is of
NUMBERS = [*COMPARED, "over"]  # and its numbers, as `contrast` gives them
TESTED = ["path", "planned"]  # and the family that it may be in


def matched(
    scores: pd.DataFrame, axis: str, axes: Sequence[str], inference: Inference | None = None
) -> pd.DataFrame:
    """Every two levels of an axis that have matched pairs, in every column of a table.

    One row each: column, axis, level, other; `difference` (level minus other, points), low, high,
    seeds, p, equivalence and detectable as of `contrasts.Contrast`; `n` pairs, `degenerate` ones
    among them, `over` (axes that apply to one side only, over whose levels it is a mean), `key`;
    and adjusted, equivalent, shown, alike and family as of `contrasts.judged`. A family is all of
    the axis, or, where so many tests could mark nothing, that of a column, or in it the levels
    against the one with most pairs, and the others.

    Args:
        scores: as `analysis.read.frame.scores`, of one split.
        axis: to compare levels of.
        axes: all columns in which students may differ.
        inference: the margin, the draws, and verdicts on what was tested elsewhere, such as in the
            study's tables; it gets those that are new.
    """
    return comparisons(grids(scores, [*axes, axis]), axis, inference or Inference())


def comparisons(column_grids: Mapping[str, Grid], axis: str, inference: Inference) -> pd.DataFrame:
    """As `matched`, of the grids of all columns."""
    rows = []
    for grid in column_grids.values():
        in_column = [
            {"column": grid.column, "axis": axis, "level": level, "other": other}
            | contrast(of_levels, grid, inference)
            for (level, other), of_levels in pairs(grid, axis).groupby(ENDS, sort=False)
        ]
        # The smallest family is of one level against all others, as figures draw it.
        first = reference(pd.DataFrame(in_column, columns=["level", "other", "n"]))
        for row in in_column:
            role = "reference" if first in (row["level"], row["other"]) else "others"
            path = (f"axis {axis}", grid.column, role)
            rows.append(row | {"path": path, "planned": grid.seeds})
    # The columns are named, as a frame of no rows would have none.
    compared = pd.DataFrame(rows, columns=[*NAMES, *NUMBERS, *TESTED])
    return contrasts.judged(compared, inference.verdicts)


def reference(comparisons: pd.DataFrame) -> str:
    """The level that has most pairs with the others, of equals the first; "" of no comparisons."""
    levels = dict.fromkeys([*comparisons["level"], *comparisons["other"]])
    is_of = {
        level: (comparisons["level"] == level) | (comparisons["other"] == level) for level in levels
    }
    return max(levels, key=lambda level: comparisons["n"][is_of[level]].sum(), default="")


def matters(comparisons: pd.DataFrame) -> pd.Series:
    """Which differences a recommendation may rest on: shown, and not within the margin."""
    return comparisons["shown"] & ~comparisons["alike"]


def pairs(grid: Grid, axis: str) -> pd.DataFrame:
    """All pairs of a grid's runs that differ in one axis only, one row each.

    Columns as `analysis.statistics.pairs.in_frame` has them, with the two runs' levels as `level`
    and `other`, in the study's order.
    """
    order = {level: index for index, level in enumerate(grid.levels.get(axis, []))}
    runs = grid.runs.assign(level=grid.runs[axis] if order else None)
    runs = runs[runs["level"].notna()].drop(columns=[axis], errors="ignore")
    other_axes = [name for name in grid.levels if name != axis]
    # An axis that this one governs may be absent on one side: it cannot be a key of the merge.
    governed = [name for name in other_axes if governs(axis, name)]
    equal = [name for name in other_axes if name not in governed]
    # In a merge None equals None: two runs to which an axis does not apply agree in it.
    both = runs.merge(runs, on=[*equal, *SEEDS], suffixes=("", OTHER))
    # The merge has each pair twice, and each run with itself: one of each is in the study's order.
    is_pair = both["level"].map(order) < both["level" + OTHER].map(order)
    for name in governed:
        is_pair &= same_or_absent(both[name], both[name + OTHER])
    both = both[is_pair].rename(columns={"level" + OTHER: "other"}).reset_index(drop=True)
    return both.assign(difference=both["score"] - both["score" + OTHER])


def contrast(pairs: pd.DataFrame, grid: Grid, inference: Inference) -> dict[str, Any]:
    """The contrast of pairs of two levels, or of two groups of levels, before it is judged."""
    over = ", ".join(_one_sided(pairs, grid))
    return compare(in_frame(pairs), grid.split, grid.metric, inference) | {"over": over}


def _one_sided(pairs: pd.DataFrame, grid: Grid) -> list[str]:
    """Axes that apply to one side only, and of which there are several levels."""
    return [
        name
        for name in grid.levels
        if name + OTHER in pairs
        and (absent(pairs[name]) ^ absent(pairs[name + OTHER])).any()
        and len({*pairs[name].dropna(), *pairs[name + OTHER].dropna()}) > 1
    ]
