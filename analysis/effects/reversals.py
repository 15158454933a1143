"""Where the better of two levels is another, or by how much it is better, at other places.

A place is a level of another axis, or a task: matched comparisons of the same two levels there.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from analysis.effects.comparable import Grid, absent, grids
from analysis.effects.pairing import NAMES, OTHER, TESTED, TOLD, contrast, grouped, pairs, sampled
from analysis.statistics import contrasts
from analysis.statistics.cells import Draws
from analysis.statistics.contrasts import Verdict, less
from analysis.statistics.seed_tests import MARGIN

TASK = "task"
THERE = "_there"
SIDE = ["difference", "low", "high", "n", "seeds", "adjusted", "shown"]
AT_SIDE = ["difference", "low", "high", "n", "seeds"]  # of a change, whose own test it has


def flips(
    scores: pd.DataFrame,
    axis: str,
    by: str,
    axes: Sequence[str],
    *,
    margin: float = MARGIN,
    draws: Draws | None = None,
    known: dict[str, Verdict] | None = None,
) -> pd.DataFrame:
    """Where the better of two levels of an axis is another at another level of `by`.

    One row for each two levels with two sides of opposite signs: axis, by, level, other, and of
    the first side `column`, `at` (its level of `by`), difference, low, high, n, seeds, adjusted,
    shown; of the second the same with `_there`. `adjusted` is the larger of the two, as each side
    has to be there, and `verdict` `shown` if both sides are shown, else `cannot tell`.

    Args:
        scores: as `analysis.read.frame.scores`, of one split.
        axis: to compare levels of.
        by: another axis, or `task`, of which sides are columns.
        axes: all columns in which students may differ.
        margin: points; no flip depends on it.
        draws: as in `matched`.
        known: as in `matched`.
    """
    found_in = grids(scores, [*axes, axis, by])
    found = sides(found_in, axis, by, margin, draws)
    return reversed_of(contrasts.judged(found, {} if known is None else known))


def sides(
    found_in: Mapping[str, Grid], axis: str, by: str, margin: float, draws: Draws | None
) -> pd.DataFrame:
    """All comparisons that could be a side of a flip, not yet judged, of all columns.

    A family is all of the axis by `by`, or, where so many tests could mark nothing, those of a
    column, or those at one place.
    """
    names = ["task", "place", "at", "axis", "by", *NAMES, *TOLD, *TESTED]
    found = pd.DataFrame(
        _sides(found_in, axis, by, margin, draws), columns=list(dict.fromkeys(names))
    )
    # What meets no other place is no side, and is not tested.
    within = ["level", "other"] + ([] if by == TASK else ["column"])
    other = "task" if by == TASK else "at"
    is_met = found.groupby(within)[other].transform("nunique") > 1
    return found[is_met.astype(bool)].reset_index(drop=True)


def reversed_of(judged: pd.DataFrame) -> pd.DataFrame:
    """Of judged sides each two of opposite signs, as in `flips`."""
    own = ["task", "place", "column", "at", *SIDE]
    shared = ["axis", "by", "level", "other"]
    found = judged[[*shared, *own]].merge(judged[[*shared, *own]], on=shared, suffixes=("", THERE))
    is_pair = found["place"] < found["place" + THERE]
    is_by_task = found["by"] == TASK
    is_pair &= (is_by_task & (found["task"] != found["task" + THERE])) | (
        ~is_by_task & (found["column"] == found["column" + THERE])
    )
    is_pair &= found["difference"] * found["difference" + THERE] < 0
    found = found[is_pair]
    both = found["shown"].astype(bool) & found["shown" + THERE].astype(bool)
    verdict = both.map({True: "shown", False: "cannot tell"})
    adjusted = found[["adjusted", "adjusted" + THERE]].max(axis=1, skipna=False)
    found = found.assign(adjusted=adjusted, verdict=verdict)
    kept = [name + end for end in ("", THERE) for name in own[2:]]
    return found[[*shared, *kept, "verdict"]].reset_index(drop=True)


def changes(
    found_in: Mapping[str, Grid], rows: pd.DataFrame, by: str, margin: float, draws: Draws | None
) -> pd.DataFrame:
    """Whether differences are larger at one level of another axis than at another.

    One row for each of the rows and each two levels of `by`, not yet judged: both sides as in
    `flips`, and the contrast of the first side's difference less the second's, over the seeds that
    both have.

    Args:
        found_in: the grids of all columns.
        rows: differences, of `matched`.
        by: another axis than theirs.
        margin: points; no change depends on it.
        draws: as in `matched`.
    """
    found = [
        {name: row[name] for name in NAMES} | {"by": by} | change
        for row in rows.to_dict("records")
        for change in _changes(found_in[row["column"]], row, by, margin, draws)
    ]
    ends = [name + end for end in ("", THERE) for name in ("at", *AT_SIDE)]
    tests = ["apart", "low_apart", "high_apart", "p", "equivalence", "degenerate", "key"]
    return pd.DataFrame(found, columns=[*NAMES, "by", *ends, *tests, *TESTED])


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
    told = {at: contrast(parts[at], grid, margin, draws) for at in samples}
    for at, there in combinations(samples, 2):
        if apart := less(samples[at], samples[there]):
            tests = contrasts.contrast(apart, margin)
            yield {
                **{"at": at, "at" + THERE: there},
                **{name: told[at][name] for name in AT_SIDE},
                **{name + THERE: told[there][name] for name in AT_SIDE},
                **{"apart": tests.difference, "low_apart": tests.low, "high_apart": tests.high},
                **{"p": tests.p, "equivalence": tests.equivalence},
                "degenerate": told[at]["degenerate"],
                "key": f"{told[at]['key']} less {told[there]['key']}",
                "path": ("changes", str(row["axis"]), by, grid.column),
                "planned": grid.seeds,
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
            told = {"task": part["task"].iloc[0], "place": order[at], "at": at}
            told |= {"column": grid.column, "axis": axis, "by": by, "level": level, "other": other}
            path = ("flips", axis, by, grid.column, str(at))
            tested = {"path": path, "planned": grid.seeds}
            yield told | contrast(part, grid, margin, draws) | tested


def _placed(both: pd.DataFrame, by: str) -> pd.DataFrame:
    """Pairs with their level of another axis, which may apply to one side only."""
    twin = both.get(by + OTHER, both[by])
    return both.assign(at=both[by].where(~absent(both[by]), twin))
