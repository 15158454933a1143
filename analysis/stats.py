"""Statistics of cells: pure functions of arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Metric = Callable[[np.ndarray, np.ndarray], float]
DRAWS = 500


@dataclass(frozen=True)
class Pair:
    """A student's and its control's outputs on the same examples, for one seed.

    `outputs` and `control` are [n, classes], `labels` [n].
    """

    labels: np.ndarray
    outputs: np.ndarray
    control: np.ndarray


def spread(scores: Sequence[float]) -> float:
    """Standard deviation over seeds (n - 1); NaN for fewer than two."""
    return float(np.std(scores, ddof=1)) if len(scores) > 1 else float("nan")


def interval(pairs: Sequence[Pair], metric: Metric) -> tuple[float, float]:
    """A 95 % bootstrap interval of the mean paired difference, over seeds and examples.

    Each draw resamples the seeds, and once for all of them the examples, which they share: the
    two are crossed. With few seeds it is too narrow rather than too wide.

    Args:
        pairs: one a seed, all on the same examples.
        metric: a function of labels and outputs.
    """
    random = np.random.Generator(np.random.PCG64(0))
    rows = len(pairs[0].labels)
    draws = np.empty(DRAWS)
    for draw in range(DRAWS):
        examples = random.integers(rows, size=rows)
        seeds = random.integers(len(pairs), size=len(pairs))
        found = {seed: _difference(pairs[seed], examples, metric) for seed in set(seeds.tolist())}
        draws[draw] = np.mean([found[seed] for seed in seeds.tolist()])
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def _difference(pair: Pair, examples: np.ndarray, metric: Metric) -> float:
    labels = pair.labels[examples]
    return metric(labels, pair.outputs[examples]) - metric(labels, pair.control[examples])
