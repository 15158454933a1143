"""A paired contrast: estimated in one way, tested once, and quoted wherever it is spoken of.

Cells of tables, effects of axes, flips, claims of the literature and `diff` all have their
differences, intervals and tests from here. A contrast is known by the runs that it compares: the
first family that has it tests it, and every later one quotes that verdict.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.statistics import seed_tests
from analysis.statistics.bootstrap import DRAWS, from_examples
from analysis.statistics.seed_tests import Estimate
from kdlab.power import LEVEL, SEEDS_NEEDED, Path, families
from kdlab.storage.durable import short_digest

STRONG = 0.01


@dataclass(frozen=True)
class Sample:
    """Paired differences in points, one for each seed and teacher: first arm minus second.

    Attributes:
        seeds: of each difference [n].
        teachers: the seed of each one's teacher [n]; NO_SEED where all share one.
        values: the differences [n].
        drawn: the differences on each draw of the examples [DRAWS, n]; None takes the examples as
            they are.
    """

    seeds: np.ndarray
    teachers: np.ndarray
    values: np.ndarray
    drawn: np.ndarray | None

    @property
    def keys(self) -> list[tuple[int, int]]:
        """Seed and teacher's seed of each difference."""
        return list(zip(self.seeds.tolist(), self.teachers.tolist(), strict=True))

    def at(self, indices: Sequence[int]) -> "Sample":
        """The differences at these indices, in this order."""
        drawn = None if self.drawn is None else self.drawn[:, indices]
        return Sample(self.seeds[indices], self.teachers[indices], self.values[indices], drawn)


class Contrast(NamedTuple):
    """Estimate and tests of a mean difference, in points.

    NaN stands where there are fewer than three seeds, or nothing varies.

    Attributes:
        difference: the mean over seeds, each the mean of its teachers.
        low: with `high` its 95 % interval.
        p: of no difference, and `equivalence` of one as large as the margin; neither is corrected.
        detectable: the smallest difference that so many seeds, spread like these, would show.
    """

    difference: float
    low: float
    high: float
    seeds: int
    p: float
    equivalence: float
    detectable: float


class Verdict(NamedTuple):
    """The outcome of a contrast's tests.

    Attributes:
        adjusted: Holm's p of no difference.
        equivalent: Holm's p of a difference as large as the margin.
        family: the tests that they were corrected with.
    """

    adjusted: float
    equivalent: float
    family: Path


def contrast(sample: Sample, margin: float) -> Contrast:
    """Mean, interval and tests of a sample, all of one standard error and one t.

    Args:
        sample: one difference or more.
        margin: points within which a difference counts as none.
    """
    estimate = estimated(sample)
    low, high = seed_tests.interval(estimate)
    return Contrast(
        difference=estimate.mean,
        low=low,
        high=high,
        seeds=len(set(sample.seeds.tolist())),
        p=seed_tests.two_sided(estimate),
        equivalence=seed_tests.equivalence(estimate, margin),
        detectable=seed_tests.detectable(estimate),
    )


def estimated(sample: Sample) -> Estimate:
    """The mean over seeds with the standard error that comes from seeds, teachers and examples.

    Seeds: the variance of the seeds' means over their number. Teachers, where they are crossed with
    seeds: likewise of the teachers' means; if each seed has a teacher of its own, that teacher's
    variance is in the seeds' already, and one teacher for all is taken as it is. What a seed and a
    teacher have together is in both, so that crossed teachers make the error too large rather than
    too small. Examples: see `bootstrap.from_examples`.
    """
    by_seed = averaging(sample.seeds)
    values = by_seed @ sample.values
    mean, seeds = float(values.mean()), len(values)
    if seeds < SEEDS_NEEDED:
        return Estimate(mean)
    sources = [(values.var(ddof=1) / seeds, seeds - 1.0)]
    by_teacher = averaging(sample.teachers)
    # Crossed: several teachers, and fewer than differences, so that each meets several seeds.
    if 1 < (teachers := len(by_teacher)) < len(sample.values):
        of_teachers = (by_teacher @ sample.values).var(ddof=1) / teachers
        sources.append((of_teachers, teachers - 1.0))
    if sample.drawn is not None:
        sources.append((from_examples(sample.drawn @ by_seed.T), DRAWS - 1.0))
    return seed_tests.combined(mean, sources)


def averaging(labels: np.ndarray) -> np.ndarray:
    """The matrix [labels, n] that takes values [n] to the mean of each label, in rising order.

    Example: of the labels 0, 0, 1 it is [[.5, .5, 0], [0, 0, 1]].
    """
    is_of = np.equal.outer(np.unique(labels), labels).astype(float)
    return is_of / is_of.sum(1, keepdims=True)


