"""What the data cannot say, and that the guideline says so."""

import math

import numpy as np
import pandas as pd
import pytest
from guidelines import LEVELS, section, written
from simulated import AXES, study

from analysis.effects.pairing import matched
from analysis.guideline import (
    UNKNOWN,
    markdown,
)
from analysis.read.axes import FIVE


def test_axes_that_do_not_vary_are_not_studied_and_those_alike_are_named():
    scores = study({"knowledge": ["none", "logits_kl"]}).assign(init="random", size="tiny")
    scores["hard.weight"] = np.where(scores["knowledge"] == "none", 1.0, 0.0)
    found = written(scores, ["knowledge", "hard.weight"])
    init = section(found, "init")
    assert init.verdict == "not studied"
    assert init.recommended[0].text == (
        "It does not vary: 10 runs to which it applies have `random`."
    )
    knowledge = section(found, "knowledge")
    assert knowledge.recommended[0].text.endswith("0 matched pairs of runs differ in it alone.")
    said = " ".join(one.text for one in knowledge.unknown)
    assert "`knowledge` parts 10 runs exactly as `hard.weight` does" in said
    assert "`none` and `logits_kl` (hard.weight)" in said
    assert [own.axis for own in found.sections] == [*FIVE, "teacher"]


def test_a_key_that_is_null_in_some_runs_is_an_axis_too():
    """`data.rows`: null for all rows, which has no value that could be counted."""
    scores = study({"knowledge": ["a", "b"]}, spread=0.5)
    scores["data.rows"] = math.nan
    few = scores.assign(**{"data.rows": 500.0}, uid=scores["uid"] + ", few")
    few["score"] -= 0.048 + 0.001 * few["seed"]
    found = written(pd.concat([scores, few], ignore_index=True), ["knowledge"])
    (prefer,) = section(found, "data.rows").recommended
    assert prefer.text.startswith("Prefer `null`")
    assert prefer.values[-1] == pytest.approx(5.0)  # of seeds 0 to 4
    assert "20 runs" in found.data[0].text


def test_limits_name_tasks_runs_teachers_trials_degenerate_runs_and_headroom():
    scores = study(AXES, tasks=["rte"])
    scores.loc[0, ["state", "score"]] = ["diverged", math.nan]
    scores.loc[1, "degenerate"] = True
    teacher = scores.iloc[[2]].assign(seed=-1, row="teacher", uid="teacher", score=0.5)
    found = written(pd.concat([scores, teacher], ignore_index=True))
    said = [one.text for one in found.limits]
    assert said[0].startswith("1 of GLUE's 8 tasks are in it; not cola, sst2, mrpc, stsb")
    assert said[1] == "rte accuracy: runs left out of all comparisons: 1 diverged."
    assert said[2].startswith("1 teacher seed")
    assert said[3].startswith("0 trials")
    assert said[4].startswith("rte accuracy: 1 of 39 runs predict the same for every row")
    assert "in 2 of 2 settings the headroom" in said[5]
    assert said[6].startswith("Not all of the 39 runs have their outputs here")


def test_scores_that_are_all_the_same_share_no_variance():
    found = written(study({"knowledge": ["none", "logits_kl"]}, seeds=1, spread=0.0), ["knowledge"])
    assert section(found, "knowledge").verdict == UNKNOWN
    assert "of the variance" not in markdown(found)


def test_comparisons_too_coarse_for_the_margin_are_counted():
    init = section(written(study(AXES, spread=4.0)), "init")
    row = matched(study(AXES, spread=4.0), "init", LEVELS).iloc[0]
    (blind,) = (one for one in init.unknown if "would miss" in one.text)
    assert "1 of 1" in blind.text
    assert f"{row['detectable']:.1f} points" in blind.text
