"""A paired contrast: estimated in one way, tested once, and quoted wherever it is spoken of.

Cells of tables, effects of axes, flips, claims of the literature and `diff` all have their
differences, intervals and tests from here. A contrast is known by the runs that it compares: the
first family that has it tests it, and every later one quotes that verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.statistics import seed_tests
from analysis.statistics.bootstrap import DRAWS, from_examples
from analysis.statistics.seed_tests import Estimate
from kdlab.power import LEVEL, SEEDS_NEEDED, Path, families
from kdlab.record import short_digest

STRONG = 0.01


@dataclass(frozen=True)
class Sample:
    """Paired differences in points, one for each seed and teacher, sign as of the first arm.

    Attributes:
        seeds: of each.
        teachers: each one's teacher's seed.
        values: the differences.
        drawn: of each on each draw of the examples [DRAWS, ...]; None where those are not there.
    """

    seeds: np.ndarray
    teachers: np.ndarray
    values: np.ndarray
    drawn: np.ndarray | None

    @property
    def keys(self) -> list[tuple[int, int]]:
        """Seed and teacher's seed of each."""
        return list(zip(self.seeds.tolist(), self.teachers.tolist(), strict=True))

    def at(self, places: Sequence[int]) -> "Sample":
        """Some of them, in this order."""
        drawn = None if self.drawn is None else self.drawn[:, places]
        return Sample(self.seeds[places], self.teachers[places], self.values[places], drawn)


class Contrast(NamedTuple):
    """What a sample says, in points; NaN where it has too few seeds or nothing varies.

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
    """Holm's p of a contrast and of its equivalence, and the family that they are corrected in."""

    adjusted: float
    equivalent: float
    family: Path


def contrast(sample: Sample, margin: float) -> Contrast:
    """Mean, interval and tests of a sample, all of one standard error and one t.

    Args:
        sample: of one pair or more.
        margin: points within which a difference counts as none.
    """
    found = estimated(sample)
    low, high = seed_tests.interval(found)
    return Contrast(
        difference=found.mean,
        low=low,
        high=high,
        seeds=len(set(sample.seeds.tolist())),
        p=seed_tests.two_sided(found),
        equivalence=seed_tests.equivalence(found, margin),
        detectable=seed_tests.detectable(found),
    )


def estimated(sample: Sample) -> Estimate:
    """The mean over seeds with the error that comes from seeds, teachers and examples.

    Seeds' means vary by seeds; where teachers are crossed with seeds, teachers' means vary by
    teachers (an own teacher for each seed varies with it, and one teacher for all is taken as it
    is). What a seed and a teacher have together is in both, so that crossed teachers make the error
    too large rather than too small. Examples: see `bootstrap.from_examples`.
    """
    by_seed = averaging(sample.seeds)
    values = by_seed @ sample.values
    mean, seeds = float(values.mean()), len(values)
    if seeds < SEEDS_NEEDED:
        return Estimate(mean)
    sources = [(values.var(ddof=1) / seeds, seeds - 1.0)]
    by_teacher = averaging(sample.teachers)
    if 1 < (teachers := len(by_teacher)) < len(sample.values):
        of_teachers = (by_teacher @ sample.values).var(ddof=1) / teachers
        sources.append((of_teachers, teachers - 1.0))
    if sample.drawn is not None:
        sources.append((from_examples(sample.drawn @ by_seed.T), DRAWS - 1.0))
    return seed_tests.combined(mean, sources)


def averaging(labels: np.ndarray) -> np.ndarray:
    """What takes values to the means of those with one label, in order [labels, values]."""
    names, place = np.unique(labels, return_inverse=True)
    found = np.equal.outer(np.arange(len(names)), place.ravel()).astype(float)
    return found / found.sum(1, keepdims=True)


