"""GLUE's metrics on examples that can be computed by hand, and on constant predictions."""

import numpy as np
import pytest

from kdlab import metrics
from kdlab.config.compose import compose
from kdlab.training import scoring

LABELS = np.array([0.0, 0.0, 1.0, 1.0])
# Predicts 0 1 1 1: three of four right; precision 2/3, recall 1.
LOGITS = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])


def test_by_hand():
    assert metrics.accuracy(LABELS, LOGITS) == 0.75
    assert metrics.f1(LABELS, LOGITS) == pytest.approx(2 * (2 / 3) / (2 / 3 + 1))
    # (TP TN - FP FN) / sqrt((TP+FP)(TP+FN)(TN+FP)(TN+FN)) = 2 / sqrt(3 * 2 * 2 * 1)
    assert metrics.matthews(LABELS, LOGITS) == pytest.approx(2 / np.sqrt(12))
    outputs = np.array([[1.0], [2.0], [3.0], [5.0]])
    labels = np.array([1.0, 2.0, 3.0, 4.0])
    assert metrics.pearson(labels, outputs) == pytest.approx(6.5 / np.sqrt(5 * 8.75))
    assert metrics.spearman(labels, outputs) == pytest.approx(1.0)


def test_a_constant_prediction_scores_zero_and_is_marked():
    constant = np.tile([[0.0, 1.0]], (4, 1))
    assert metrics.matthews(LABELS, constant) == 0.0
    assert metrics.f1(LABELS, constant[:, ::-1]) == 0.0
    assert metrics.is_degenerate(constant)
    assert not metrics.is_degenerate(LOGITS)
    flat = np.ones((4, 1))
    assert metrics.pearson(LABELS, flat) == metrics.spearman(LABELS, flat) == 0.0
    assert metrics.is_degenerate(flat)


def test_a_constant_prediction_never_wins_a_selection():
    task = compose("teacher=none", "knowledge=none").task
    assert scoring.select_score(task, LABELS, LOGITS) == (0.75, False)
    constant = scoring.select_score(task, np.ones(4), np.tile([[0.0, 1.0]], (4, 1)))
    assert constant == (1.0, True)
    assert metrics.ranked(*constant) == 0.0
    assert metrics.ranked(0.75, False) == 0.75


def test_agreement_by_hand():
    student = np.array([[0.0, 0.0], [np.log(3.0), 0.0]])
    teacher = np.array([[np.log(3.0), 0.0], [np.log(3.0), 0.0]])
    found = scoring.agreement(student, teacher)
    assert found["top1"] == 1.0
    # Row one: 3/4 ln((3/4)/(1/2)) + 1/4 ln((1/4)/(1/2)); row two: 0.
    assert found["kl"] == pytest.approx((0.75 * np.log(1.5) + 0.25 * np.log(0.5)) / 2)
    assert scoring.agreement(np.array([[1.0]]), np.array([[3.0]])) == {"mse": 4.0}


@pytest.mark.parametrize("name", sorted(metrics.NAMES))
def test_every_metric_a_table_may_show_is_higher_for_better_predictions(name):
    """Best and second, differences and ranks take it so: no loss or error may join them."""
    random = np.random.Generator(np.random.PCG64(3))
    labels = random.integers(2, size=200).astype(float)
    order = random.permutation(200)
    noise = random.normal(size=200)

    def predictions(quality: float) -> np.ndarray:
        if metrics.KINDS[name] == "masked_lm":
            return np.stack([np.full(200, 3.0 - quality), np.full(200, quality)], 1)
        if metrics.KINDS[name] == "regression":
            return (quality * labels + (1 - quality) * noise)[:, None]
        right = np.isin(np.arange(200), order[: round(200 * quality)])
        return np.eye(2)[np.where(right, labels, 1 - labels).astype(int)]

    rows = (
        labels + 1 if metrics.KINDS[name] == "masked_lm" else labels
    )  # of masked tokens no row has none
    scores = [metrics.NAMES[name](rows, predictions(q)) for q in (0.3, 0.6, 0.8, 0.95)]
    assert scores == sorted(scores)
    assert len(set(scores)) == 4
    assert scores[-1] <= 1.0
