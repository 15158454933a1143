"""Interquartile mean and probability of improvement, by hand, by scipy, and in simulation."""

import math

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, norm

from analysis.statistics.aggregates import improvement, interquartile_mean

STUDIES = 150


def test_an_interquartile_mean_by_hand():
    # In order: -9, 0, 1 | 2, 3, 4, 5, 6, 7 | 8, 9, 90: the middle half of twelve has the mean 4.5.
    tasks = [np.array([2.0, -9.0, 9.0, 4.0]), np.array([90.0, 7.0, 0.0, 5.0])]
    tasks.append(np.array([3.0, 6.0, 1.0, 8.0]))
    found = interquartile_mean(tasks)
    assert found.value == 4.5
    assert found.low < 4.5 < found.high
    assert found.high - 4.5 == pytest.approx(4.5 - found.low)


def test_a_lucky_task_moves_the_mean_and_not_the_interquartile_mean():
    rng = np.random.default_rng(1)
    tasks = [rng.normal(size=5) for _ in range(8)]
    lucky = [*tasks[:-1], tasks[-1] + 100]
    assert abs(interquartile_mean(lucky).value - interquartile_mean(tasks).value) < 0.5


def test_an_improvement_by_hand():
    # Task one: of 9 pairs the arm wins 7 and ties 1; task two: it loses all.
    arm = [np.array([2.0, 4.0, 6.0]), np.array([0.0, 0.0, 0.0])]
    control = [np.array([1.0, 2.0, 3.0]), np.array([5.0, 5.0, 6.0])]
    assert improvement(arm, control).value == pytest.approx((7.5 / 9 + 0) / 2)


def test_an_improvement_is_mann_and_whitney_s_u_over_the_pairs():
    rng = np.random.default_rng(2)
    # Whole numbers have ties; arm and control have other numbers of runs.
    arm = [rng.integers(6, size=n).astype(float) for n in (4, 5, 7)]
    control = [rng.integers(6, size=n).astype(float) for n in (6, 3, 5)]
    shares = [
        mannwhitneyu(a, b).statistic / (len(a) * len(b)) for a, b in zip(arm, control, strict=True)
    ]
    found = improvement(arm, control)
    assert found.value == pytest.approx(np.mean(shares))
    assert 0 <= found.low < found.value < found.high <= 1
    turned = improvement(control, arm)
    assert turned.value == pytest.approx(1 - found.value)


def test_what_so_few_seeds_do_not_tell_has_no_interval():
    two = [np.array([1.0, 2.0]), np.array([2.0, 3.0, 4.0])]
    assert math.isnan(interquartile_mean(two).low)
    assert math.isnan(improvement(two, two).low)
    # All pairs are won by so few runs: this is no certainty, and an interval of no width no answer.
    won = improvement([np.array([5.0, 6.0, 7.0])] * 2, [np.array([1.0, 2.0, 3.0])] * 2)
    assert won.value == 1.0
    assert math.isnan(won.low)
    # Where all runs are equal there is nothing to tell.
    equal = improvement([np.ones(3)] * 2, [np.ones(3)] * 2)
    assert equal == (0.5, 0.5, 0.5)


def test_the_same_runs_have_the_same_interval_again():
    tasks = [np.array([1.0, 2.5, 3.0]), np.array([0.0, 0.5, 2.0])]
    assert interquartile_mean(tasks) == interquartile_mean(tasks)


@pytest.mark.parametrize(("tasks", "seeds"), [(2, 3), (4, 3), (4, 5)])
def test_intervals_hold_the_truth_as_often_as_they_say(tasks, seeds):
    rng = np.random.default_rng(3)
    means = np.linspace(-1, 3, tasks)[:, None]
    pooled = np.sort((means + rng.normal(size=(tasks, 20_000))).ravel())
    truth = pooled[len(pooled) // 4 : -len(pooled) // 4].mean()
    chance = norm.cdf(0.5 / math.sqrt(2))  # that a run is better where arms are half a spread apart
    held = {"mean": 0, "better": 0}
    for _ in range(STUDIES):
        found = interquartile_mean(list(means + rng.normal(size=(tasks, seeds))))
        held["mean"] += found.low <= truth <= found.high
        arm, control = 0.5 + rng.normal(size=(tasks, seeds)), rng.normal(size=(tasks, seeds))
        better = improvement(list(arm), list(control))
        # Without an interval nothing is claimed.
        held["better"] += math.isnan(better.low) or better.low <= chance <= better.high
    # Of 150 studies whose intervals hold 95 %, fewer than 133 do in one of a thousand.
    assert min(held.values()) >= 133
