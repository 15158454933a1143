"""The baseline that looks at nothing: the most frequent label of a split, for every row."""

import numpy as np

from kdlab import metrics

MAJORITY = "majority"


def score(metric: str, labels: np.ndarray) -> float | None:
    """The metric of the split's most frequent label (of equally frequent ones the largest).

    None where there is no such answer: a regression's or a masked-LM's.
    """
    if metrics.is_regression(metric) or metrics.is_masked(metric):
        return None
    classes = labels.astype(int)
    counts = np.bincount(classes)
    answer = len(counts) - 1 - int(counts[::-1].argmax())
    outputs = np.tile(np.eye(len(counts))[answer], (len(labels), 1))
    return metrics.NAMES[metric](labels, outputs)
