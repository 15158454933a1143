"""The bootstrap against the metrics themselves, known variances and a direct computation."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from analysis import bootstrap, resampled
from kdlab import metrics

ROWS = 60


def example(metric: str, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Labels and outputs with ties, of which a resample may have one class only."""
    if metrics.is_regression(metric):
        labels = random.integers(6, size=ROWS).astype(float)
        return labels, np.round(labels[:, None] + random.normal(size=(ROWS, 1)), 1)
    if metrics.is_masked(metric):
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
    found = getattr(resampled, metric)(counts, labels, others)[:, 0]
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


def test_interval_of_one_seed_is_the_normal_one_for_a_mean():
    """With one seed the bootstrap is over examples alone: compare with the central limit."""
    random = np.random.default_rng(1)
    ours, theirs = (random.random(2000) < p for p in (0.8, 0.7))
    labels = np.ones(2000)
    draws = [
        bootstrap.resample("accuracy", labels, np.eye(2)[found.astype(int)])
        for found in (ours, theirs)
    ]
    low, high = bootstrap.interval((draws[0] - draws[1])[:, None], [1], [-1])
    gain = ours.astype(float) - theirs
    half = norm.ppf(0.975) * gain.std() / math.sqrt(2000)
    assert low == pytest.approx(gain.mean() - half, abs=0.004)
    assert high == pytest.approx(gain.mean() + half, abs=0.004)


def test_seeds_widen_the_interval():
    differences = np.tile([0.0, 0.2, 0.4], (bootstrap.DRAWS, 1))
    low, high = bootstrap.interval(differences, [1, 2, 3], [-1, -1, -1])
    assert low < 0.05
    assert high > 0.35


def test_interval_of_seeds_is_that_of_a_direct_bootstrap():
    values = np.random.default_rng(3).normal(size=8)
    low, high = bootstrap.interval(np.tile(values, (bootstrap.DRAWS, 1)), range(8), [-1] * 8)
    taken = np.random.default_rng(4).integers(8, size=(20000, 8))
    direct = np.percentile(values[taken].mean(1), [2.5, 97.5])
    assert (low, high) == pytest.approx(tuple(direct), abs=0.1)


def test_crossed_teachers_widen_what_independent_pairs_would_give():
    """Four teachers that differ and seeds that do not: twelve pairs know no more than four."""
    effects = np.array([-0.03, -0.01, 0.01, 0.03])
    seeds = [seed for seed in range(3) for _ in effects]
    differences = np.tile(effects, (bootstrap.DRAWS, 3))
    crossed = bootstrap.interval(differences, seeds, [5, 6, 7, 8] * 3)
    alone = bootstrap.interval(np.tile(effects, (bootstrap.DRAWS, 1)), [1] * 4, [5, 6, 7, 8])
    as_if = bootstrap.interval(differences, range(12), range(12))
    assert crossed == pytest.approx(alone, abs=0.005)
    assert crossed[1] - crossed[0] > 1.4 * (as_if[1] - as_if[0])


def test_a_crossed_interval_covers_the_truth_where_that_of_independent_pairs_does_not():
    """Eight teachers by eight seeds whose effects have equal variances, in 200 studies."""
    random = np.random.default_rng(5)
    seeds, teachers = (grid.ravel() for grid in np.meshgrid(range(8), range(8)))
    covered = {"crossed": 0, "independent": 0}
    for _ in range(200):
        values = random.normal(size=8)[seeds] + random.normal(size=8)[teachers]
        differences = np.broadcast_to(values, (bootstrap.DRAWS, 64))
        for name, who in (("crossed", teachers), ("independent", range(64))):
            low, high = bootstrap.interval(differences, seeds.tolist(), list(who))
            covered[name] += low <= 0 <= high
    assert covered["crossed"] >= 0.85 * 200
    assert covered["independent"] < 0.65 * 200


def test_a_missing_pair_of_crossed_teachers_is_left_out_of_draws():
    differences = np.tile([0.1, 0.2, 0.3], (bootstrap.DRAWS, 1))
    low, high = bootstrap.interval(differences, [1, 2, 1], [5, 5, 6])
    assert 0.1 <= low < high <= 0.3


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
