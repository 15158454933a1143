"""Statistics of a mean difference over seeds: pure functions of one estimate.

Interval, test, equivalence and the detectable difference are all of the same standard error and
the same t, so that they cannot disagree.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kdlab import power
from kdlab.power import LEVEL

ROUNDING = 1e-9
MARGIN = 1.0  # points: smaller differences do not matter, unless the caller says otherwise
NOTHING = float("nan")


@dataclass(frozen=True)
class Estimate:
    """A mean, its standard error (0 where nothing varies) and the degrees of freedom of its t.

    NaN stands for what so few seeds do not tell.
    """

    mean: float
    error: float = NOTHING
    df: float = NOTHING


def spread(scores: Sequence[float]) -> float:
    """Standard deviation over seeds (n - 1); NaN for fewer than two."""
    return float(np.std(scores, ddof=1)) if len(scores) > 1 else NOTHING


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
    upper = 1 - LEVEL / 2
    squares = sum(stdtrit(df, upper) ** 2 * variance for variance, df in sources) / total
    return Estimate(mean, error, float(stdtridf(upper, np.sqrt(squares))))


def interval(found: Estimate) -> tuple[float, float]:
    """The 95 % interval of the mean; NaN where seeds do not tell it."""
    from scipy.special import stdtrit

    if found.error == 0:
        return (found.mean, found.mean) if abs(found.mean) < ROUNDING else (NOTHING, NOTHING)
    half = float(stdtrit(found.df, 1 - LEVEL / 2)) * found.error
    return found.mean - half, found.mean + half


def two_sided(found: Estimate) -> float:
    """p of the mean being 0: below 0.05 where the interval leaves out 0.

    Seeds that all differ by exactly nothing have p = 1; NaN where they do not tell.
    """
    from scipy.special import stdtr

    if found.error == 0:
        return 1.0 if abs(found.mean) < ROUNDING else NOTHING
    return float(2 * stdtr(found.df, -abs(found.mean) / found.error))


def equivalence(found: Estimate, margin: float) -> float:
    """p of the mean being as large as ± `margin`: below 0.05 where the interval lies within.

    It is that of two one-sided tests (TOST; Schuirmann 1987) at half the level each: the usual
    ones at 0.05 go by a 90 % interval, which is not the one that is printed. NaN where seeds do
    not tell.
    """
    from scipy.special import stdtr

    if not found.error > 0:
        return NOTHING
    within = margin - abs(found.mean)
    return min(1.0, float(2 * stdtr(found.df, -within / found.error)))


def detectable(found: Estimate) -> float:
    """The smallest mean that a single test of this error finds with 80 % power; NaN if unknown."""
    if not found.error > 0:
        return NOTHING
    return power.detectable(1, float(f"{found.df:.2g}")) * found.error


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p of one family; NaN are no part of it and stay."""
    values = np.asarray(p, dtype=float)
    tested = np.flatnonzero(~np.isnan(values))
    ordered = tested[np.argsort(values[tested], kind="stable")]
    factors = np.arange(len(ordered), 0, -1)
    adjusted = values.copy()
    adjusted[ordered] = np.minimum(1.0, np.maximum.accumulate(factors * values[ordered]))
    return [float(value) for value in adjusted]
