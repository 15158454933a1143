"""Matched comparisons: pairs of runs that differ in one axis and agree in all others.

They agree in task, seed and teacher seed too. Where an axis does not apply to one of the two (the
matching of a student without layer knowledge), nothing is held against the pair.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis import bootstrap, stats
from analysis.cells import PERCENT, Draws
from analysis.effects.comparable import SEEDS, Grid, absent, governs, grids, same_or_absent
from analysis.stats import LEVEL, MARGIN

OTHER = "_other"
NAMES = ["column", "axis", "level", "other"]
NUMBERS = ["difference", "low", "high", "n", "seeds", "p", "equivalence", "detectable"]


@dataclass(frozen=True)
class Sample:
    """Mean differences in points of each seed and teacher, and on draws [DRAWS, ...] if any."""

    seeds: np.ndarray
    teachers: np.ndarray
    values: np.ndarray
    drawn: np.ndarray | None

    @property
    def keys(self) -> list[tuple[int, int]]:
        """Seed and teacher's seed of each."""
        return list(zip(self.seeds.tolist(), self.teachers.tolist(), strict=True))


def matched(
    scores: pd.DataFrame,
    axis: str,
    axes: Sequence[str],
    *,
    margin: float = MARGIN,
    draws: Draws | None = None,
) -> pd.DataFrame:
    """Every two levels of an axis that have matched pairs, in every column of a table.

    One row each: column, axis, level, other, `difference` (points, level minus other: the mean
    over seeds of each seed's mean), `low` and `high` (95 %, seeds and teachers resampled, and
    examples if there are draws), `n` pairs, `seeds`, `p` (paired t-test over seeds, NaN under
    five), `equivalence` (p of two one-sided tests), `detectable` (points), `degenerate` (pairs),
    `over` (axes that apply to one side only, over whose levels it is a mean), and, of Holm's
    correction over all rows, `adjusted`, `equivalent`, `shown` and `alike`: see `claimed`.

    Args:
        scores: as `analysis.frame.scores`, of one split.
        axis: to compare levels of.
        axes: all columns in which students may differ.
        margin: points within which a difference counts as none.
        draws: scores on resampled examples, for intervals and errors that include theirs.
    """
    return compared(grids(scores, [*axes, axis]), axis, margin, draws)


def compared(
    found_in: Mapping[str, Grid], axis: str, margin: float, draws: Draws | None
) -> pd.DataFrame:
    """As `matched`, of the grids of all columns."""
    found = [
        {"column": grid.column, "axis": axis, "level": level, "other": other}
        | contrast(both, grid, margin, draws)
        for grid in found_in.values()
        for (level, other), both in grouped(pairs(grid, axis), ["level", "other"])
    ]
    return claimed(pd.DataFrame(found, columns=[*NAMES, *NUMBERS, "degenerate", "over"]), margin)


def claimed(found: pd.DataFrame, margin: float = MARGIN) -> pd.DataFrame:
    """Comparisons with what they may claim, if they are one family.

    `adjusted` and `equivalent` are Holm's p; `shown`: adjusted p < 0.05 and an interval without
    zero; `alike`: equivalent p < 0.05 and an interval within ± margin.
    """
    adjusted = np.array(stats.holm(found["p"].tolist()))
    equivalent = np.array(stats.holm(found["equivalence"].tolist()))
    is_within = (found["low"] > -margin) & (found["high"] < margin)
    is_within &= found["degenerate"] < found["n"]  # what all failed is alike in nothing else
    return found.assign(
        adjusted=adjusted,
        equivalent=equivalent,
        shown=~has_zero(found) & (adjusted < LEVEL),
        alike=is_within & (equivalent < LEVEL),
    )


def less(one: Sample, other: Sample) -> Sample | None:
    """One sample less another, of the seeds and teachers that both have, if there are any."""
    places = {key: place for place, key in enumerate(other.keys)}
    shared = [(place, places[key]) for place, key in enumerate(one.keys) if key in places]
    if not shared:
        return None
    ours, theirs = np.array(shared).T
    drawn = None
    if one.drawn is not None and other.drawn is not None:
        drawn = one.drawn[:, ours] - other.drawn[:, theirs]
    values = one.values[ours] - other.values[theirs]
    return Sample(one.seeds[ours], one.teachers[ours], values, drawn)


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
    averaging = _averaging(place.ravel(), len(keys))
    values = averaging @ both["difference"].to_numpy(dtype=float)
    drawn = None if draws is None else _drawn(both, grid, draws) @ averaging.T
    return Sample(keys[:, 0], keys[:, 1], values, drawn)


def _averaging(place: np.ndarray, groups: int) -> np.ndarray:
    """What takes values at places to the means of their groups [groups, values]."""
    found = np.equal.outer(np.arange(groups), place).astype(float)
    return found / found.sum(1, keepdims=True)


def said(sample: Sample, margin: float) -> dict[str, Any]:
    """Mean, interval and tests of a sample, as in `matched`."""
    drawn = sample.drawn
    if drawn is None:
        drawn = np.broadcast_to(sample.values, (bootstrap.DRAWS, len(sample.values)))
    low, high = bootstrap.interval(drawn, sample.seeds.tolist(), sample.teachers.tolist())
    names, place = np.unique(sample.seeds, return_inverse=True)
    averaging = _averaging(place, len(names))
    by_seed, examples = (averaging @ sample.values).tolist(), 0.0
    if sample.drawn is not None and len(by_seed) > 1:
        examples = bootstrap.from_examples(sample.drawn @ averaging.T)
    return {
        "difference": float(np.mean(by_seed)),
        "low": low,
        "high": high,
        "seeds": len(by_seed),
        "p": stats.paired_t(by_seed, examples),
        "equivalence": stats.equivalence(by_seed, examples, margin),
        "detectable": stats.detectable(by_seed, examples),
    }


def contrast(both: pd.DataFrame, grid: Grid, margin: float, draws: Draws | None) -> dict[str, Any]:
    """What pairs of two levels (or of two groups of them) say, as in `matched`."""
    is_degenerate = both["degenerate"] | both["degenerate" + OTHER]
    return said(sampled(both, grid, draws), margin) | {
        "n": len(both),
        "degenerate": int(is_degenerate.sum()),
        "over": ", ".join(_averaged(both, grid)),
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


def has_zero(bounds: pd.DataFrame) -> pd.Series:
    return (bounds["low"] <= 0) & (bounds["high"] >= 0)
