"""Best of a grid: every subset enumerated, and trials read as a study has them."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from simulated import run

from analysis.statistics import trials as selection
from kdlab.errors import BadInput

SEVEN = [61.0, 58.5, 64.0, 60.0, 64.0, 55.0, 62.5]


@pytest.mark.parametrize("n", range(1, 8))
def test_the_expected_best_is_the_mean_of_the_best_of_every_subset(n):
    every = [max(subset) for subset in combinations(SEVEN, n)]
    assert selection.expected_best(SEVEN, n) == pytest.approx(np.mean(every))


def test_the_expected_best_is_unbiased_where_drawing_with_replacement_is_not():
    """Trials of a uniform search: the best of 5 is expected at 5/6."""
    random = np.random.default_rng(0)
    searches = random.uniform(size=(3000, 10))
    ours = np.mean([selection.expected_best(trials, 5) for trials in searches])
    place = np.arange(1, 11) / 10
    with_replacement = np.mean(np.sort(searches) @ np.diff(np.append(0, place**5)))
    assert ours == pytest.approx(5 / 6, abs=0.008)
    assert with_replacement < 5 / 6 - 0.03


def test_the_curve_rises_to_the_best_within_the_band_of_the_draws():
    found = selection.curve(SEVEN)
    assert found["n"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert found["expected"].iloc[0] == pytest.approx(np.mean(SEVEN))
    assert (np.diff(found["expected"]) > -1e-9).all()
    for n, low, high in zip(found["n"], found["low"], found["high"], strict=True):
        every = np.array([max(subset) for subset in combinations(SEVEN, n)])
        assert np.mean(every <= low) >= 0.1 > np.mean(every < low)
        assert np.mean(every <= high) >= 0.9 > np.mean(every < high)
    last = found.iloc[-1]
    assert last["low"] == last["high"] == 64.0
    assert last["expected"] == pytest.approx(64.0)


def test_many_trials_do_not_overflow():
    trials = np.linspace(0, 1, 5000)
    assert selection.expected_best(trials, 2500) == pytest.approx(1 - 1 / 2501, abs=1e-3)


@pytest.mark.parametrize("n", [0, 8])
def test_more_trials_than_there_are_have_no_best(n):
    with pytest.raises(BadInput, match=f"n={n}: .* 1 <= n <= 7"):
        selection.expected_best(SEVEN, n)


def tuned() -> pd.DataFrame:
    """Two arms of three and two trials with two seeds and two metrics; one arm is confirmed."""
    rows = []

    def add(arm: str, trial: str, seed: int, points: float, stage: str = "tune", **more) -> None:
        entry = run("mrpc", seed, {"knowledge": arm}, points) | {
            "stage": stage,
            "trial": trial,
            "unequal": "the weight is the question",
            "uid": f"{arm} {trial} {seed}",
            "select_by": '["f1", "accuracy"]',
            "select/f1": (points + 1) / 100,
            "select/accuracy": (points - 1) / 100,
            "degenerate": "",
        }
        rows.append({**entry, "row": arm, **more})

    for seed, shift in ((8, -1), (9, 1)):
        add("none", "train.lr=0.1", seed, 70 + shift)
        add("none", "train.lr=0.2", seed, 72 + shift)
        add("none", "train.lr=0.4", seed, 80 + shift, degenerate="select" * (seed == 9))
        add("logits", "train.lr=0.1 hard.weight=0", seed, 75 + shift)
        add("logits", "train.lr=0.2 hard.weight=0", seed, 74 + shift)
    add("none", "train.lr=0.2", 1, 71, stage="confirm")
    return pd.DataFrame(rows)


def test_the_best_of_a_grid_names_its_split_keys_rule_and_trials():
    none, logits = selection.best_of(tuned()).to_dict("records")
    assert (none["row"], none["task"], none["split"]) == ("none", "mrpc", "select")
    assert none["keys"] == "train.lr"
    assert logits["keys"] == "train.lr, hard.weight"
    assert none["rule"] == "largest mean over 2 seeds of f1, accuracy"
    assert (none["trials"], logits["trials"]) == (3, 2)
    assert none["unequal"] == "the weight is the question"
    # A constant prediction is 0: 79 and 0 are 39.5.
    assert (none["best"], none["score"]) == ("train.lr=0.2", pytest.approx(72.0))
    assert none["second"] == pytest.approx(70.0)
    assert none["single"] == pytest.approx((70 + 72 + 39.5) / 3)
    assert (none["confirmed"], logits["confirmed"]) == ("train.lr=0.2", "")


def test_a_trial_that_lacks_a_run_is_not_best_and_one_that_diverged_is_the_worst():
    runs, score = tuned(), ["state", "select/f1"]
    is_best = (runs["trial"] == "train.lr=0.2") & (runs["stage"] == "tune")
    runs.loc[is_best & (runs["seed"] == 8), score] = ["missing", math.nan]
    is_first = runs["trial"] == "train.lr=0.1 hard.weight=0"
    runs.loc[is_first & (runs["seed"] == 9), score] = ["diverged", math.nan]
    none, logits = selection.best_of(runs).to_dict("records")
    assert (none["best"], none["missing"]) == ("train.lr=0.1", 1)
    assert (logits["best"], logits["diverged"]) == ("train.lr=0.2 hard.weight=0", 1)
    assert logits["second"] == -math.inf
    assert logits["single"] == pytest.approx(74 / 2)


def test_a_study_without_trials_chose_nothing():
    assert selection.best_of(tuned().query("stage == 'confirm'")).empty
