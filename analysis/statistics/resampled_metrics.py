"""The metrics of `kdlab.metrics` on many resamples at once, of several runs.

Each function takes `counts`, how often each draw has each example [draws, n], labels [n] and
outputs [runs, n, classes], and gives what the metric of the same name gives on each draw's rows
[draws, runs]: a test compares the two.
"""

import numpy as np

EXACT = 2**24  # up to here float32 has every whole number


def accuracy(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Share of rows whose largest logit is the label's."""
    return _count(counts, outputs.argmax(-1) == labels) / counts.shape[1]


def f1(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """F1 of class 1."""
    predicted, actual = outputs.argmax(-1) == 1, labels == 1
    # 2 TP / (2 TP + FP + FN), whose denominator is the predicted and the actual ones together.
    hits = _count(counts, predicted & actual)
    return _ratio(2 * hits, _count(counts, predicted) + _count(counts, actual[None]))


def matthews(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Matthews correlation of any number of classes (Gorodkin 2004, R_K)."""
    predictions, classes = outputs.argmax(-1), labels.astype(int)
    rows, hits = counts.shape[1], _count(counts, predictions == classes)
    products = squares_predicted = squares_actual = np.zeros((1, 1))
    # R_K needs, for each class, how often it is predicted and how often it is right: no whole
    # confusion matrix for each draw.
    for number in range(max(predictions.max(), classes.max()) + 1):
        predicted = _count(counts, predictions == number)
        actual = _count(counts, (classes == number)[None])
        products = products + predicted * actual
        squares_predicted = squares_predicted + predicted**2
        squares_actual = squares_actual + actual**2
    squares = (rows**2 - squares_predicted) * (rows**2 - squares_actual)
    return _ratio(hits * rows - products, np.sqrt(squares))


def pearson(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Pearson correlation."""
    counts, outputs = counts.astype(np.float64), outputs[..., 0].astype(np.float64)
    # Centred on all rows, so that the moments of a draw do not cancel to noise.
    scores, targets = (
        values - values.mean(-1, keepdims=True) for values in (outputs, labels[None])
    )
    (x, y, xx, yy, xy) = (
        counts @ moment.T / counts.shape[1]
        for moment in (scores, targets, scores**2, targets**2, scores * targets)
    )
    # A variance of equal scores may come out below 0 by rounding: clipped, the ratio is 0.
    return _ratio(xy - x * y, np.sqrt(np.clip((xx - x**2) * (yy - y**2), 0, None)))


def spearman(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Spearman rank correlation, ties at their mean rank."""
    counts = counts.astype(np.float64)
    # Ranks are those among a draw's rows, so that they differ from draw to draw.
    label_ranks = _ranks(counts, labels)
    runs = outputs[..., 0].astype(np.float64)
    # Run by run: ranks [draws, n] of all runs at once would fill the memory.
    by_run = [_correlation(counts, _ranks(counts, scores), label_ranks) for scores in runs]
    return np.stack(by_run, axis=1)


def mlm_accuracy(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Share of the masked tokens that is right."""
    return _mean(counts, labels, outputs[..., 1])


def mlm_likelihood(counts: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Geometric mean of the masked tokens' probabilities."""
    return np.exp(-_mean(counts, labels, outputs[..., 0]))


def _count(counts: np.ndarray, has: np.ndarray) -> np.ndarray:
    """How many rows of each draw have a property, of each run [draws, runs]; `has` is [runs, n]."""
    assert counts.shape[1] < EXACT  # a count is at most the number of rows, and counts are float32
    return (counts @ has.T.astype(counts.dtype)).astype(np.float64)


def _mean(counts: np.ndarray, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The weighted mean of values [runs, n] on each draw [draws, runs]."""
    counts, values = counts.astype(np.float64), values.astype(np.float64)
    return counts @ (weights * values).T / (counts @ weights)[:, None]


def _ranks(counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Each example's rank within each draw [draws, n], ties at their mean rank."""
    _, inverse, ties = np.unique(values, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    last = np.cumsum(ties) - 1  # of each distinct value its last place in the order
    # Of each distinct value how many of a draw's rows are at most as large, and how many smaller:
    # tied rows share the mean of the ranks from `before` + 1 to `upto`.
    upto = counts[:, order].cumsum(1)[:, last]
    before = np.pad(upto, ((0, 0), (1, 0)))[:, :-1]
    return ((before + upto + 1) / 2)[:, inverse]


def _correlation(counts: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson correlation [draws] of values [draws or 1, n]; 0 where a draw has one value."""
    rows = counts.sum(1, keepdims=True)
    x = x - (counts * x).sum(1, keepdims=True) / rows
    y = y - (counts * y).sum(1, keepdims=True) / rows
    covariance = (counts * x * y).sum(1)
    return _ratio(covariance, np.sqrt((counts * x**2).sum(1) * (counts * y**2).sum(1)))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient; 0 where the denominator is 0 but for rounding, as scikit-learn has it."""
    is_positive = denominator > 1e-12
    return np.where(is_positive, numerator / np.where(is_positive, denominator, 1.0), 0.0)
