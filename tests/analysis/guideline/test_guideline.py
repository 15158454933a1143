"""The guideline recommends what is planted, not what is chance, and no sentence lacks a number."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from guidelines import LEVELS, planted, points, section, sentences, written
from simulated import AXES, BY_CHANCE, STUDIES, study

from analysis.effects.comparable import grids
from analysis.effects.pairing import matched
from analysis.guideline import (
    RECOMMENDED,
    UNKNOWN,
    directional,
    evidence,
    markdown,
    text,
)
from analysis.guideline.evidence import gathered
from analysis.read.axes import FIVE
from analysis.statistics.contrasts import Verdict
from analysis.statistics.pairs import Inference
from analysis.tables.plain_text import item, prose

# Recommendations


def test_what_was_planted_is_recommended_with_difference_interval_pairs_and_seeds(found):
    init = section(found, "init")
    assert init.verdict == RECOMMENDED
    prefer, on_mrpc = init.recommended
    assert on_mrpc.startswith("Prefer `teacher_first` on mrpc accuracy")
    start = "Prefer `teacher_first` on rte accuracy, the first of 2 levels. Shown to be worse: 1"
    assert prefer.startswith(start)
    assert re.search(
        r"`random` than `teacher_first`: \+[45]\.\d points \[[45]\.\d, 5\.\d\], 20 pairs, 5 seeds, "
        r"p < 0\.001\.",
        prefer,
    )
    knowledge = section(found, "knowledge")
    assert [one.split("`")[1] for one in knowledge.recommended] == ["hidden_mse"] * 2
    assert section(found, "matching").recommended[0].startswith("Prefer `skip`")


def test_what_makes_no_difference_is_not_recommended(found):
    knowledge = section(found, "knowledge")
    said = " ".join(one for one in knowledge.recommended + knowledge.parts["Evidence"])
    assert "`logits_kl` is better than `none`" not in said
    assert "`none` is better than `logits_kl`" not in said


def test_in_studies_in_which_nothing_is_there_nothing_is_recommended():
    axes = {"knowledge": ["a", "b", "c"], "init": ["x", "y"]}
    claims = dict.fromkeys(axes, 0)
    for draw in range(STUDIES):
        found_in = grids(study(axes, draw=draw), list(axes))
        shown = evidence.comparisons(found_in, list(axes), Inference(1.0))
        for axis in axes:
            claims[axis] += bool(text.preferences(shown[shown["axis"] == axis]))
    assert max(claims.values()) <= BY_CHANCE


def test_under_three_seeds_nothing_is_recommended_and_the_guideline_says_why():
    found = written(study(AXES, planted, spread=0.5, seeds=2))
    init = section(found, "init")
    assert init.verdict == UNKNOWN
    assert "0 of 1 differences shown" in init.recommended[0]
    assert any(
        "fewer than 3 seeds (down to 2): 1 of 1" in one
        for one in init.parts["What the data cannot say"]
    )


def test_levels_are_ranked_by_size_with_all_beside_that_are_not_shown_worse():
    """The largest is not the one that happens to be significant, as it varies more over seeds."""
    scores = study({"knowledge": ["none", "steady", "largest", "small"]}, spread=0.2, draw=1)
    gains = {"steady": 3.0, "largest": 4.0, "small": 0.1}
    scores["score"] += scores["knowledge"].map(gains).fillna(0) / 100
    noise = np.array([-9.0, 5.0, 6.0, -6.0, 6.5]) / 100
    is_largest = scores["knowledge"] == "largest"
    scores.loc[is_largest, "score"] += noise[scores.loc[is_largest, "seed"]]
    (prefer,) = section(written(scores, ["knowledge"]), "knowledge").recommended
    start = (
        "Prefer `largest` on rte accuracy, the first of 4 levels. Not shown to be worse: `steady`"
    )
    assert prefer.startswith(start)
    assert "Shown to be worse: 2, most of all" in prefer
    assert re.search(r"`(none|small)` than `steady`: \+[23]", prefer)


def test_one_contrast_has_one_verdict_wherever_it_is_spoken_of():
    """Tables, axes, claims of the literature and flips quote the family that tested it."""

    def weak(levels):
        return 1.2 * (levels["init"] == "teacher_first") + 3.0 * (levels["knowledge"] != "none")

    scores = study(
        {"knowledge": ["none", "a", "b", "c"], "init": ["random", "teacher_first"]}, weak
    )
    made = gathered(scores, ["knowledge", "init"])
    verdicts: dict[str, set] = {}
    claims = pd.concat([judged.compared for judged in made.claims])
    for part in (made.compared, claims, made.sides):
        for row in part.to_dict("records"):
            verdicts.setdefault(row["key"], set()).add((row["adjusted"], row["equivalent"]))
    copied = claims[claims["claim"].str.startswith("copied")]
    assert list(copied["family"]) == [("axis init",)]
    assert {len(told) for told in verdicts.values()} == {1}
    key = made.compared["key"][made.compared["axis"] == "init"].iloc[0]
    table = {key: Verdict(0.4, 0.9, ("table main",))}
    again = gathered(scores, ["knowledge", "init"], Inference(verdicts=table))
    told = pd.concat([again.compared, *(judged.compared for judged in again.claims)])
    assert set(told["adjusted"][told["key"] == key]) == {0.4}


def test_a_difference_within_the_margin_is_told_but_is_no_recommendation():
    def small(levels):
        return 0.4 * (levels["init"] == "random")

    found = written(study({"init": ["random", "teacher_first"]}, small, spread=0.05), ["init"])
    init = section(found, "init")
    assert init.verdict == UNKNOWN
    assert "`random` is better than `teacher_first`" in init.parts["Evidence"][0]
    assert init.parts["Evidence"][0].endswith("which is within the margin.")


def test_a_recommendation_that_a_flip_reverses_is_on_average_only():
    def flipping(levels):
        sign = 4.0 if levels["init"] == "random" else -1.5
        return sign * (levels["knowledge"] == "b")

    axes = {"knowledge": ["a", "b"], "init": ["random", "teacher_first"]}
    found = written(study(axes, flipping, spread=0.3), list(axes))
    knowledge = section(found, "knowledge")
    (prefer,) = knowledge.recommended
    assert prefer.endswith("On average only: 1 comparison of it flip with `init`.")
    (flip,) = knowledge.parts["Where it flips"]
    assert re.search(r"flips with `init`: −[34]\.\d points .* at `random`; \+1\.\d", flip)


def test_levels_that_win_in_one_column_and_lose_in_another_are_said_to():
    def by_task(levels):
        return (3.0 if levels["task"] == "rte" else -3.0) * (levels["knowledge"] == "b")

    scores = study({"knowledge": ["a", "b"]}, by_task, spread=0.3, tasks=["rte", "mrpc"])
    knowledge = section(written(scores, ["knowledge"]), "knowledge")
    said = [prefer.partition(",")[0] for prefer in knowledge.recommended]
    assert said == ["Prefer `b` on rte accuracy", "Prefer `a` on mrpc accuracy"]
    assert "flips with `task`" in knowledge.parts["Where it flips"][0]


def test_where_a_shown_difference_is_larger_is_tested_and_told(found):
    """The last layers are worse under random init only."""

    def under_random(levels):
        return -4.0 * (levels["matching"] == "last") * (levels["init"] == "random")

    matching = section(written(study(AXES, under_random, spread=0.4)), "matching")
    assert matching.verdict == RECOMMENDED
    change, rest = matching.parts["Where a difference is larger"]
    assert re.search(r"`skip` minus `last` on rte accuracy changes with `init`", change)
    assert points(change) == pytest.approx([4.0, 0.0, 4.0], abs=0.8)
    assert rest.startswith("Of 1 comparison of a difference at two places 1 are shown")
    # What was planted for knowledge holds under both inits alike.
    same = section(found, "knowledge").parts["Where a difference is larger"]
    assert not any("with `init`" in text for text in same)


# No sentence without a number of the data


def gaps(made: evidence.Evidence) -> list[float]:
    """How far levels are behind others, by size."""
    sizes = [text.ranked(part) for _, part in made.compared.groupby(["axis", "column"])]
    return [one - other for own in sizes for one in own.values() for other in own.values()]


def test_every_bullet_has_a_number_and_it_is_one_of_the_data(found):
    scores = study(AXES, planted, spread=0.5, tasks=["rte", "mrpc"])
    made = gathered(scores, LEVELS)
    ends = ["difference", "low", "high"]
    apart = [*(f"{end}_there" for end in ends), "apart"]
    known = [
        *made.compared[[*ends, "detectable"]].to_numpy().ravel(),
        *made.sides[ends].to_numpy().ravel(),
        *made.changes[[*ends, *apart]].to_numpy().ravel(),
        *(d for judged in made.claims for d in judged.compared[ends].to_numpy().ravel()),
        *gaps(made),
    ]
    numbers = {f"{abs(value):.1f}" for value in known if not math.isnan(value)}
    bullets = sentences(found)
    assert len(bullets) > 25
    for one in bullets:
        assert re.search(r"\d", one), one
        # Points have one digit; p and shares have others, and counts none.
        assert set(re.findall(r"(?<![\d.])\d+\.\d(?!\d)", one)) <= numbers, one


def test_the_markdown_has_every_statement_once_as_a_bullet_and_no_other_sentence(found):
    lines = markdown(found).splitlines()
    bullets = [line for line in lines if line.startswith("- ")]
    assert bullets == [item(prose(one)) for one in sentences(found)]
    rest = [line for line in lines if line and not line.startswith(("- ", "#"))]
    assert rest == ["What matters?"]


def test_the_same_scores_give_the_same_bytes(found):
    again = written(study(AXES, planted, spread=0.5, tasks=["rte", "mrpc"]))
    assert markdown(again) == markdown(found)


# The literature


def test_every_claim_says_agrees_disagrees_or_cannot_tell_with_its_source(found):
    said = [one for own in found.sections for one in own.parts["The literature"]]
    claims = directional.load()
    assert len(said) == len(claims)
    for claim in claims:
        (text,) = (text for text in said if claim.claim[1:] in text)
        assert re.match(r"(Agrees|Disagrees|Agrees and disagrees|Cannot tell)(:| \(of \d)", text)
        assert claim.source in text
        assert claim.certainty in text


# What the data cannot say


def test_axes_that_do_not_vary_are_not_studied_and_those_alike_are_named():
    scores = study({"knowledge": ["none", "logits_kl"]}).assign(init="random", size="tiny")
    scores["hard.weight"] = np.where(scores["knowledge"] == "none", 1.0, 0.0)
    found = written(scores, ["knowledge", "hard.weight"])
    init = section(found, "init")
    assert init.verdict == "not studied"
    assert init.recommended[0] == ("It does not vary: 10 runs to which it applies have `random`.")
    knowledge = section(found, "knowledge")
    assert knowledge.recommended[0].endswith("0 matched pairs of runs differ in it alone.")
    said = " ".join(one for one in knowledge.parts["What the data cannot say"])
    assert "`knowledge` parts 10 runs exactly as `hard.weight` does" in said
    assert "`none` and `logits_kl` (hard.weight)" in said
    assert [own.axis for own in found.sections] == [*FIVE, "teacher"]


def test_a_recipe_is_no_axis_but_a_name_for_values_of_others():
    scores = study(AXES, planted, spread=0.5)
    scores["recipe"] = np.where(scores["knowledge"] == "none", "none", "pkd_skip")
    found = written(scores, [*LEVELS, "recipe"])
    assert [own.axis for own in found.sections] == [*FIVE, "teacher"]


def test_a_key_that_is_null_in_some_runs_is_an_axis_too():
    """`data.rows`: null for all rows, which has no value that could be counted."""
    scores = study({"knowledge": ["a", "b"]}, spread=0.5)
    scores["data.rows"] = math.nan
    few = scores.assign(**{"data.rows": 500.0}, uid=scores["uid"] + ", few")
    few["score"] -= 0.048 + 0.001 * few["seed"]
    found = written(pd.concat([scores, few], ignore_index=True), ["knowledge"])
    (prefer,) = section(found, "data.rows").recommended
    assert prefer.startswith("Prefer `null`")
    assert points(prefer)[-1] == pytest.approx(5.0)  # of seeds 0 to 4
    assert "20 runs" in found.data[0]


def test_limits_name_tasks_runs_teachers_trials_degenerate_runs_and_headroom():
    scores = study(AXES, tasks=["rte"])
    scores.loc[0, ["state", "score"]] = ["diverged", math.nan]
    scores.loc[1, "degenerate"] = True
    teacher = scores.iloc[[2]].assign(seed=-1, row="teacher", uid="teacher", score=0.5)
    found = written(pd.concat([scores, teacher], ignore_index=True))
    said = found.limits
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
    (blind,) = (one for one in init.parts["What the data cannot say"] if "would miss" in one)
    assert "1 of 1" in blind
    assert f"{row['detectable']:.1f} points" in blind