def less(one: Sample, other: Sample) -> Sample | None:
    """One sample less another, of the seeds and teachers that both have; None if they have none."""
    if not (aligned := _aligned([one, other])):
        return None
    one, other = aligned
    drawn = None if one.drawn is None or other.drawn is None else one.drawn - other.drawn
    return Sample(one.seeds, one.teachers, one.values - other.values, drawn)


def mean_of(samples: Sequence[Sample]) -> Sample | None:
    """The mean of several samples, of the seeds and teachers that all have; None if they have none.

    Example: an arm's differences on each task become its difference on average.
    """
    if not (samples := _aligned(samples)):
        return None
    drawn = [sample.drawn for sample in samples if sample.drawn is not None]
    return Sample(
        samples[0].seeds,
        samples[0].teachers,
        np.mean([sample.values for sample in samples], axis=0),
        # The draws are the same for runs of as many rows: those of one task stay paired.
        np.mean(drawn, axis=0) if len(drawn) == len(samples) else None,
    )


def _aligned(samples: Sequence[Sample]) -> list[Sample]:
    """Of each sample the differences of seeds and teachers that all have, in the first one's order.

    [] if there are none.
    """
    index_of = [{key: index for index, key in enumerate(sample.keys)} for sample in samples]
    shared = [key for key in index_of[0] if all(key in of_sample for of_sample in index_of)]
    if not shared:
        return []
    return [
        sample.at([of_sample[key] for key in shared])
        for sample, of_sample in zip(samples, index_of, strict=True)
    ]


def identity(uids: Iterable[str], others: Iterable[str], split: str, metric: str) -> str:
    """The key of a contrast: a digest of its split, its metric and the pairs of runs it compares.

    Neither the order of the pairs nor which run of a pair comes first matters: `a` minus `b` and
    `b` minus `a` are one test.
    """
    pairs = sorted({tuple(sorted(pair)) for pair in zip(uids, others, strict=True)})
    return short_digest("\n".join([split, metric, *map(" ".join, pairs)]).encode())


def judged(compared: pd.DataFrame, verdicts: dict[str, Verdict]) -> pd.DataFrame:
    """Contrasts with the outcome of their tests; new outcomes are added to `verdicts`.

    A contrast that has a verdict keeps it; the others are corrected by Holm within their families,
    each once. Columns added are `adjusted` and `equivalent`, Holm's p; `shown`: adjusted p < 0.05
    (the interval then leaves out zero); `alike`: equivalent p < 0.05 (the interval then lies within
    the margin), unless all of its runs are degenerate, which are alike in nothing else; `family`.

    Args:
        compared: one row a contrast, with `key`, `p`, `equivalence`, `n` and `degenerate` pairs,
            `path` from the largest family it could be in to the smallest, and `planned` seeds (see
            `kdlab.power.families`).
        verdicts: by key; it grows.
    """
    # What is only quoted is no test of this family: it would make the correction larger.
    fresh = compared[~compared["key"].isin(list(verdicts))].drop_duplicates("key")
    family_of = families(fresh["path"].tolist(), fresh["planned"].astype(int).tolist())
    for family in dict.fromkeys(family_of):
        # Families are tuples: pandas would compare a column of them element by element.
        members = fresh[[name == family for name in family_of]]
        corrected = (seed_tests.holm(members[name].tolist()) for name in ("p", "equivalence"))
        for key, adjusted, equivalent in zip(members["key"], *corrected, strict=True):
            verdicts[key] = Verdict(adjusted, equivalent, family)
    # Also of contrasts that were just tested: all are read from one place.
    outcomes = pd.DataFrame(
        [verdicts[key] for key in compared["key"]], compared.index, list(Verdict._fields)
    ).astype({"adjusted": float, "equivalent": float, "family": object})
    is_able = (compared["degenerate"] < compared["n"]).astype(bool)
    # A test that could not be made has NaN, which is below no level.
    is_shown, is_alike = outcomes["adjusted"] < LEVEL, is_able & (outcomes["equivalent"] < LEVEL)
    return compared.assign(**outcomes, shown=is_shown, alike=is_alike)


def mark(row: Mapping[str, float]) -> str:
    """The marks of a judged contrast: `*` (p < 0.05), `**` (0.01), `≈` (within the margin)."""
    stars = ("**" if row["adjusted"] < STRONG else "*") if row["shown"] else ""
    return f"{stars}≈" if row["alike"] else stars
