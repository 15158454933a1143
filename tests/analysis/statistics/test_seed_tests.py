"""Statistics of an estimate against SciPy and power tables, and simulated coverage of intervals."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from analysis.statistics import bootstrap, contrasts, seed_tests
from analysis.statistics.contrasts import Sample
from kdlab import power

SIX = [0.9, 1.4, -0.3, 2.2, 0.6, 1.7]
STUDIES = 400


def over_seeds(values, drawn: np.ndarray | None = None) -> seed_tests.Estimate:
    """The estimate of a difference for each seed."""
    seeds = np.arange(len(values))
    return contrasts.estimated(Sample(seeds, np.full(len(seeds), -1), np.array(values), drawn))


def test_spread_is_the_standard_deviation_of_a_sample():
    assert seed_tests.spread([1.0, 3.0]) == pytest.approx(math.sqrt(2))
    assert math.isnan(seed_tests.spread([1.0]))


def test_test_and_interval_over_seeds_are_those_of_a_paired_t():
    found, scipy = over_seeds(SIX), scipy_stats.ttest_1samp(SIX, 0.0)
    assert seed_tests.two_sided(found) == pytest.approx(scipy.pvalue)
    assert seed_tests.interval(found) == pytest.approx(tuple(scipy.confidence_interval(0.95)))
    assert found.df == pytest.approx(5)


@pytest.mark.parametrize("values", [[], SIX[:1], SIX[:2]])
def test_under_three_seeds_nothing_is_said(values):
    found = over_seeds([*values, 1.0][:2])
    told = [
        *seed_tests.interval(found),
        seed_tests.two_sided(found),
        seed_tests.equivalence(found, 10.0),
    ]
    assert all(math.isnan(value) for value in [*told, seed_tests.detectable(found)])


def test_seeds_that_do_not_vary_have_no_test_but_where_they_are_equal():
    same, shifted = over_seeds([0.0] * 5), over_seeds([2.0] * 5)
    assert (seed_tests.two_sided(same), seed_tests.interval(same)) == (1.0, (0.0, 0.0))
    assert math.isnan(seed_tests.two_sided(shifted))
    assert math.isnan(seed_tests.interval(shifted)[0])
    assert math.isnan(seed_tests.equivalence(over_seeds([0.1] * 5), 1.0))
    assert math.isnan(seed_tests.detectable(shifted))


@pytest.mark.parametrize("examples", [0.0, 0.5])
def test_interval_test_and_equivalence_never_disagree(examples):
    """Just inside and just outside the interval's ends."""
    error = np.var(SIX, ddof=1) / 6
    found = seed_tests.combined(float(np.mean(SIX)), [(error, 5), (examples, 499)])
    _, high = seed_tests.interval(found)
    for mean, is_out in (
        ((high - found.mean) * 1.0001, True),
        ((high - found.mean) * 0.9999, False),
    ):
        moved = seed_tests.Estimate(mean, found.error, found.df)
        assert (seed_tests.two_sided(moved) < 0.05) == is_out
        assert (seed_tests.interval(moved)[0] > 0) == is_out
    assert seed_tests.equivalence(found, high * (1 + 1e-4)) < 0.05
    assert seed_tests.equivalence(found, high * (1 - 1e-4)) > 0.05


def test_several_sources_have_each_their_own_quantile():
    found = seed_tests.combined(0.0, [(2.0, 2), (1.0, 499)])
    quantiles = [scipy_stats.t.ppf(0.975, df) for df in (2, 499)]
    half = math.sqrt(2.0 * quantiles[0] ** 2 + 1.0 * quantiles[1] ** 2)
    assert found.error == pytest.approx(math.sqrt(3))
    assert seed_tests.interval(found)[1] == pytest.approx(half)
    assert 2 < found.df < 9 / (4 / 2)  # of Satterthwaite: with the first alone 4.5


