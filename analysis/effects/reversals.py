"""Where the better of two levels is another, or by how much it is better, at other places.

A place is a level of another axis, or a task: matched comparisons of the same two levels there.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analysis import stats
from analysis.cells import Draws
from analysis.effects.comparable import Grid, absent, grids
from analysis.effects.pairing import (
    NAMES,
    OTHER,
    contrast,
    grouped,
    has_zero,
    less,
    pairs,
    said,
    sampled,
)
from analysis.stats import LEVEL, MARGIN

TASK = "task"
THERE = "_there"
SIDE = ["difference", "low", "high", "n", "seeds", "p"]
APART = ["apart", "low_apart", "high_apart", "p"]


def flips(
    scores: pd.DataFrame,
    axis: str,
    by: str,
    axes: Sequence[str],
    *,
    margin: float = MARGIN,
    draws: Draws | None = None,
) -> pd.DataFrame:
    """Where the better of two levels of an axis is another at another level of `by`.

    One row for each two levels with two sides of opposite signs: axis, by, level, other, and of
    the first side `column`, `at` (its level of `by`), difference, low, high, n, seeds, p; of the
    second the same with `_there`. `verdict`: see `reversed_shown`.

    Args:
        scores: as `analysis.frame.scores`, of one split.
        axis: to compare levels of.
        by: another axis, or `task`, of which sides are columns.
        axes: all columns in which students may differ.
        margin: points; no flip depends on it.
        draws: as in `matched`.
    """
    found = two_sided(grids(scores, [*axes, axis, by]), axis, by, margin, draws)
    return reversed_shown(found).drop(columns="tested")


def two_sided(
    found_in: Mapping[str, Grid], axis: str, by: str, margin: float, draws: Draws | None
) -> pd.DataFrame:
    """All two sides that could be a flip, as in `flips`, of the grids of all columns.

    `tested` is the larger p of the two sides (each has to be there), or 1 where signs agree.
    """
    sides = pd.DataFrame(
        _sides(found_in, axis, by, margin, draws),
        columns=["task", "column", "place", "at", "level", "other", *SIDE],
    )
    within = ["level", "other"] + ([] if by == TASK else ["column"])
    found = sides.merge(sides, on=within, suffixes=("", THERE))
    if by == TASK:
        found = found[found["task"] != found["task" + THERE]]
    else:
        found = found.assign(**{"column" + THERE: found["column"]})
    found = found[found["place"] < found["place" + THERE]]
    is_opposite = found["difference"] * found["difference" + THERE] < 0
    both_p = found[["p", "p" + THERE]].max(axis=1, skipna=False)
    found = found.assign(axis=axis, by=by, tested=both_p.where(is_opposite | both_p.isna(), 1.0))
    one = ["column", "at", *SIDE]
    names = ["axis", "by", "level", "other", *one, *(name + THERE for name in one), "tested"]
    return found[names].reset_index(drop=True)


def reversed_shown(found: pd.DataFrame) -> pd.DataFrame:
    """Of two sides those of opposite signs, with Holm's `adjusted` p over all, and a verdict.

    `shown` if both intervals leave out zero and adjusted p < 0.05, else `cannot tell`.
    """
    adjusted = np.array(stats.holm(found["tested"].tolist()))
    there = found[["low" + THERE, "high" + THERE]].set_axis(["low", "high"], axis=1)
    is_shown = ~has_zero(found) & ~has_zero(there) & (adjusted < LEVEL)
    found = found.assign(adjusted=adjusted, verdict=np.where(is_shown, "shown", "cannot tell"))
    is_opposite = found["difference"] * found["difference" + THERE] < 0
    return found[is_opposite].reset_index(drop=True)


def changes(
    found_in: Mapping[str, Grid], rows: pd.DataFrame, by: str, margin: float, draws: Draws | None
) -> pd.DataFrame:
    """Whether differences are larger at one level of another axis than at another.

    One row for each of the rows and each two levels of `by`: both sides as in `flips`; `apart`,
    the first side's difference less the second's, over the seeds that both have, with `low_apart`,
    `high_apart` and `p` of it.

    Args:
        found_in: the grids of all columns.
        rows: differences, of `matched`.
        by: another axis than theirs.
        margin: points; no change depends on it.
        draws: as in `matched`.
    """
    ends = [name + end for end in ("", THERE) for name in ("at", *SIDE[:-1])]
    found = [
        {name: row[name] for name in NAMES} | {"by": by} | change
        for row in rows.to_dict("records")
        for change in _changes(found_in[row["column"]], row, by, margin, draws)
    ]
    return pd.DataFrame(found, columns=[*NAMES, "by", *ends, *APART])


def _changes(
    grid: Grid, row: Mapping[Any, Any], by: str, margin: float, draws: Draws | None
) -> Iterator[dict[str, Any]]:
    """A difference at each two levels of another axis."""
    both = _placed(pairs(grid, row["axis"]), by) if by in grid.levels else pd.DataFrame()
    if both.empty:
        return
    both = both[(both["level"] == row["level"]) & (both["other"] == row["other"])]
    parts = {at: both[both["at"] == at] for at in grid.levels[by]}
    samples = {at: sampled(part, grid, draws) for at, part in parts.items() if len(part)}
    sides = {at: said(own, margin) | {"n": len(parts[at])} for at, own in samples.items()}
    for at, there in combinations(samples, 2):
        if apart := less(samples[at], samples[there]):
            tests = said(apart, margin)
            yield {
                **{"at": at, "at" + THERE: there},
                **{name: sides[at][name] for name in SIDE[:-1]},
                **{name + THERE: sides[there][name] for name in SIDE[:-1]},
                "apart": tests["difference"],
                "low_apart": tests["low"],
                "high_apart": tests["high"],
                "p": tests["p"],
            }


def _sides(
    found_in: Mapping[str, Grid], axis: str, by: str, margin: float, draws: Draws | None
) -> Iterator[dict[str, Any]]:
    """Contrasts of two levels at each level of `by`, or in each column."""
    for place, grid in enumerate(found_in.values()):
        both = pairs(grid, axis)
        if by == TASK:
            both = both.assign(at=grid.column)
            order = {grid.column: place}
        elif by in grid.levels:
            both = _placed(both, by)
            order = {level: place for place, level in enumerate(grid.levels[by])}
        else:
            continue
        for (level, other, at), part in grouped(both, ["level", "other", "at"]):
            found = contrast(part, grid, margin, draws)
            task = part["task"].iloc[0]
            told = {"task": task, "column": grid.column, "place": order[at], "at": at}
            yield told | {"level": level, "other": other} | {name: found[name] for name in SIDE}


def _placed(both: pd.DataFrame, by: str) -> pd.DataFrame:
    """Pairs with their level of another axis, which may apply to one side only."""
    twin = both.get(by + OTHER, both[by])
    return both.assign(at=both[by].where(~absent(both[by]), twin))
