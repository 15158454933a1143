"""Bootstrap over examples: what of a difference's variance comes from them, for any metric.

A draw takes the examples once for all runs, which share them, so that a run's scores on all draws
are computed once however many differences it is part of. Seeds and teachers are not resampled: of
so few, percentiles of a bootstrap are far too narrow (see `analysis.statistics.contrasts`).
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from analysis.statistics import resampled_metrics

DRAWS = 500  # 499 degrees of freedom: their own noise is far below that of a few seeds


def resample(metric: str, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """A run's scores [DRAWS] on resampled examples: the same draws for all runs of as many rows.

    Args:
        metric: its name in `kdlab.metrics`.
        labels: [n].
        outputs: [n, classes].
    """
    return resample_each(metric, labels, outputs[None])[:, 0]


def resample_each(metric: str, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """The scores [DRAWS, runs] of several runs, much faster than one by one.

    Args:
        metric: its name in `kdlab.metrics`.
        labels: [n].
        outputs: [runs, n, classes].
    """
    function: Callable[..., np.ndarray] = getattr(resampled_metrics, metric)
    return function(_counts(len(labels)), labels, outputs)


def from_examples(differences: np.ndarray) -> float:
    """The variance of the mean difference that comes from the examples, which all seeds share.

    If all seeds gain on the same examples, other examples would have changed all of them alike: the
    spread over seeds does not show that. It does show what is of one seed and example, which is
    therefore subtracted here. The square of the unit of the differences.

    Args:
        differences: of each seed on each draw of the examples [DRAWS, seeds], two seeds or more.
    """
    seeds = differences.shape[1]
    means = differences.mean(1)
    # Over draws the mean varies by what all seeds share plus 1/seeds of what each has of its own.
    # The latter is estimated from the seeds' deviations from the mean (seeds - 1 of them free).
    of_seeds = (differences - means[:, None]).var(0, ddof=1).sum() / (seeds * (seeds - 1))
    return max(0.0, float(means.var(ddof=1) - of_seeds))  # an estimate below 0 is chance


@lru_cache(maxsize=2)  # two splits of a task at most; of MNLI's 9,800 rows one takes 20 MB
def _counts(rows: int) -> np.ndarray:
    """How often each draw takes each example [DRAWS, rows]."""
    # The generator is named, as numpy may change its default one: tables shall stay the same.
    random = np.random.Generator(np.random.PCG64(0))
    drawn = (random.integers(rows, size=rows) for _ in range(DRAWS))
    # Whole numbers, so that float32 adds them up exactly, in half the time and memory.
    return np.stack([np.bincount(taken, minlength=rows).astype(np.float32) for taken in drawn])
