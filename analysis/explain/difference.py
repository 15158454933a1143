"""The difference of two cells' or runs' scores, paired by seed, as a table has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from analysis.explain.lookup import FoundRun, Target
from analysis.read.frame import PERCENT
from analysis.statistics import seed_tests
from analysis.statistics.bootstrap import resample
from analysis.statistics.contrasts import Sample, estimated
from kdlab.power import SEEDS_NEEDED
from kdlab.record import Record
from kdlab.storage.example_outputs import kept, read_examples, read_outputs

Column = tuple[str, str, str]  # task, split, metric
Scored = list[tuple[FoundRun, float]]


@dataclass(frozen=True)
class Difference:
    """The mean difference A − B of a column in points, over `pairs` of runs of equal seeds.

    None stands for what cannot be said; `why` is then the reason.
    """

    points: float | None
    pairs: int
    low: float | None = None
    high: float | None = None
    p: float | None = None
    why: str = ""


class SeedPair(NamedTuple):
    """Two recorded runs of one task and equal seeds: a run's own, and its teacher's."""

    seeds: tuple[int, int]
    a: Record
    b: Record


def by_column(target: Target) -> dict[Column, Scored]:
    """By column the runs with their scores in points; splits to report come first."""
    scored: dict[Column, Scored] = {}
    for run in target.runs:
        scores = run.record.result.get("scores", {}) if run.record else {}
        for split in sorted(scores, key=lambda split: split == "select"):
            for metric, score in scores[split].items():
                scored.setdefault((run.task, split, metric), []).append((run, PERCENT * score))
    return scored


def difference(column: Column, a: Scored, b: Scored, roots: tuple[str, str]) -> Difference:
    """The mean over pairs with its interval, as a table has it."""
    _, split, metric = column
    pairs = _pairs([run for run, _ in a], [run for run, _ in b])
    if not pairs:
        gap = np.mean([score for _, score in a]) - np.mean([score for _, score in b])
        return Difference(float(gap), 0, why="no seed in common: not paired")
    # Runs of two roots may have read other files, or other versions of them.
    if any(p.a.result["examples"][split] != p.b.result["examples"][split] for p in pairs):
        return Difference(None, len(pairs), why="not comparable: scored on other rows")
    gaps = [_points(p.a, split, metric) - _points(p.b, split, metric) for p in pairs]
    mean = float(np.mean(gaps))
    if len({p.seeds[0] for p in pairs}) < SEEDS_NEEDED:
        return Difference(mean, len(pairs), why=f"no interval: it needs {SEEDS_NEEDED} seeds")
    root, other = roots
    if not all(split in kept(root, p.a) and split in kept(other, p.b) for p in pairs):
        return Difference(mean, len(pairs), why="no interval: outputs are gone")
    drawn = [_draws(root, p.a, split, metric) - _draws(other, p.b, split, metric) for p in pairs]
    seeds, teachers = np.array([p.seeds for p in pairs]).T
    sample = Sample(seeds, teachers, np.array(gaps), PERCENT * np.stack(drawn, 1))
    estimate = estimated(sample)
    low, high = seed_tests.interval(estimate)
    p = seed_tests.two_sided(estimate)
    return Difference(mean, len(pairs), float(low), float(high), known(p))


def _pairs(a: Sequence[FoundRun], b: Sequence[FoundRun]) -> list[SeedPair]:
    """Recorded runs of equal seeds, each once."""
    of_a, of_b = ({(r.seed, r.teacher_seed): r.record for r in runs} for runs in (a, b))
    return [
        SeedPair(seeds, record, other)
        for seeds, record in of_a.items()
        if record and (other := of_b.get(seeds))
    ]


def _points(record: Record, split: str, metric: str) -> float:
    return PERCENT * float(record.result["scores"][split][metric])


def _draws(root: str, record: Record, split: str, metric: str) -> np.ndarray:
    _, labels = read_examples(root, record, split)
    return resample(metric, labels, read_outputs(root, record, split))


def known(number: float) -> float | None:
    """A number as JSON has it, which knows no NaN."""
    return None if np.isnan(number) else float(number)
