"""Statistics of a mean difference over seeds: pure functions of one estimate.

Interval, test, equivalence and the detectable difference are all of the same standard error and
the same t, so that they cannot disagree.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kdlab import power
from kdlab.power import LEVEL

ROUNDING = 1e-9  # below it an error or a mean counts as 0
MARGIN = 1.0  # points: smaller differences do not matter, unless the caller says otherwise


@dataclass(frozen=True)
class Estimate:
    """A mean and how well it is known; NaN stands for what so few seeds do not tell.

    Attributes:
        mean: in any unit.
        error: its standard error, 0 where nothing varies.
        df: degrees of freedom of its t.
    """

    mean: float
    error: float = math.nan
    df: float = math.nan


def spread(scores: Sequence[float]) -> float:
    """Standard deviation over seeds (n - 1); NaN for fewer than two."""
    return float(np.std(scores, ddof=1)) if len(scores) > 1 else math.nan


def headroom(teachers: Sequence[float], baselines: Sequence[float]) -> tuple[float, float]:
    """How far teachers are above students without knowledge, and that difference's spread.

    The spread is the standard deviation between two runs. One teacher or one baseline alone has
    none: then the other's stands for both.
    """
    deviations = [spread(scores) for scores in (teachers, baselines)]
    together = math.hypot(*(deviation for deviation in deviations if not math.isnan(deviation)))
    return float(np.mean(teachers) - np.mean(baselines)), together


def combined(mean: float, sources: Sequence[tuple[float, float]]) -> Estimate:
    """An estimate whose variance has several sources, such as seeds, teachers and examples.

    The t is that whose two-sided 95 % quantile q is the root of the mean of the squares of the
    sources' own quantiles, each weighing as its variance does: q error = sqrt(sum(q_i^2 v_i)), the
    modified large-sample interval of Graybill and Wang (1980, J. Am. Stat. Assoc. 75, 869-873).
    One source makes it the ordinary t. The degrees of freedom of Satterthwaite (1946) are larger:
    with three seeds, tests by them at the small levels of a correction are wrong up to ten times
    too often.

    Args:
        mean: in any unit.
        sources: of each the variance of the mean that comes from it, and its degrees of freedom.
    """
    from scipy.special import stdtridf, stdtrit

    total = sum(variance for variance, _ in sources)
    error = float(np.sqrt(total))
    if not error > ROUNDING:
        return Estimate(mean, 0.0)
    upper = 1 - LEVEL / 2  # two-sided: half the level at each end
    # The squares of the sources' quantiles, each weighing as its variance does.
    squares = sum(stdtrit(df, upper) ** 2 * variance for variance, df in sources) / total
    # The degrees of freedom of the t that has this quantile.
    return Estimate(mean, error, float(stdtridf(upper, np.sqrt(squares))))


def interval(estimate: Estimate) -> tuple[float, float]:
    """The 95 % interval of the mean; NaN where seeds do not tell it."""
    from scipy.special import stdtrit

    if estimate.error == 0:
        # No spread at all: either nothing differs, which is known for sure, or all seeds differ by
        # the very same amount, of which an interval of no width would claim too much.
        is_same = abs(estimate.mean) < ROUNDING
        return (estimate.mean, estimate.mean) if is_same else (math.nan, math.nan)
    half = float(stdtrit(estimate.df, 1 - LEVEL / 2)) * estimate.error
    return estimate.mean - half, estimate.mean + half


def two_sided(estimate: Estimate) -> float:
    """p of the mean being 0: below 0.05 where the interval leaves out 0.

    Seeds that all differ by exactly nothing have p = 1; NaN where they do not tell.
    """
    from scipy.special import stdtr

    if estimate.error == 0:
        return 1.0 if abs(estimate.mean) < ROUNDING else math.nan
    return float(2 * stdtr(estimate.df, -abs(estimate.mean) / estimate.error))


def equivalence(estimate: Estimate, margin: float) -> float:
    """p of the mean being as large as ± `margin`: below 0.05 where the interval lies within.

    It is that of two one-sided tests (TOST; Schuirmann 1987) at half the level each: the usual
    ones at 0.05 go by a 90 % interval, which is not the one that is printed. NaN where seeds do
    not tell.
    """
    from scipy.special import stdtr

    if not estimate.error > 0:
        return math.nan
    within = margin - abs(estimate.mean)  # negative where the mean is beyond: p is then above 1
    return min(1.0, float(2 * stdtr(estimate.df, -within / estimate.error)))


def detectable(estimate: Estimate) -> float:
    """The smallest mean that a single test of this error finds with 80 % power; NaN if unknown.

    Degrees of freedom are rounded to two digits, so that a table of thousands of cells solves for
    the power of a few different ones only.
    """
    if not estimate.error > 0:
        return math.nan
    return power.detectable(1, float(f"{estimate.df:.2g}")) * estimate.error


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p of one family of tests; NaN, a test that could not be made, stays NaN.

    Holm 1979, Scandinavian Journal of Statistics 6. The k-th smallest of n counts n - k + 1 times,
    and none less than those before it. Not statsmodels' `multipletests`, which gives the same: it
    collects garbage in every call, a third of a second once a study's records are loaded.
    """
    adjusted = np.array(p, dtype=float)
    is_tested = np.flatnonzero(~np.isnan(adjusted))
    rising = is_tested[np.argsort(adjusted[is_tested], kind="stable")]
    factors = np.arange(len(rising), 0, -1)
    # The running maximum: a larger p is never adjusted to less than a smaller one.
    adjusted[rising] = np.minimum(1.0, np.maximum.accumulate(factors * adjusted[rising]))
    return [float(value) for value in adjusted]
