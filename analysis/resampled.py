"""The metrics of `kdlab.metrics` on many resamples at once.

Each takes how often each draw has each example [draws, n], labels [n] and outputs [n, classes], and
gives what the metric of its name gives on each draw's rows [draws]; a test holds the two together.
"""

import numpy as np


def accuracy(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Share of rows whose largest logit is the label's."""
    return counts @ (outputs.argmax(-1) == labels) / counts.sum(1)


def f1(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """F1 of class 1."""
    said, true = outputs.argmax(-1) == 1, labels == 1
    hits = counts @ (said & true)
    return _ratio(2 * hits, counts @ said + counts @ true)


def matthews(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Matthews correlation, of any number of classes."""
    said, true = outputs.argmax(-1), labels.astype(int)
    classes = np.arange(max(said.max(), true.max()) + 1)
    rows, hits = counts.sum(1), counts @ (said == true)
    predicted = counts @ (said[:, None] == classes)
    actual = counts @ (true[:, None] == classes)
    beyond_chance = hits * rows - (predicted * actual).sum(1)
    squares = (rows**2 - (predicted**2).sum(1)) * (rows**2 - (actual**2).sum(1))
    return _ratio(beyond_chance, np.sqrt(squares))


def pearson(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Pearson correlation."""
    ours, theirs = outputs[:, 0] - outputs[:, 0].mean(), labels - labels.mean()
    return _correlation(counts, ours[None], theirs[None])


def spearman(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Spearman rank correlation, ties at their mean rank."""
    return _correlation(counts, _ranks(counts, outputs[:, 0]), _ranks(counts, labels))


def mlm_accuracy(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Share of the masked tokens that is right."""
    return counts @ (labels * outputs[:, 1]) / (counts @ labels)


def mlm_likelihood(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Geometric mean of the masked tokens' probabilities."""
    return np.exp(-(counts @ (labels * outputs[:, 0])) / (counts @ labels))


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
