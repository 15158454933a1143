"""Statistics of cells: pure functions of one difference a seed."""

from collections.abc import Sequence
from functools import cache

import numpy as np

SEEDS_NEEDED = 5  # a test of fewer cannot say much: no claim is made
LEVEL = 0.05  # of a family's tests
POWER = 0.8
MARGIN = 1.0  # points: smaller differences do not matter, unless the caller says otherwise


def spread(scores: Sequence[float]) -> float:
    """Standard deviation over seeds (n - 1); NaN for fewer than two."""
    return float(np.std(scores, ddof=1)) if len(scores) > 1 else float("nan")


def paired_t(differences: Sequence[float]) -> float:
    """Two-sided p of a paired t-test over seeds; NaN if they are too few or do not vary.

    Seeds that all differ by exactly nothing have p = 1.
    """
    from scipy.stats import ttest_1samp

    if len(differences) < SEEDS_NEEDED:
        return float("nan")
    if _is_constant(differences):
        return 1.0 if abs(differences[0]) < 1e-9 else float("nan")
    return float(ttest_1samp(differences, 0.0).pvalue)


def equivalence(differences: Sequence[float], margin: float) -> float:
    """p of two one-sided paired t-tests (TOST) that the mean lies within ± `margin`.

    NaN if seeds are too few or do not vary.
    """
    from scipy.stats import ttest_1samp

    if len(differences) < SEEDS_NEEDED or _is_constant(differences):
        return float("nan")
    above = ttest_1samp(differences, -margin, alternative="greater").pvalue
    below = ttest_1samp(differences, margin, alternative="less").pvalue
    return float(max(above, below))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p of one family; NaN are no part of it and stay."""
    values = np.asarray(p, dtype=float)
    tested = np.flatnonzero(~np.isnan(values))
    ordered = tested[np.argsort(values[tested], kind="stable")]
    factors = np.arange(len(ordered), 0, -1)
    adjusted = values.copy()
    adjusted[ordered] = np.minimum(1.0, np.maximum.accumulate(factors * values[ordered]))
    return [float(value) for value in adjusted]


def detectable(differences: Sequence[float]) -> float:
    """The smallest mean difference that a two-sided paired t-test finds with 80 % power.

    From the spread of the given differences and their number, in their unit; the test is one of
    its own, uncorrected. NaN for fewer than two, or if they do not vary.
    """
    if _is_constant(differences):
        return float("nan")
    return _detectable_deviations(len(differences)) * spread(differences)


@cache
def _detectable_deviations(n: int) -> float:
    """The same in standard deviations of n > 1 differences."""
    from scipy.optimize import brentq
    from scipy.stats import f, ncf

    # The square of a t is an F, which has both tails in one.
    critical = f.ppf(1 - LEVEL, 1, n - 1)

    def lacking(shift: float) -> float:
        return float(ncf.sf(critical, 1, n - 1, shift**2) - POWER)

    return float(brentq(lacking, 1e-3, 20.0) / np.sqrt(n))  # two seeds need the most, 16.3


def _is_constant(differences: Sequence[float]) -> bool:
    # Equal differences of scores are equal but for rounding.
    return bool(np.ptp(differences) < 1e-9)
