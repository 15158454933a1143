"""How much of the variance each axis and each pair of axes accounts for, and marginal means.

One additive least-squares model a table column: axes, pairs of axes, seeds. Incomplete and
unbalanced grids are the rule, so that ranks, not numbers of columns, count degrees of freedom
(statsmodels' own `anova_lm` counts columns, which is the same only where no cell is empty).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analysis.effects.comparable import Grid, grids, named
from analysis.statistics import seed_tests
from analysis.statistics.pairs import SEEDS
from kdlab.power import SEEDS_NEEDED

ROUNDING = 1e-8  # relative: smaller singular values count as 0
MEAN = "mean"
AXIS, PAIR, SEED = "axis", "pair", "seed"
RESIDUAL = "residual"


@dataclass(frozen=True)
class Design:
    """A linear model of one table column.

    Attributes:
        points: the runs' scores, centred [runs].
        columns: the sum-coded columns of every term [runs, ...].
        holds: of every term the axes, or the seed, that it is of.
    """

    points: np.ndarray
    columns: dict[str, np.ndarray]
    holds: dict[str, frozenset[str]]


def variance_shares(scores: pd.DataFrame, axes: Sequence[str]) -> pd.DataFrame:
    """The share of the variance of each column that each axis, each pair and the seed account for.

    One row each of column and term: `kind` (axis, pair, seed, residual), `df`, `eta_squared` (type
    II sum of squares over the total, a fraction: in a balanced grid these add up to one),
    `omega_squared` (that less what so many levels account for by chance, which may be below zero),
    `p` of F, `n` runs, `note`. There is no interval: with so few seeds none was found that holds
    its level.

    Type II: a term beside all others but those it is part of. A pair of which cells are empty is
    estimated from those there, and the note counts them; NaN, with the reason, stands where other
    terms account for the same runs. Axes that part the runs alike are one term, named so. Runs that
    are not done are no part, and the residual's note counts them. F takes examples and teachers as
    they are; where the model leaves no residual, only eta squared is there.
    """
    rows = [
        {"column": grid.column, **row}
        for grid in grids(scores, axes).values()
        for row in _of_column(grid.by_run)
    ]
    names = ["column", "term", "kind", "df", "eta_squared", "omega_squared", "p", "n", "note"]
    return pd.DataFrame(rows, columns=names)


def marginal_means(scores: pd.DataFrame, axis: str, axes: Sequence[str]) -> pd.DataFrame:
    """Marginal means of the levels of an axis, in points, over a balanced grid of the other axes.

    Of the additive model, every level of every other axis and every seed weighing the same. One row
    each of column and level: `mean`, `low` and `high` (95 %, of a t over seeds, three or more, by
    the jackknife, as grids are not balanced), `n` runs, `seeds`, `note`. NaN, with the reason,
    where other axes differ whenever this one does.
    """
    rows = [
        {"column": grid.column, "axis": axis, **row}
        for grid in grids(scores, [*axes, axis]).values()
        if axis in grid.axes
        for row in _means(grid.by_run, axis)
    ]
    names = ["column", "axis", "level", "mean", "low", "high", "n", "seeds", "note"]
    return pd.DataFrame(rows, columns=names)


def _of_column(grid: Grid) -> list[dict[str, Any]]:
    """The rows of `variance_shares` of one column."""
    if len(grid.runs) < 2 or not np.ptp(grid.runs["score"]):
        return []
    full, n = _design(grid), len(grid.runs)
    total = float(full.points @ full.points)
    residual, free = _residual(full, list(full.columns))
    error = residual / free if free else np.nan  # mean square of the residual
    rows: list[dict[str, Any]] = []
    for term in list(full.columns)[1:]:  # without the mean
        squares, df = _squares(full, term)
        row = {"term": term, "kind": _kind(full, term), "df": df, "n": n}
        if df == 0:
            rows.append(row | {"note": "not estimated: other terms account for the same runs"})
            continue
        numbers = {
            "eta_squared": squares / total,
            # Each degree of freedom takes the residual's mean square by chance alone.
            "omega_squared": (squares - df * error) / (total + error),
            "p": _p_of_f(squares / df, error, df, free),
        }
        rows.append(row | numbers | {"note": _empty(grid, full, term)})
    left_out = ", ".join(f"{count} {why}" for why, count in grid.left_out.items())
    last = {"term": RESIDUAL, "kind": RESIDUAL, "df": free, "eta_squared": residual / total, "n": n}
    return [*rows, last | {"note": f"runs left out: {left_out}" if left_out else ""}]


def _means(grid: Grid, axis: str) -> list[dict[str, Any]]:
    """The rows of `marginal_means` of one column and axis."""
    seeds = grid.runs["seed"].unique().tolist()
    fitted = _marginal(grid, axis)
    others = [replace(grid, runs=grid.runs[grid.runs["seed"] != seed]) for seed in seeds]
    without_one = np.array(
        [_marginal(other, axis) for other in others if len(seeds) >= SEEDS_NEEDED]
    )
    rows = []
    for index, level in enumerate(grid.levels[axis]):
        of_level = grid.runs[grid.runs[axis] == level]
        mean, low, high = float(fitted[index]), np.nan, np.nan
        if len(without_one):
            # Pseudo-values of the jackknife (Tukey 1958): in a balanced grid each seed's own mean.
            pseudo = len(seeds) * mean - (len(seeds) - 1) * without_one[:, index]
            source = (float(pseudo.var(ddof=1)) / len(seeds), len(seeds) - 1.0)
            low, high = seed_tests.interval(seed_tests.combined(mean, [source]))
        row = {"level": level, "mean": mean, "low": low, "high": high, "n": len(of_level)}
        why = "not estimated: other axes differ whenever this one does" if np.isnan(mean) else ""
        rows.append(row | {"seeds": of_level["seed"].nunique(), "note": why})
    return rows


def _marginal(grid: Grid, axis: str) -> np.ndarray:
    """The marginal mean of each level in points; NaN where the runs do not tell it."""
    from statsmodels.api import OLS

    design, levels = _design(grid, pairs=False), grid.levels[axis]
    matrix = np.concatenate(list(design.columns.values()), 1)
    is_axis = np.concatenate(
        [np.full(c.shape[1], term == named(grid, axis)) for term, c in design.columns.items()]
    )
    # Of sum-coded columns a marginal mean takes the grand mean and the level's own effect alone.
    means = np.zeros((len(levels), matrix.shape[1]))
    means[:, 0] = 1
    means[:, is_axis] = _sum_code(len(levels))
    independent, back = _basis(matrix)
    # A mean is estimable if it lies in the row space of the design: projected there it is itself.
    is_known = np.isclose(means @ back @ back.T @ matrix.T @ matrix, means, atol=1e-6).all(1)
    fitted = means @ (back @ OLS(design.points, independent).fit().params)
    return np.where(is_known, float(grid.runs["score"].mean()) + fitted, np.nan)


def _design(grid: Grid, pairs: bool = True) -> Design:
    """Columns of the mean, of axes, of pairs of axes and of seeds, in this order."""
    runs = grid.runs
    columns = {MEAN: np.ones((len(runs), 1))}
    holds: dict[str, frozenset[str]] = {MEAN: frozenset()}
    for axis in grid.axes:
        columns[named(grid, axis)] = _coded(runs[axis], grid.levels[axis])
        holds[named(grid, axis)] = frozenset([axis])
    for one, other in combinations(grid.axes if pairs else [], 2):
        term = f"{named(grid, one)} x {named(grid, other)}"
        first, second = columns[named(grid, one)], columns[named(grid, other)]
        # Every column of the one axis times every column of the other.
        both = (first[:, :, None] * second[:, None, :]).reshape(len(runs), -1)
        columns[term] = _independent(np.concatenate([columns[MEAN], first, second], 1), both)
        holds[term] = frozenset([one, other])
    pairs_of_seeds = runs[SEEDS].drop_duplicates()
    # Else each seed has one teacher, whose effect is a part of the seed's.
    is_crossed = len(pairs_of_seeds) > pairs_of_seeds["seed"].nunique()
    for name in SEEDS if is_crossed else SEEDS[:1]:
        if runs[name].nunique() > 1:
            columns[name] = _coded(runs[name], runs[name].unique().tolist())
            holds[name] = frozenset([name])
    # Centred, so that the total sum of squares is that about the mean.
    points = (runs["score"] - runs["score"].mean()).to_numpy(dtype=float)
    return Design(points, columns, holds)


def _sum_code(levels: int) -> np.ndarray:
    """Sum coding [levels, levels - 1]: columns add up to 0, so that no level is the reference."""
    return np.concatenate([np.eye(levels - 1), -np.ones((1, levels - 1))])


def _coded(values: pd.Series, levels: Sequence[object]) -> np.ndarray:
    """The sum code of each run's level; zeros where the axis does not apply to it."""
    numbers = values.map({level: number for number, level in enumerate(levels)})
    coded = _sum_code(len(levels))[numbers.fillna(0).astype(int)]
    return coded * numbers.notna().to_numpy(dtype=float)[:, None]