def less(one: Sample, other: Sample) -> Sample | None:
    """One sample less another, of the seeds and teachers that both have, if there are any."""
    if not (shared := _shared([one, other])):
        return None
    ours, theirs = (each.at(places) for each, places in zip((one, other), shared, strict=True))
    has_draws = ours.drawn is not None and theirs.drawn is not None
    drawn = ours.drawn - theirs.drawn if has_draws else None  # type: ignore[operator]
    return Sample(ours.seeds, ours.teachers, ours.values - theirs.values, drawn)


def mean_of(samples: Sequence[Sample]) -> Sample | None:
    """The mean of several columns' samples, of the seeds and teachers that all have, if any."""
    if not (shared := _shared(samples)):
        return None
    own = [each.at(places) for each, places in zip(samples, shared, strict=True)]
    drawn = [each.drawn for each in own if each.drawn is not None]
    return Sample(
        own[0].seeds,
        own[0].teachers,
        np.mean([each.values for each in own], axis=0),
        np.mean(drawn, axis=0) if len(drawn) == len(own) else None,
    )


def _shared(samples: Sequence[Sample]) -> list[list[int]]:
    """Of each sample the places of what all have, in the first one's order; [] if that is none."""
    places = [{key: place for place, key in enumerate(sample.keys)} for sample in samples]
    shared = [key for key in places[0] if all(key in own for own in places)]
    return [[own[key] for key in shared] for own in places] if shared else []


def identity(both: pd.DataFrame, other: str) -> str:
    """What a contrast is known by: its split, its metric and the pairs of runs that it compares.

    Args:
        both: a pair a row, with `split`, `metric`, `uid` and the other run's uid.
        other: the column of the other run's uid.
    """
    pairs = {tuple(sorted(ends)) for ends in zip(both["uid"], both[other], strict=True)}
    place = [str(both[name].iloc[0]) for name in ("split", "metric")]
    return short_digest("\n".join([*place, *(" ".join(ends) for ends in sorted(pairs))]).encode())


def judged(found: pd.DataFrame, known: dict[str, Verdict]) -> pd.DataFrame:
    """Contrasts with what they may claim, and `known` with the verdicts that are new.

    What is known keeps its verdict; the others are corrected by Holm within their families, each
    once. Added are `adjusted` and `equivalent`, Holm's p; `shown`: adjusted p < 0.05 (the interval
    then leaves out zero); `alike`: equivalent p < 0.05 (the interval then lies within the margin),
    unless all of its runs are degenerate, which are alike in nothing else; and `family`.

    Args:
        found: with `key`, `p`, `equivalence`, `n` and `degenerate` pairs, `path` from the largest
            family to the smallest and `planned` seeds (see `kdlab.power.families`).
        known: verdicts by key; it grows.
    """
    fresh = found[~found["key"].isin(list(known))].drop_duplicates("key")
    named = families(fresh["path"].tolist(), fresh["planned"].astype(int).tolist())
    for family in dict.fromkeys(named):
        part = fresh[[name == family for name in named]]
        corrected = (seed_tests.holm(part[name].tolist()) for name in ("p", "equivalence"))
        for key, p, q in zip(part["key"], *corrected, strict=True):
            known[key] = Verdict(p, q, family)
    verdicts = [known[key] for key in found["key"]]
    adjusted = np.array([verdict.adjusted for verdict in verdicts], dtype=float)
    equivalent = np.array([verdict.equivalent for verdict in verdicts], dtype=float)
    is_able = (found["degenerate"] < found["n"]).to_numpy(dtype=bool)
    return found.assign(
        adjusted=adjusted,
        equivalent=equivalent,
        family=pd.Series([verdict.family for verdict in verdicts], found.index, dtype=object),
        shown=adjusted < LEVEL,
        alike=is_able & (equivalent < LEVEL),
    )


def mark(row: Mapping[str, float]) -> str:
    """What a judged contrast is marked with: `*` (0.05), `**` (0.01), `≈` (within the margin)."""
    shown = ("**" if row["adjusted"] < STRONG else "*") if row["shown"] else ""
    return f"{shown}≈" if row["alike"] else shown
