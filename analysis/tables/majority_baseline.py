"""The baseline that predicts the most frequent label of a split for every row."""

import numpy as np

from kdlab import metrics

MAJORITY = "majority"


def score(metric: str, labels: np.ndarray) -> float | None:
    """The metric of the split's most frequent label (of equally frequent ones the largest).

    None where there is no such label: of regression and masked language models.
    """
    if metrics.KINDS[metric] != "classification":
        return None
    outputs = metrics.majority(labels, int(labels.max()) + 1)
    return metrics.NAMES[metric](labels, outputs)
