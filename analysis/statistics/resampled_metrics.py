"""The metrics of `kdlab.metrics` on many resamples at once, of several runs.

Each takes how often each draw has each example [draws, n], labels [n] and outputs [runs, n,
classes], and gives what the metric of its name gives on each draw's rows [draws, runs]; a test
holds the two together.
"""

from collections.abc import Callable

import numpy as np

EXACT = 2**24  # whole numbers that float32 has


def accuracy(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Share of rows whose largest logit is the label's."""
    return _count(counts, outputs.argmax(-1) == labels) / counts.shape[1]


def f1(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """F1 of class 1."""
    said, true = outputs.argmax(-1) == 1, labels == 1
    hits = _count(counts, said & true)
    return _ratio(2 * hits, _count(counts, said) + _count(counts, true[None]))


def matthews(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Matthews correlation, of any number of classes."""
    said, true = outputs.argmax(-1), labels.astype(int)
    rows, hits = counts.shape[1], _count(counts, said == true)
    both = predicted = actual = np.zeros((1, 1))
    for number in range(max(said.max(), true.max()) + 1):
        ours, theirs = _count(counts, said == number), _count(counts, (true == number)[None])
        both = both + ours * theirs
        predicted, actual = predicted + ours**2, actual + theirs**2
    squares = (rows**2 - predicted) * (rows**2 - actual)
    return _ratio(hits * rows - both, np.sqrt(squares))


def pearson(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Pearson correlation."""
    counts, ours = counts.astype(np.float64), outputs[..., 0].astype(np.float64)
    ours, theirs = (x - x.mean(-1, keepdims=True) for x in (ours, labels[None]))
    (x, y, xx, yy, xy) = (
        counts @ each.T / counts.shape[1]
        for each in (ours, theirs, ours**2, theirs**2, ours * theirs)
    )
    return _ratio(xy - x * y, np.sqrt(np.clip((xx - x**2) * (yy - y**2), 0, None)))


def spearman(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Spearman rank correlation, ties at their mean rank."""
    counts = counts.astype(np.float64)
    theirs = _ranks(counts, labels)
    return _each(outputs, lambda ours: _correlation(counts, _ranks(counts, ours), theirs))


def mlm_accuracy(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Share of the masked tokens that is right."""
    return _mean(counts, labels, outputs[..., 1])


def mlm_likelihood(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Geometric mean of the masked tokens' probabilities."""
    return np.exp(-_mean(counts, labels, outputs[..., 0]))


def _count(counts: np.ndarray, is_so: np.ndarray) -> np.ndarray:
    """How many rows of each draw are so, of each run [draws, runs]; `is_so` [runs, n]."""
    assert counts.shape[1] < EXACT
    return (counts @ is_so.T.astype(counts.dtype)).astype(np.float64)


def _mean(counts: np.ndarray, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The weighted mean of values [runs, n] on each draw [draws, runs]."""
    counts, values = counts.astype(np.float64), values.astype(np.float64)
    return counts @ (weights * values).T / (counts @ weights)[:, None]


def _each(outputs: np.ndarray, score: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Scores [draws] of each run's only output, side by side [draws, runs]."""
    return np.stack([score(run[:, 0].astype(np.float64)) for run in outputs], axis=1)


def _ranks(counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Each example's rank within each draw [draws, n]."""
    names, place = np.unique(values, return_inverse=True)
    order = np.argsort(place, kind="stable")
    last = np.cumsum(np.bincount(place, minlength=len(names))) - 1
    upto = counts[:, order].cumsum(1)[:, last]
    before = np.pad(upto, ((0, 0), (1, 0)))[:, :-1]
    return ((before + upto + 1) / 2)[:, place]


def _correlation(counts: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Correlation of values [draws or 1, n]; 0 where a draw has one value."""
    rows = counts.sum(1, keepdims=True)
    ours = ours - (counts * ours).sum(1, keepdims=True) / rows
    theirs = theirs - (counts * theirs).sum(1, keepdims=True) / rows
    both = (counts * ours * theirs).sum(1)
    return _ratio(both, np.sqrt((counts * ours**2).sum(1) * (counts * theirs**2).sum(1)))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """0 where `below` is, but for rounding."""
    is_some = below > 1e-12
    return np.where(is_some, above / np.where(is_some, below, 1.0), 0.0)