def test_equivalence_is_of_two_one_sided_tests_at_half_the_level():
    found = over_seeds(SIX)
    error = np.std(SIX, ddof=1) / math.sqrt(6)
    for margin in (1.0, 3.0):
        one_sided = [
            scipy_stats.t.sf((margin - side * np.mean(SIX)) / error, 5) for side in (1, -1)
        ]
        assert seed_tests.equivalence(found, margin) == pytest.approx(min(1.0, 2 * max(one_sided)))


# Coverage


def drawn_study(random: np.random.Generator, seeds: int, of_seed: float, of_examples: float):
    """Seeds that vary by themselves, all by the same examples, and each by examples of its own."""
    own = of_examples / 2
    values = random.normal(0, of_seed, seeds) + random.normal(0, of_examples)
    values = values + random.normal(0, own, seeds) if own else values
    drawn = random.normal(0, of_examples, (bootstrap.DRAWS, 1))
    return values, drawn + random.normal(0, own, (bootstrap.DRAWS, seeds))


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(("of_seed", "of_examples"), [(1.0, 0.0), (1.0, 0.4), (0.0, 1.0)])
def test_an_interval_holds_the_truth_as_often_as_it_says(seeds, of_seed, of_examples):
    """Of 400 studies 92 % and more: 95 % less two and a half errors of counting."""
    random = np.random.default_rng(seeds)
    held = 0
    for _ in range(STUDIES):
        values, drawn = drawn_study(random, seeds, of_seed, of_examples)
        low, high = seed_tests.interval(over_seeds(values, drawn))
        held += low <= 0 <= high
    assert held >= 0.922 * STUDIES
    assert of_examples or held <= 0.978 * STUDIES


@pytest.mark.parametrize(("of_seed", "of_teacher"), [(1.0, 0.0), (0.3, 1.0), (1.0, 1.0)])
def test_an_interval_holds_the_truth_where_teachers_are_crossed(of_seed, of_teacher):
    random = np.random.default_rng(1)
    seeds, teachers = (grid.ravel() for grid in np.indices((5, 3)))
    held, without = 0, 0
    for _ in range(STUDIES):
        values = random.normal(0, of_seed, 5)[seeds] + random.normal(0, of_teacher, 3)[teachers]
        for each in (teachers, np.full(15, -1)):
            low, high = seed_tests.interval(contrasts.estimated(Sample(seeds, each, values, None)))
            held += (each is teachers) * (low <= 0 <= high)
            without += (each is not teachers) * (low <= 0 <= high)
    assert held >= 0.922 * STUDIES
    assert of_teacher < 1 or without < 0.9 * STUDIES  # fifteen pairs are no fifteen teachers


def test_a_teacher_of_its_own_for_each_seed_varies_with_it():
    values = np.array(SIX)
    own = contrasts.estimated(Sample(np.arange(6), np.arange(6) + 10, values, None))
    assert own == over_seeds(SIX)


def test_a_missing_pair_of_crossed_teachers_leaves_seeds_equal_weights():
    seeds, teachers = np.array([1, 1, 2, 3]), np.array([5, 6, 5, 6])
    values = np.array([0.0, 2.0, 3.0, 5.0])
    assert contrasts.estimated(Sample(seeds, teachers, values, None)).mean == pytest.approx(3.0)


def test_small_levels_hold_too_where_examples_add_to_three_seeds():
    """Where Holm's first steps are: degrees of freedom of Satterthwaite are wrong four times."""
    random = np.random.default_rng(2)
    values = random.normal(size=(100_000, 3)) + random.normal(0, 0.3, size=(100_000, 1))
    of_seeds = values.var(1, ddof=1) / 3
    wrong, welch = 0, 0
    for mean, own in zip(values.mean(1)[:8000], of_seeds[:8000], strict=True):
        found = seed_tests.combined(float(mean), [(float(own), 2), (0.09, 499)])
        wrong += seed_tests.two_sided(found) < 0.01
        df = (own + 0.09) ** 2 / (own**2 / 2 + 0.09**2 / 499)
        welch += (
            seed_tests.two_sided(seed_tests.Estimate(float(mean), found.error, float(df))) < 0.01
        )
    assert wrong <= 105
    assert welch > 160


