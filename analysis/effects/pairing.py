"""Matched comparisons: pairs of runs that differ in one axis and agree in all others.

They agree in task, seed and teacher seed too. Where an axis does not apply to one of the two (the
matching of a student without layer knowledge), nothing is held against the pair.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.effects.comparable import SEEDS, Grid, absent, governs, grids, same_or_absent
from analysis.statistics import contrasts
from analysis.statistics.cells import PERCENT, Draws
from analysis.statistics.contrasts import Contrast, Sample, Verdict, averaging, identity
from analysis.statistics.seed_tests import MARGIN

OTHER = "_other"
NAMES = ["column", "axis", "level", "other"]
TOLD = [*Contrast._fields, "n", "degenerate", "over", "key"]
TESTED = ["path", "planned"]


def matched(
    scores: pd.DataFrame,
    axis: str,
    axes: Sequence[str],
    *,
    margin: float = MARGIN,
    draws: Draws | None = None,
    known: dict[str, Verdict] | None = None,
) -> pd.DataFrame:
    """Every two levels of an axis that have matched pairs, in every column of a table.

    One row each: column, axis, level, other, what a `Contrast` has (level minus other, points), `n`
    pairs, `degenerate` ones among them, `over` (axes that apply to one side only, over whose levels
    it is a mean), `key`, and what `contrasts.judged` adds: `adjusted`, `equivalent`, `shown`,
    `alike`, `family`. A family is all of the axis, or, where so many tests could mark nothing, that
    of a column, or in it the levels against the one with most pairs, and the others.

    Args:
        scores: as `analysis.read.frame.scores`, of one split.
        axis: to compare levels of.
        axes: all columns in which students may differ.
        margin: points within which a difference counts as none.
        draws: scores on resampled examples, for errors that hold theirs.
        known: verdicts on what was tested elsewhere, such as in the study's tables.
    """
    return judged(grids(scores, [*axes, axis]), axis, margin, draws, {} if known is None else known)


def judged(
    found_in: Mapping[str, Grid],
    axis: str,
    margin: float,
    draws: Draws | None,
    known: dict[str, Verdict],
) -> pd.DataFrame:
    """As `matched`, of the grids of all columns; `known` gets the verdicts that are new."""
    rows = []
    for grid in found_in.values():
        own = [
            {"column": grid.column, "axis": axis, "level": level, "other": other}
            | contrast(both, grid, margin, draws)
            for (level, other), both in grouped(pairs(grid, axis), ["level", "other"])
        ]
        first = reference(pd.DataFrame(own, columns=["level", "other", "n"]))
        for row in own:
            role = "reference" if first in (row["level"], row["other"]) else "others"
            path = (f"axis {axis}", grid.column, role)
            rows.append(row | {"path": path, "planned": grid.seeds})
    return contrasts.judged(pd.DataFrame(rows, columns=[*NAMES, *TOLD, *TESTED]), known)


def reference(part: pd.DataFrame) -> str:
    """Of comparisons of levels the level that has most pairs with the others; "" of none."""
    names = dict.fromkeys([*part["level"], *part["other"]])
    counts = {
        name: part["n"][(part["level"] == name) | (part["other"] == name)].sum() for name in names
    }
    return max(counts, key=lambda name: counts[name], default="")


def matters(found: pd.DataFrame) -> pd.Series:
    """Which comparisons are shown and not within the margin: what may be recommended by."""
    return found["shown"] & ~found["alike"]


def pairs(grid: Grid, axis: str) -> pd.DataFrame:
    """All pairs of a grid's runs that differ in one axis only, one row each.

    `level` and `other` in the study's order, `difference` in points; what is of the other run alone
    ends in `_other`.
    """
    order = {level: place for place, level in enumerate(grid.levels.get(axis, []))}
    runs = grid.runs.assign(level=grid.runs[axis] if order else None)
    runs = runs[runs["level"].notna()].drop(columns=[axis], errors="ignore")
    others = [name for name in grid.levels if name != axis]
    loose = [name for name in others if governs(axis, name)]
    strict = [name for name in others if name not in loose]
    both = runs.merge(runs, on=[*strict, *SEEDS], suffixes=("", OTHER))
    is_kept = both["level"].map(order) < both["level" + OTHER].map(order)
    for name in loose:
        is_kept &= same_or_absent(both[name], both[name + OTHER])
    both = both[is_kept].rename(columns={"level" + OTHER: "other"}).reset_index(drop=True)
    return both.assign(difference=both["score"] - both["score" + OTHER])


def sampled(both: pd.DataFrame, grid: Grid, draws: Draws | None) -> Sample:
    """The mean difference of pairs for each seed and teacher, and on draws of the examples."""
    keys, place = np.unique(both[SEEDS].to_numpy(dtype=int), axis=0, return_inverse=True)
    means = averaging(place.ravel())
    values = means @ both["difference"].to_numpy(dtype=float)
    drawn = None if draws is None else _drawn(both, grid, draws) @ means.T
    return Sample(keys[:, 0], keys[:, 1], values, drawn)


def contrast(both: pd.DataFrame, grid: Grid, margin: float, draws: Draws | None) -> dict[str, Any]:
    """What pairs of two levels (or of two groups of them) say, as in `matched`, not yet judged."""
    is_degenerate = both["degenerate"] | both["degenerate" + OTHER]
    known_by = both.assign(split=grid.split, metric=grid.metric)
    return contrasts.contrast(sampled(both, grid, draws), margin)._asdict() | {
        "n": len(both),
        "degenerate": int(is_degenerate.sum()),
        "over": ", ".join(_averaged(both, grid)),
        "key": identity(known_by, "uid" + OTHER),
    }


def grouped(both: pd.DataFrame, names: list[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    return iter(both.groupby(names, sort=False))  # type: ignore[arg-type]


def _drawn(both: pd.DataFrame, grid: Grid, draws: Draws) -> np.ndarray:
    """Each pair's difference in points on each draw of the examples [draws, pairs]."""
    columns = []
    for uid, other in zip(both["uid"], both["uid" + OTHER], strict=True):
        (ids, ours), (other_ids, theirs) = (
            draws(key, grid.split, grid.metric) for key in (uid, other)
        )
        assert np.array_equal(ids, other_ids)
        columns.append(PERCENT * (ours - theirs))
    return np.stack(columns, 1)


def _averaged(both: pd.DataFrame, grid: Grid) -> list[str]:
    """Axes that apply to one side only, and of which there are several levels."""
    sided = [name for name in grid.levels if name + OTHER in both]
    return [
        name
        for name in sided
        for absent_here in [absent(both[name]) ^ absent(both[name + OTHER])]
        if absent_here.any() and len({*both[name].dropna(), *both[name + OTHER].dropna()}) > 1
    ]
