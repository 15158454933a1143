"""How much of the variance each axis and each pair of axes accounts for, and marginal means.

One additive least-squares model a table column: axes, pairs of axes, seeds. Incomplete and
unbalanced grids are the rule, so that ranks, not numbers of columns, count degrees of freedom
(statsmodels' own `anova_lm` counts columns, which is the same only where no cell is empty).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analysis.grid import SEEDS, Grid, grids, named

DRAWS = 300
TINY = 1e-9  # of a column's size: rounding
INTERCEPT = ""
RESIDUAL = "residual"
WEIGHTS_SEED = 2
Columns = dict[str, np.ndarray]  # of the design, by term
NOTHING = float("nan")


@dataclass(frozen=True)
class Design:
    """Sum-coded columns of every term; `holds` names the axes (or the seed) that a term is of."""

    points: np.ndarray
    columns: Columns
    holds: dict[str, frozenset[str]]
    seeds: np.ndarray


def shares(scores: pd.DataFrame, axes: Sequence[str]) -> pd.DataFrame:
    """The share of the variance of each column that each axis, each pair and the seed account for.

    One row each of column and term: `kind` (axis, pair, seed, residual), `df`, `eta` (type II
    sum of squares over the total: in a balanced grid these add up to one), `share` (omega squared:
    eta less what so many levels account for by chance, which may be below zero), `low` and `high`
    (95 % of `share`, whole seeds resampled, shifted by their bias), `p` of F, `n` runs, `note`.

    Type II: a term beside all others but those it is part of. A pair of which cells are empty is
    estimated from those there, and the note counts them; NaN, with the reason, stands where none
    beyond the single axes is there, or where other terms account for the same. Axes that part the
    runs alike are one term, named so. Runs that are not done are no part, and the note counts them.
    F takes examples as they are; with fewer than two seeds or no residual, only eta is there.
    """
    found = [
        {"column": grid.column, **row} for grid in grids(scores, axes).values() for row in _of(grid)
    ]
    names = ["column", "term", "kind", "df", "eta", "share", "low", "high", "p", "n", "note"]
    return pd.DataFrame(found, columns=names)


def means(scores: pd.DataFrame, axis: str, axes: Sequence[str]) -> pd.DataFrame:
    """Marginal means of the levels of an axis, in points, over a balanced grid of the other axes.

    Of the additive model, every level of every other axis and every seed weighing the same. One row
    each of column and level: `mean`, `low` and `high` (95 %, whole seeds resampled), `n` runs,
    `seeds`, `note`. NaN, with the reason, where other axes differ whenever this one does.
    """
    found = [
        {"column": grid.column, "axis": axis, **row}
        for grid in grids(scores, axes).values()
        if axis in grid.axes
        for row in _means_of(grid, axis)
    ]
    names = ["column", "axis", "level", "mean", "low", "high", "n", "seeds", "note"]
    return pd.DataFrame(found, columns=names)


def _of(grid: Grid) -> list[dict[str, Any]]:
    if len(grid.runs) < 2 or not np.ptp(grid.runs["score"]):
        return []
    full = _design(grid)
    n = len(full.points)
    total = float(((full.points - full.points.mean()) ** 2).sum())
    rest, free = _fitted(full, list(full.columns))
    error = rest / free if free else NOTHING
    low, high = _intervals(full, free)
    rows = []
    for term in full.columns:
        if term == INTERCEPT:
            continue
        squares, df = _squares(full, term)
        told = {"term": term, "kind": _kind(full, term), "df": df, "n": n}
        if df == 0:
            rows.append(told | {"note": "not estimated: other terms account for the same runs"})
            continue
        share = (squares - df * error) / (total + error)
        rows.append(
            told
            | {"eta": squares / total, "share": share, "low": low[term], "high": high[term]}
            | {"p": _p_of_f(squares / df / error, df, free), "note": _note(grid, full, term)}
        )
    lost = ", ".join(f"{count} {why}" for why, count in grid.left.items())
    note = f"left out: {lost}" if lost else ""
    last = {"term": RESIDUAL, "kind": RESIDUAL, "df": free, "eta": rest / total, "n": n}
    return [*rows, last | {"note": note}]


def _means_of(grid: Grid, axis: str) -> list[dict[str, Any]]:
    from statsmodels.api import OLS

    design = _design(grid, pairs=False)
    matrix = np.concatenate(list(design.columns.values()), 1)
    fit = OLS(design.points, matrix).fit()
    levels = grid.levels[axis]
    start = list(design.columns).index(named(grid, axis))
    before = sum(found.shape[1] for found in list(design.columns.values())[:start])
    wanted = np.zeros((len(levels), matrix.shape[1]))
    wanted[:, 0] = 1
    wanted[:, before : before + len(levels) - 1] = _sum_code(len(levels))
    row_space = np.linalg.pinv(matrix) @ matrix
    is_known = np.abs(wanted @ row_space - wanted).max(1) < 1e-6
    drawn = _drawn_means(design, matrix, wanted)
    means = [t.effect.item() if False else float(t) for t in wanted @ fit.params]
    raise NotImplementedError(drawn, is_known, means)
