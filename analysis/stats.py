"""Statistics of cells: pure functions of one difference a seed."""

from collections.abc import Sequence
from functools import cache

import numpy as np

SEEDS_NEEDED = 5  # a test of fewer cannot say much: no claim is made
LEVEL = 0.05  # of a family's tests
POWER = 0.8
ROUNDING = 1e-9
MARGIN = 1.0  # points: smaller differences do not matter, unless the caller says otherwise


def spread(scores: Sequence[float]) -> float:
    """Standard deviation over seeds (n - 1); NaN for fewer than two."""
    return float(np.std(scores, ddof=1)) if len(scores) > 1 else float("nan")


def paired_t(differences: Sequence[float], examples: float) -> float:
    """Two-sided p of a paired t-test over seeds; NaN if they are too few or nothing varies.

    Seeds that all differ by exactly nothing have p = 1.

    Args:
        differences: one a seed.
        examples: the variance of their mean that comes from the examples all seeds share
            (`bootstrap.from_examples`). With 0 it is SciPy's `ttest_rel`.
    """
    from scipy.stats import t

    if len(differences) < SEEDS_NEEDED:
        return float("nan")
    if not (error := _error(differences, examples)):
        return 1.0 if abs(differences[0]) < ROUNDING else float("nan")
    mean = float(np.mean(differences))
    return float(2 * t.sf(abs(mean) / error, len(differences) - 1))


def equivalence(differences: Sequence[float], examples: float, margin: float) -> float:
    """p of two one-sided paired t-tests (TOST) that the mean lies within ± `margin`.

    NaN if seeds are too few or nothing varies.
    """
    from scipy.stats import t

    if len(differences) < SEEDS_NEEDED or not (error := _error(differences, examples)):
        return float("nan")
    within = margin - abs(float(np.mean(differences)))
    return float(t.sf(within / error, len(differences) - 1))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p of one family; NaN are no part of it and stay."""
    values = np.asarray(p, dtype=float)
    tested = np.flatnonzero(~np.isnan(values))
    ordered = tested[np.argsort(values[tested], kind="stable")]
    factors = np.arange(len(ordered), 0, -1)
    adjusted = values.copy()
    adjusted[ordered] = np.minimum(1.0, np.maximum.accumulate(factors * values[ordered]))
    return [float(value) for value in adjusted]


def detectable(differences: Sequence[float], examples: float) -> float:
    """The smallest mean difference that `paired_t` at 0.05 finds with 80 % power.

    From the spread of the given differences, their number and `examples`, in their unit; the test
    is one of its own, uncorrected. NaN for fewer than two, or if nothing varies.
    """
    if len(differences) < 2 or not (error := _error(differences, examples)):
        return float("nan")
    return _detectable_errors(len(differences)) * error


@cache
def _detectable_errors(n: int) -> float:
    """The same in standard errors of the mean of n > 1 differences."""
    from scipy.optimize import brentq
    from scipy.stats import f, ncf

    # The square of a t is an F, which has both tails in one.
    critical = f.ppf(1 - LEVEL, 1, n - 1)

    def lacking(shift: float) -> float:
        return float(ncf.sf(critical, 1, n - 1, shift**2) - POWER)

    return float(brentq(lacking, 1e-3, 20.0))  # two seeds need the most, 16.3


def _error(differences: Sequence[float], examples: float) -> float:
    """Standard error of the mean; 0 where all is equal but for rounding."""
    error = float(np.sqrt(np.var(differences, ddof=1) / len(differences) + examples))
    return error if error > ROUNDING else 0.0
