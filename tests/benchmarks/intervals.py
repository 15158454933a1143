"""How often 95 % intervals hold the truth: `python tests/benchmarks/intervals.py [STUDIES]`.

Two arms answer the same examples with some seeds each. Some examples are easier than others for
all, each arm is better at some examples than at others (what comes from examples), and each run is
better or worse as a whole (what comes from seeds, or from teachers). But for the last line both
arms are drawn alike, so that the true difference is 0 for every metric. Beside the interval of
`analysis.statistics.contrasts` stands that of the percentile bootstrap, which resamples seeds,
teachers and examples. Lines are rows of the table in docs/explanation/statistics.md.
"""

import sys
from dataclasses import dataclass

import numpy as np

from analysis.statistics import resampled_metrics
from analysis.statistics.bootstrap import DRAWS, resample
from analysis.statistics.contrasts import Sample, contrast

SEEDS = (3, 5, 10)
TEACHERS = 3


@dataclass(frozen=True)
class Setting:
    """Standard deviations as chances of a right answer.

    Attributes:
        seeds: between runs of an arm.
        tastes: between examples, of an arm's own chances.
        teachers: between teachers, each of which teaches every seed of both arms; 0: one teacher.
        fails: how often a run of the second arm fails, and is then 20 points worse.
    """

    name: str
    seeds: float
    tastes: float
    metric: str = "accuracy"
    examples: int = 400
    teachers: float = 0.0
    fails: float = 0.0


SETTINGS = (
    Setting("seeds vary", 0.12, 0.0),
    Setting("examples vary", 0.0, 0.3),
    Setting("both vary", 0.02, 0.2),
    Setting("examples alone, 100 of them", 0.0, 0.0, examples=100),
    Setting("both vary, F1", 0.03, 0.2, metric="f1"),
    Setting("both vary, Matthews", 0.03, 0.2, metric="matthews"),
    Setting("three crossed teachers vary", 0.02, 0.0, teachers=0.1),
    Setting("seeds, examples and three crossed teachers vary", 0.05, 0.2, teachers=0.05),
    Setting("one run in eight of one arm fails", 0.01, 0.0, fails=1 / 8),
)
DROP = 0.2


def study(setting: Setting, seeds: int, random: np.random.Generator) -> Sample:
    """The paired differences of one study, in points."""
    n = setting.examples
    teachers = TEACHERS if setting.teachers else 1
    easy = random.uniform(0.45, 0.85, size=n)
    labels = (random.random(n) < 0.4).astype(int)
    arms = []
    for arm in range(2):
        own = easy + random.normal(0, setting.tastes, size=n)
        of_runs = random.normal(0, setting.seeds, size=(seeds, 1))
        of_runs = of_runs + random.normal(0, setting.teachers, size=(1, teachers))
        if arm:
            of_runs = of_runs - DROP * (random.random((seeds, 1)) < setting.fails)
        chances = own + of_runs.reshape(-1, 1)
        is_right = random.random(chances.shape) < chances
        answers = np.where(is_right, labels, 1 - labels)
        arms.append([resample(setting.metric, labels, np.eye(2)[row]) for row in answers])
        arms.append([_score(setting.metric, labels, row) for row in answers])
    drawn = 100 * (np.array(arms[0]) - np.array(arms[2])).T
    values = 100 * (np.array(arms[1]) - np.array(arms[3]))
    of_seeds, of_teachers = (grid.ravel() for grid in np.indices((seeds, teachers)))
    return Sample(of_seeds, of_teachers, values, drawn)


def _score(metric: str, labels: np.ndarray, answers: np.ndarray) -> float:
    once = np.ones((1, len(labels)))
    return float(getattr(resampled_metrics, metric)(once, labels, np.eye(2)[answers])[0])


def percentile(sample: Sample, random: np.random.Generator) -> tuple[float, float]:
    """The interval of a bootstrap over seeds, teachers and examples."""
    assert sample.drawn is not None
    weights = np.ones(sample.drawn.shape)
    for labels in (sample.seeds, sample.teachers):
        names = np.unique(labels)
        chances = np.full(len(names), 1 / len(names))
        weights *= random.multinomial(len(names), chances, size=DRAWS)[:, labels]
    means = (weights * sample.drawn).sum(1) / weights.sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def coverage(setting: Setting, seeds: int, studies: int) -> tuple[float, float]:
    """The share of studies whose interval holds the truth, ours and the percentile bootstrap's."""
    random = np.random.default_rng(seeds)
    truth = 100 * DROP * setting.fails
    held = [0, 0]
    for _ in range(studies):
        sample = study(setting, seeds, random)
        told = contrast(sample, 1.0)
        for place, (low, high) in enumerate(((told.low, told.high), percentile(sample, random))):
            held[place] += low <= truth <= high
    return held[0] / studies, held[1] / studies


def main() -> None:
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"| {studies:,} studies each | {' | '.join(f'{n} seeds' for n in SEEDS)} |")
    print(f"|:--|{'--:|' * len(SEEDS)}")
    for setting in SETTINGS:
        found = [coverage(setting, seeds, studies) for seeds in SEEDS]
        cells = " | ".join(f"{100 * ours:.1f} ({100 * old:.0f})" for ours, old in found)
        print(f"| {setting.name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
