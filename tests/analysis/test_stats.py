"""Statistics against direct computations, SciPy and statements by hand."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from analysis import stats

SIX = [1.0, 2.5, 0.5, 1.5, 3.0, -0.5]


def test_spread():
    assert stats.spread([1.0, 3.0]) == pytest.approx(math.sqrt(2))
    assert math.isnan(stats.spread([1.0]))


def test_the_test_of_a_cell_is_a_paired_t_test():
    control = np.random.default_rng(0).normal(60, 3, size=6)
    expected = scipy_stats.ttest_rel(control + SIX, control).pvalue
    assert stats.paired_t(SIX, 0.0) == pytest.approx(expected)
    t = np.mean(SIX) / (np.std(SIX, ddof=1) / math.sqrt(6))
    assert stats.paired_t(SIX, 0.0) == pytest.approx(2 * scipy_stats.t.sf(t, 5))


def test_under_five_seeds_nothing_is_tested():
    assert math.isnan(stats.paired_t(SIX[:4], 0.0))
    assert math.isnan(stats.equivalence(SIX[:4], 0.0, 10.0))
    assert not math.isnan(stats.paired_t(SIX[:5], 0.0))


def test_seeds_that_do_not_vary_have_no_test_but_where_they_are_equal():
    assert stats.paired_t([0.0] * 5, 0.0) == 1.0
    assert math.isnan(stats.paired_t([2.0] * 5, 0.0))
    assert math.isnan(stats.equivalence([0.1] * 5, 0.0, 1.0))


def test_equivalence_is_the_larger_of_two_one_sided_tests():
    error = np.std(SIX, ddof=1) / math.sqrt(6)
    for margin in (0.5, 2.0, 5.0):
        one_sided = [(np.mean(SIX) + margin) / error, (margin - np.mean(SIX)) / error]
        expected = scipy_stats.t.sf(min(one_sided), 5)
        assert stats.equivalence(SIX, 0.0, margin) == pytest.approx(expected)
    # At 5 % the same as a 90 % interval within the margin.
    half = scipy_stats.t.ppf(0.95, 5) * error
    assert stats.equivalence(SIX, 0.0, np.mean(SIX) + half) == pytest.approx(0.05)


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.04 raised to 0.06.
    assert stats.holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert stats.holm([0.9, 0.6]) == pytest.approx([1.0, 1.0])
    assert stats.holm([]) == []


def test_holm_leaves_out_what_was_not_tested():
    first, second, third = stats.holm([0.01, math.nan, 0.04])
    assert (first, third) == pytest.approx((0.02, 0.04))
    assert math.isnan(second)


@pytest.mark.parametrize(("n", "deviations"), [(3, 3.3), (5, 1.7), (10, 1.0)])
def test_detectable_differences_are_those_of_power_tables(n, deviations):
    values = np.random.default_rng(n).normal(size=n)
    found = stats.detectable(values, 0.0) / stats.spread(values)
    assert found == pytest.approx(deviations, abs=0.06)


@pytest.mark.parametrize("n", [2, 6, 40])
def test_a_detectable_difference_is_found_in_eighty_of_a_hundred_studies(n):
    random = np.random.default_rng(7)
    values = np.arange(n) / np.std(np.arange(n), ddof=1)
    drawn = random.normal(stats.detectable(values, 0.0), 1.0, size=(4000, n))
    found = scipy_stats.ttest_1samp(drawn, 0.0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.02)


def test_seeds_without_a_spread_have_no_detectable_difference():
    assert math.isnan(stats.detectable([1.0], 0.0))
    assert math.isnan(stats.detectable([2.0, 2.0], 0.0))


def test_the_variance_that_examples_bring_widens_every_test():
    error = math.sqrt(np.var(SIX, ddof=1) / 6 + 0.5)
    assert stats.paired_t(SIX, 0.5) == pytest.approx(2 * scipy_stats.t.sf(np.mean(SIX) / error, 5))
    expected = scipy_stats.t.sf((3.0 - np.mean(SIX)) / error, 5)
    assert stats.equivalence(SIX, 0.5, 3.0) == pytest.approx(expected)
    alone = math.sqrt(np.var(SIX, ddof=1) / 6)
    widened = stats.detectable(SIX, 0.5) / stats.detectable(SIX, 0.0)
    assert widened == pytest.approx(error / alone)
