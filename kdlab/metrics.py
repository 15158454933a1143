"""GLUE's metrics, from scikit-learn and SciPy, and masked-LM's: fractions, higher is better.

A metric is a function `(labels, outputs) -> score`:

- of classification, labels are class numbers [n], outputs logits [n, classes];
- of regression, labels are values [n], outputs [n, 1];
- of masked-LM, labels are how many tokens of each row were masked [n], outputs [n, 2] their mean
  loss in nats and the share of them that was predicted right.

Libraries are imported where they are used: tables need the names alone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

# What a task predicts: one of several classes, a number, or masked tokens.
Kind = Literal["classification", "regression", "masked_lm"]
Metric = Callable[[np.ndarray, np.ndarray], float]


def accuracy(labels: np.ndarray, outputs: np.ndarray) -> float:
    """Share of rows whose largest logit is the label's."""
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(labels, outputs.argmax(-1)))


def f1(labels: np.ndarray, outputs: np.ndarray) -> float:
    """F1 of class 1; 0 if it is never predicted."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, outputs.argmax(-1), zero_division=0))


def matthews(labels: np.ndarray, outputs: np.ndarray) -> float:
    """Matthews correlation; 0 for a constant prediction."""
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(labels, outputs.argmax(-1)))


def pearson(labels: np.ndarray, outputs: np.ndarray) -> float:
    """Pearson correlation; 0 for a constant prediction, which has none."""
    from scipy.stats import pearsonr

    return 0.0 if _is_constant(outputs) else float(pearsonr(labels, outputs[:, 0]).statistic)


def spearman(labels: np.ndarray, outputs: np.ndarray) -> float:
    """Spearman rank correlation; 0 for a constant prediction, which has none."""
    from scipy.stats import spearmanr

    return 0.0 if _is_constant(outputs) else float(spearmanr(labels, outputs[:, 0]).statistic)


def mlm_accuracy(labels: np.ndarray, outputs: np.ndarray) -> float:
    """Share of the masked tokens whose largest logit is the token's."""
    return float((labels * outputs[:, 1]).sum() / labels.sum())


def mlm_likelihood(labels: np.ndarray, outputs: np.ndarray) -> float:
    """Geometric mean of the masked tokens' probabilities: 1 / perplexity, exp(- mean loss)."""
    # Rows count by their masked tokens. In float64, as a corpus has millions of them to add up.
    return float(np.exp(-(labels * outputs[:, 0].astype(np.float64)).sum() / labels.sum()))


# By the kind of task (`Task.kind`) the metrics that can score it.
BY_KIND: dict[Kind, tuple[Metric, ...]] = {
    "classification": (accuracy, f1, matthews),
    "regression": (pearson, spearman),
    "masked_lm": (mlm_accuracy, mlm_likelihood),
}
NAMES: dict[str, Metric] = {m.__name__: m for metrics in BY_KIND.values() for m in metrics}
KINDS: dict[str, Kind] = {m.__name__: kind for kind, metrics in BY_KIND.items() for m in metrics}


def majority(labels: np.ndarray, classes: int) -> np.ndarray:
    """Outputs [n, classes] that predict the most frequent label for every row.

    Of equally frequent labels the largest; of regression one value for all rows.
    """
    if classes == 1:
        return np.zeros((len(labels), 1))
    counts = np.bincount(labels.astype(int), minlength=classes)
    most_frequent = classes - 1 - int(counts[::-1].argmax())  # argmax takes the first of equals
    return np.tile(np.eye(classes)[most_frequent], (len(labels), 1))


def selection(scored: Mapping[str, float], select_by: Sequence[str]) -> float:
    """The score by which settings and weights are chosen: the mean of a task's `select_by`."""
    # Rounded once, whatever the order: a mean in another order could turn a tie around.
    return math.fsum(scored[name] for name in select_by) / len(select_by)


def ranked(score: float, is_degenerate: bool) -> float:
    """What a score counts where settings or weights are chosen: 0 for a constant prediction.

    All-positive predictions have an F1 of 0.8 on MRPC: they must not win a selection.
    """
    return 0.0 if is_degenerate else score


def is_degenerate(outputs: np.ndarray) -> bool:
    """Whether every row gets the same prediction."""
    if outputs.shape[1] == 1:
        return _is_constant(outputs)
    return len(np.unique(outputs.argmax(-1))) == 1


def _is_constant(outputs: np.ndarray) -> bool:
    return bool(np.ptp(outputs) == 0)