def _independent(before: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the part of `columns` that the columns `before` do not span.

    Columns of a pair of axes of which cells are empty are not independent: the basis has fewer.
    """
    return _basis(columns - before @ (np.linalg.pinv(before) @ columns))[0]


def _squares(full: Design, term: str) -> tuple[float, int]:
    """Type II sum of squares of a term, and its degrees of freedom."""
    others = _beside(full, term)
    squares, free = _residual(full, others)
    squares_with, free_with = _residual(full, [*others, term])
    return squares - squares_with, free - free_with  # what the term leaves less of


def _beside(full: Design, term: str) -> list[str]:
    """What a term is tested beside: all terms but those that contain it, as `size x init` does."""
    axes = full.holds[term]
    return [other for other in full.columns if other == MEAN or not axes <= full.holds[other]]


def _residual(full: Design, terms: Sequence[str]) -> tuple[float, int]:
    """Residual sum of squares and degrees of freedom of a model of some terms."""
    from statsmodels.api import OLS

    matrix = np.concatenate([full.columns[term] for term in terms], 1)
    fit = OLS(full.points, _basis(matrix)[0]).fit()
    return float(fit.ssr), int(fit.df_resid)


def _basis(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Independent columns [n, rank] that span those of a matrix [n, p], and the way back [p, rank].

    A coefficient of the matrix's own columns is `back @` those of the independent ones.
    """
    # Of U S V': the columns of U span the matrix' own, and matrix @ V / S gives them back.
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    is_there = s > ROUNDING * s.max(initial=1.0)
    return u[:, is_there], (v[is_there] / s[is_there, None]).T


def _p_of_f(mean_square: float, error: float, df: int, free: int) -> float:
    from scipy.stats import f

    return float(f.sf(mean_square / error, df, free)) if free and error > 0 else np.nan


def _kind(full: Design, term: str) -> str:
    if full.holds[term] & set(SEEDS):
        return SEED
    return AXIS if len(full.holds[term]) == 1 else PAIR


def _empty(grid: Grid, full: Design, term: str) -> str:
    """The note on a pair of axes of which not all cells are there."""
    axes = [axis for axis in grid.axes if axis in full.holds[term]]
    if len(axes) < 2:
        return ""
    there = len(grid.runs[axes].dropna().drop_duplicates())
    whole = len(grid.levels[axes[0]]) * len(grid.levels[axes[1]])
    return f"{there} of {whole} cells are there" if there < whole else ""
