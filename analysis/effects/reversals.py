"""Where another of two levels is the better one, and where the same one is better by more.

A place is a level of another axis, or a task: matched comparisons of the same two levels there.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from analysis.effects.comparable import Grid, absent, grids
from analysis.effects.pairing import ENDS, NAMES, NUMBERS, TESTED, contrast, pairs
from analysis.statistics import contrasts
from analysis.statistics.contrasts import less
from analysis.statistics.pairs import OTHER, Inference, in_frame, sample_of

TASK = "task"
THERE = "_there"  # ends the columns that are of the second place
SIDE = ["difference", "low", "high", "n", "seeds", "adjusted", "shown"]
AT_SIDE = ["difference", "low", "high", "n", "seeds"]  # of a change, which has a test of its own


def flips(
    scores: pd.DataFrame,
    axis: str,
    by: str,
    axes: Sequence[str],
    inference: Inference | None = None,
) -> pd.DataFrame:
    """Two levels of an axis of which one is better at one level of `by`, and the other at another.

    Example: `random` beats `copied` at the task `rte` and loses to it at `mrpc`.

    One row for each two levels with two sides of opposite signs: axis, by, level, other, and of
    the first side `column`, `at` (its level of `by`), difference, low, high, n, seeds, adjusted,
    shown; of the second the same with `_there`. `adjusted` is the larger of the two, as each side
    has to be there, and `verdict` `shown` if both sides are shown, else `cannot tell`.

    Args:
        scores: as `analysis.read.frame.scores`, of one split.
        axis: to compare levels of.
        by: another axis, or `task`, of which sides are columns.
        axes: all columns in which students may differ.
        inference: as in `matched`; no flip depends on its margin.
    """
    inference = inference or Inference()
    compared = sides(grids(scores, [*axes, axis, by]), axis, by, inference)
    return reversed_of(contrasts.judged(compared, inference.verdicts))


def sides(
    column_grids: Mapping[str, Grid], axis: str, by: str, inference: Inference
) -> pd.DataFrame:
    """All comparisons that could be a side of a flip, not yet judged, of all columns.

    A family is all of the axis by `by`, or, where so many tests could mark nothing, those of a
    column, or those at one place.
    """
    names = ["task", "place", "at", "axis", "by", *NAMES, *NUMBERS, *TESTED]
    compared = pd.DataFrame(
        _sides(column_grids, axis, by, inference), columns=list(dict.fromkeys(names))
    )
    # Levels that meet at one place only cannot flip, and are not tested.
    within = ["level", "other"] + ([] if by == TASK else ["column"])
    places = compared.groupby(within)["task" if by == TASK else "at"].transform("nunique")
    return compared[(places > 1).astype(bool)].reset_index(drop=True)


def reversed_of(judged: pd.DataFrame) -> pd.DataFrame:
    """Each two of the judged comparisons that have opposite signs, as `flips` gives them."""
    of_side = ["task", "place", "column", "at", *SIDE]
    shared = ["axis", "by", "level", "other"]
    sides = judged[[*shared, *of_side]]
    flips = sides.merge(sides, on=shared, suffixes=("", THERE))
    is_pair = flips["place"] < flips["place" + THERE]  # each two once, no side with itself
    is_by_task = flips["by"] == TASK
    # By task the two sides are columns of two tasks, not two metrics of one; else of one column.
    is_pair &= (is_by_task & (flips["task"] != flips["task" + THERE])) | (
        ~is_by_task & (flips["column"] == flips["column" + THERE])
    )
    flips = flips[is_pair & (flips["difference"] * flips["difference" + THERE] < 0)]
    is_shown = flips["shown"].astype(bool) & flips["shown" + THERE].astype(bool)
    flips = flips.assign(
        # An intersection-union test: that both are there is as sure as the less sure of them.
        adjusted=flips[["adjusted", "adjusted" + THERE]].max(axis=1, skipna=False),
        verdict=is_shown.map({True: "shown", False: "cannot tell"}),
    )
    side_columns = [name + end for end in ("", THERE) for name in of_side[2:]]
    return flips[[*shared, *side_columns, "verdict"]].reset_index(drop=True)


def turned(row: Mapping[Any, Any]) -> dict[Any, Any]:
    """A comparison the other way round, on its second side too if it has one."""
    swapped = {**row, "level": row["other"], "other": row["level"]}
    for side in (side for side in ("", THERE) if "difference" + side in row):
        swapped["difference" + side] = -row["difference" + side]
        # Of the opposite difference the bounds change places, too.
        swapped["low" + side], swapped["high" + side] = -row["high" + side], -row["low" + side]
    return swapped


def changes(
    column_grids: Mapping[str, Grid], rows: pd.DataFrame, by: str, inference: Inference
) -> pd.DataFrame:
    """Whether differences are larger at one level of another axis than at another.

    One row for each of the rows and each two levels of `by`, not yet judged: both sides as in
    `flips`, and the contrast of the first side's difference less the second's (`apart`, with
    `low_apart` and `high_apart`), over the seeds that both have.

    Args:
        column_grids: the grids of all columns.
        rows: differences, of `matched`.
        by: another axis than theirs.
        inference: as in `matched`; no change depends on its margin.
    """
    compared = [
        {name: row[name] for name in NAMES} | {"by": by} | change
        for row in rows.to_dict("records")
        for change in _changes(column_grids[row["column"]], row, by, inference)
    ]
    ends = [name + end for end in ("", THERE) for name in ("at", *AT_SIDE)]
    tests = ["apart", "low_apart", "high_apart", "p", "equivalence", "degenerate", "key"]
    return pd.DataFrame(compared, columns=[*NAMES, "by", *ends, *tests, *TESTED])


def _changes(
    grid: Grid, row: Mapping[Any, Any], by: str, inference: Inference
) -> Iterator[dict[str, Any]]:
    """The rows of `changes` for one difference."""
    placed = _with_place(pairs(grid, row["axis"]), by) if by in grid.levels else pd.DataFrame()
    if placed.empty:
        return
    placed = placed[(placed["level"] == row["level"]) & (placed["other"] == row["other"])]
    parts = {level: placed[placed["at"] == level] for level in grid.levels[by]}
    parts = {level: part for level, part in parts.items() if len(part)}
    samples = {
        level: sample_of(in_frame(part), grid.split, grid.metric, inference.draws)
        for level, part in parts.items()
    }
    numbers = {level: contrast(part, grid, inference) for level, part in parts.items()}
    for at, there in combinations(samples, 2):
        # Paired by seed: what a seed adds to both differences is not in their gap.
        if gap := less(samples[at], samples[there]):
            tests = contrasts.contrast(gap, inference.margin)
            yield {
                **{"at": at, "at" + THERE: there},
                **{name: numbers[at][name] for name in AT_SIDE},
                **{name + THERE: numbers[there][name] for name in AT_SIDE},
                **{"apart": tests.difference, "low_apart": tests.low, "high_apart": tests.high},
                **{"p": tests.p, "equivalence": tests.equivalence},
                "degenerate": numbers[at]["degenerate"],
                # A key of its own: it compares differences, which no other contrast does.
                "key": f"{numbers[at]['key']} less {numbers[there]['key']}",
                "path": ("changes", str(row["axis"]), by, grid.column),
                "planned": grid.seeds,
            }


def _sides(
    column_grids: Mapping[str, Grid], axis: str, by: str, inference: Inference
) -> Iterator[dict[str, Any]]:
    """Contrasts of two levels at each level of `by`, or in each column."""
    for number, grid in enumerate(column_grids.values()):
        placed = pairs(grid, axis)
        if by == TASK:
            placed = placed.assign(at=grid.column)
            order = {grid.column: number}
        elif by in grid.levels:
            placed = _with_place(placed, by)
            order = {level: place for place, level in enumerate(grid.levels[by])}
        else:
            continue
        for (level, other, at), part in placed.groupby([*ENDS, "at"], sort=False):
            yield {
                **{"task": part["task"].iloc[0], "place": order[str(at)], "at": at},
                **{"column": grid.column, "axis": axis, "by": by, "level": level, "other": other},
                **contrast(part, grid, inference),
                "path": ("flips", axis, by, grid.column, str(at)),
                "planned": grid.seeds,
            }


def _with_place(pairs: pd.DataFrame, by: str) -> pd.DataFrame:
    """Pairs with their level of another axis as `at`; it may apply to one of the two runs only."""
    # An axis that the compared one does not govern is equal in both, and has one column.
    of_other = pairs.get(by + OTHER, pairs[by])
    return pairs.assign(at=pairs[by].where(~absent(pairs[by]), of_other))