# Families


def test_holm_by_hand():
    # Smallest first: 4 x 0.01, 3 x 0.02, then 2 x 0.03 and 0.04, which may not fall again.
    assert seed_tests.holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert seed_tests.holm([0.9, 0.6]) == pytest.approx([1.0, 1.0])
    assert seed_tests.holm([]) == []


def test_holm_is_that_of_statsmodels():
    from statsmodels.stats.multitest import multipletests

    for draw in range(5):
        p = np.random.default_rng(draw).random(7).round(1) ** 3  # with ties
        expected = multipletests(p, method="holm")[1]
        assert seed_tests.holm(p.tolist()) == pytest.approx(expected.tolist(), abs=1e-15)


def test_holm_leaves_out_what_was_not_tested():
    first, second, third = seed_tests.holm([0.01, math.nan, 0.04])
    assert (first, third) == pytest.approx((0.02, 0.04))
    assert math.isnan(second)


def test_a_contrast_is_tested_once_and_quoted_after_that():
    rows = pd.DataFrame(
        {
            "key": ["a", "b", "a"],
            "p": [0.02, 0.5, 0.02],
            "equivalence": [0.9, 0.9, 0.9],
            "n": 6,
            "degenerate": 0,
            "path": [("axis init", "rte")] * 3,
            "planned": 6,
        }
    )
    known: dict[str, contrasts.Verdict] = {}
    first = contrasts.judged(rows, known)
    assert first["adjusted"].tolist() == pytest.approx([0.04, 0.5, 0.04])  # twice is once
    alone = rows.iloc[[0]].assign(path=[("claims", "copied", "rte")])
    (again,) = contrasts.judged(alone, known).to_dict("records")
    assert (again["adjusted"], again["family"]) == (pytest.approx(0.04), ("axis init",))


@pytest.mark.parametrize(
    ("tests", "seeds", "step"), [(1, 3, 4.30), (5, 3, 9.92), (12, 6, 4.97), (50, 5, 8.61)]
)
def test_the_first_step_of_a_family_is_bonferronis(tests, seeds, step):
    assert power.first_step(tests, seeds - 1) == pytest.approx(step, abs=0.02)
    assert power.is_able(tests, seeds)


def test_families_are_the_largest_that_can_mark_anything_at_the_planned_seeds():
    paths = [("table", column, control) for column in "ab" for control in "xy" for _ in range(4)]
    assert set(power.families(paths, [6] * 16)) == {("table",)}
    assert set(power.families(paths, [4] * 16)) == {("table",)}
    of_control = {("table", column, control) for column in "ab" for control in "xy"}
    assert set(power.families(paths, [3] * 16)) == of_control
    assert set(power.families(paths[:5], [3] * 5)) == {("table",)}
    assert set(power.families(paths[:6], [3] * 6)) == {("table", "a", "x"), ("table", "a", "y")}
    assert not power.is_able(6, 3)
    assert not power.is_able(1, 2)


# Power


@pytest.mark.parametrize(("n", "deviations"), [(3, 3.3), (5, 1.7), (10, 1.0)])
def test_detectable_differences_are_those_of_power_tables(n, deviations):
    values = np.arange(n) * 1.0
    found = seed_tests.detectable(over_seeds(values)) / seed_tests.spread(list(values))
    assert found == pytest.approx(deviations, abs=0.05)


@pytest.mark.parametrize(("tests", "n"), [(1, 3), (1, 40), (8, 6)])
def test_a_detectable_difference_is_found_in_eighty_of_a_hundred_studies(tests, n):
    random = np.random.default_rng(7)
    shift = power.detectable(tests, n - 1) / math.sqrt(n)
    drawn = random.normal(shift, 1.0, size=(4000, n))
    found = np.abs(drawn.mean(1)) / (drawn.std(1, ddof=1) / math.sqrt(n))
    assert (found > power.first_step(tests, n - 1)).mean() == pytest.approx(0.8, abs=0.03)
