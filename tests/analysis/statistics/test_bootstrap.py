"""The bootstrap against the metrics themselves, known variances and a direct computation."""

import numpy as np
import pytest

from analysis.statistics import bootstrap, resampled_metrics
from kdlab import metrics

ROWS = 60


def example(metric: str, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Labels and outputs with ties, of which a resample may have one class only."""
    if metrics.KINDS[metric] == "regression":
        labels = random.integers(6, size=ROWS).astype(float)
        return labels, np.round(labels[:, None] + random.normal(size=(ROWS, 1)), 1)
    if metrics.KINDS[metric] == "masked_lm":
        return random.integers(1, 9, size=ROWS).astype(float), random.random((ROWS, 2))
    classes = 3 if metric in ("accuracy", "matthews") else 2
    labels = random.integers(classes, size=ROWS).astype(float)
    outputs = random.normal(size=(ROWS, classes)) + np.eye(classes)[labels.astype(int)]
    return labels, outputs


@pytest.mark.parametrize("metric", metrics.NAMES)
def test_scores_of_draws_are_the_metric_of_the_rows_drawn(metric):
    random = np.random.default_rng(0)
    labels, outputs = example(metric, random)
    taken = random.integers(ROWS, size=(40, ROWS))
    counts = np.stack([np.bincount(rows, minlength=ROWS) for rows in taken]).astype(float)
    others = np.stack([outputs, outputs[::-1]])  # runs side by side do not touch each other
    found = getattr(resampled_metrics, metric)(counts, labels, others)[:, 0]
    direct = [metrics.NAMES[metric](labels[rows], outputs[rows]) for rows in taken]
    assert found == pytest.approx(np.array(direct), abs=1e-9)
    assert np.ptp(found) > 0.01


@pytest.mark.parametrize("metric", ["f1", "matthews", "pearson", "spearman"])
def test_a_constant_prediction_scores_nothing_on_every_draw(metric):
    labels, outputs = example(metric, np.random.default_rng(0))
    constant = np.zeros_like(outputs)
    constant[:, 0] = 0.3
    assert np.all(bootstrap.resample(metric, labels, constant) == 0.0)


def right(probabilities: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Draws of the accuracy of a run that is right with these probabilities."""
    found = (random.random(len(probabilities)) < probabilities).astype(int)
    return bootstrap.resample("accuracy", np.ones(len(found)), np.eye(2)[found])


def test_the_variance_from_examples_is_that_of_an_analysis_of_variance():
    """Six seeds that gain and lose on the same examples: two ways, one observation each."""
    random = np.random.default_rng(6)
    seeds, rows = 6, 2000
    gains = random.normal(0, 0.3, size=rows)
    chances = [0.5 + gains / 2, 0.5 - gains / 2]
    ours, theirs = ((random.random((seeds, rows)) < p).astype(int) for p in chances)
    labels = np.ones(rows)
    drawn = [
        bootstrap.resample("accuracy", labels, np.eye(2)[a])
        - bootstrap.resample("accuracy", labels, np.eye(2)[b])
        for a, b in zip(ours, theirs, strict=True)
    ]
    table = ours - theirs
    of_examples = seeds * table.mean(0).var(ddof=1)
    rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    of_rest = (rest**2).sum() / ((seeds - 1) * (rows - 1))
    expected = (of_examples - of_rest) / (seeds * rows)
    assert bootstrap.from_examples(np.stack(drawn, 1)) == pytest.approx(expected, rel=0.2)


def test_seeds_that_err_on_examples_of_their_own_bring_no_variance_from_examples():
    random = np.random.default_rng(8)
    drawn = np.stack([right(np.full(1000, 0.7), random) for _ in range(12)], 1)
    differences = drawn[:, :6] - drawn[:, 6:]
    assert bootstrap.from_examples(differences) < 0.4 * differences.mean(1).var()
