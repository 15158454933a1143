"""The guideline recommends what is planted, not what is chance, and no sentence lacks a number."""

import math
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from guidelines import LEVELS, planted, section, statements, written
from made import ROWS, leave, outputs
from simulated import AXES, BY_CHANCE, STUDIES, study

import analysis
from analysis import guideline
from analysis.effects.comparable import grids
from analysis.guideline import (
    RECOMMENDED,
    UNKNOWN,
    evidence,
    markdown,
    text,
)
from analysis.guideline.evidence import gathered
from analysis.statistics.contrasts import Verdict
from analysis.statistics.pairs import Inference
from analysis.tables.plain_text import item, prose
from kdlab.errors import BadInput
from kdlab.run import teacher_runs
from sweeps.plan import plan
from sweeps.study import reading as sweeps_study

# Recommendations


def test_what_was_planted_is_recommended_with_difference_interval_pairs_and_seeds(found):
    init = section(found, "init")
    assert init.verdict == RECOMMENDED
    prefer, on_mrpc = init.recommended
    assert on_mrpc.text.startswith("Prefer `teacher_first` on mrpc accuracy")
    start = "Prefer `teacher_first` on rte accuracy, the first of 2 levels. Shown to be worse: 1"
    assert prefer.text.startswith(start)
    assert re.search(
        r"`random` than `teacher_first`: \+[45]\.\d points \[[45]\.\d, 5\.\d\], 20 pairs, 5 seeds, "
        r"p < 0\.001\.",
        prefer.text,
    )
    knowledge = section(found, "knowledge")
    assert [one.text.split("`")[1] for one in knowledge.recommended] == ["hidden_mse"] * 2
    assert section(found, "matching").recommended[0].text.startswith("Prefer `skip`")


def test_what_makes_no_difference_is_not_recommended(found):
    knowledge = section(found, "knowledge")
    said = " ".join(one.text for one in knowledge.recommended + knowledge.evidence)
    assert "`logits_kl` is better than `none`" not in said
    assert "`none` is better than `logits_kl`" not in said


def test_in_studies_in_which_nothing_is_there_nothing_is_recommended():
    axes = {"knowledge": ["a", "b", "c"], "init": ["x", "y"]}
    claims = dict.fromkeys(axes, 0)
    for draw in range(STUDIES):
        found_in = grids(study(axes, draw=draw), list(axes))
        shown = evidence.comparisons(found_in, list(axes), Inference(1.0))
        none = shown.iloc[:0].assign(verdict="")
        for axis in axes:
            claims[axis] += bool(text.preferred(shown[shown["axis"] == axis], none))
    assert max(claims.values()) <= BY_CHANCE


def test_under_three_seeds_nothing_is_recommended_and_the_guideline_says_why():
    found = written(study(AXES, planted, spread=0.5, seeds=2))
    init = section(found, "init")
    assert init.verdict == UNKNOWN
    assert "0 of 1 differences shown" in init.recommended[0].text
    assert any("fewer than 3 seeds (down to 2): 1 of 1" in one.text for one in init.unknown)


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
    assert prefer.text.startswith(start)
    assert "Shown to be worse: 2, most of all" in prefer.text
    assert re.search(r"`(none|small)` than `steady`: \+[23]", prefer.text)


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
    assert "`random` is better than `teacher_first`" in init.evidence[0].text
    assert init.evidence[0].text.endswith("which is within the margin.")


def test_a_recommendation_that_a_flip_reverses_is_on_average_only():
    def flipping(levels):
        sign = 4.0 if levels["init"] == "random" else -1.5
        return sign * (levels["knowledge"] == "b")

    axes = {"knowledge": ["a", "b"], "init": ["random", "teacher_first"]}
    found = written(study(axes, flipping, spread=0.3), list(axes))
    knowledge = section(found, "knowledge")
    (prefer,) = knowledge.recommended
    assert prefer.text.endswith("On average only: 1 comparison of it flip with `init`.")
    (flip,) = knowledge.flips
    assert re.search(r"flips with `init`: −[34]\.\d points .* at `random`; \+1\.\d", flip.text)


def test_levels_that_win_in_one_column_and_lose_in_another_are_said_to():
    def by_task(levels):
        return (3.0 if levels["task"] == "rte" else -3.0) * (levels["knowledge"] == "b")

    scores = study({"knowledge": ["a", "b"]}, by_task, spread=0.3, tasks=["rte", "mrpc"])
    knowledge = section(written(scores, ["knowledge"]), "knowledge")
    said = [prefer.text.partition(",")[0] for prefer in knowledge.recommended]
    assert said == ["Prefer `b` on rte accuracy", "Prefer `a` on mrpc accuracy"]
    assert "flips with `task`" in knowledge.flips[0].text


def test_where_a_shown_difference_is_larger_is_tested_and_told(found):
    """The last layers are worse under random init only."""

    def under_random(levels):
        return -4.0 * (levels["matching"] == "last") * (levels["init"] == "random")

    matching = section(written(study(AXES, under_random, spread=0.4)), "matching")
    assert matching.verdict == RECOMMENDED
    change, rest = matching.changes
    assert re.search(r"`skip` minus `last` on rte accuracy changes with `init`", change.text)
    assert change.values == pytest.approx((4.0, 0.0, 4.0), abs=0.8)
    assert rest.text.startswith("Of 1 comparison of a difference at two places 1 are shown")
    # What was planted for knowledge holds under both inits alike.
    same = [one.text for one in section(found, "knowledge").changes]
    assert not any("with `init`" in text for text in same)


# No sentence without a number of the data


def gaps(made: evidence.Evidence) -> list[float]:
    """How far levels are behind others, by size."""
    sizes = [text.ranked(part) for _, part in made.compared.groupby(["axis", "column"])]
    return [one - other for own in sizes for one in own.values() for other in own.values()]


def test_every_bullet_has_a_number_and_it_is_one_of_the_data(found):
    scores = study(AXES, planted, spread=0.5, tasks=["rte", "mrpc"])
    made = gathered(scores, LEVELS)
    points = [
        *made.compared[["difference", "low", "high", "detectable"]].to_numpy().ravel(),
        *made.sides["difference"],
        *made.changes[["difference", "difference_there", "apart"]].to_numpy().ravel(),
        *(100 * made.shares["omega_squared"].to_numpy()),
        *(d for judged in made.claims for d in judged.compared["difference"]),
        *gaps(made),
    ]
    known = {f"{abs(value):.1f}" for value in points if not math.isnan(value)}
    bullets = statements(found)
    assert len(bullets) > 25
    for one in bullets:
        assert one.values, one.text
        for value in one.values:
            if float(value).is_integer():  # a count
                assert re.search(rf"\b{int(value)}\b", one.text), (value, one.text)
            else:
                assert f"{abs(value):.1f}" in known, (value, one.text)
                shown = {f"{abs(value):.1f}", f"{abs(value):.0f}", f"{abs(value):.2f}"}
                assert any(number in one.text for number in shown), (value, one.text)


def test_the_markdown_has_every_statement_once_as_a_bullet_and_no_other_sentence(found):
    lines = markdown(found).splitlines()
    bullets = [line for line in lines if line.startswith("- ")]
    assert bullets == [item(prose(one.text)) for one in statements(found)]
    rest = [line for line in lines if line and not line.startswith(("- ", "#"))]
    assert rest == ["What matters?"]


def test_the_same_scores_give_the_same_bytes(found):
    again = written(study(AXES, planted, spread=0.5, tasks=["rte", "mrpc"]))
    assert markdown(again) == markdown(found)


# From records

STUDY = """
question: Does knowledge help?
base: [task=synthetic, size=l2_h64_a4, init=random]
seeds: [1, 2, 3, 4, 5]
blocks:
  - table: main
    control: none
    cases:
      none: [knowledge=none]
      logits: [knowledge=logits_kl]
      skip: [knowledge=hidden_mse, matching=skip]
      last: [knowledge=hidden_mse, matching=last]
"""

RIGHT = {"none": 240, "logits": 240, "skip": 340, "last": 300}


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """The root of a study with all its records."""
    tmp_path = tmp_path_factory.mktemp("launched")
    path = tmp_path / "made.yaml"
    path.write_text(STUDY)
    loaded = sweeps_study.load(str(path))
    planned = plan.plan(loaded)
    plan.write(planned, {}, "made", loaded, str(tmp_path))
    labels = np.random.default_rng(0).integers(2, size=ROWS).astype(float)
    left = set()
    for entry in planned:
        right = RIGHT[entry.cell.row] + (7 * entry.cell.seed + len(entry.cell.row)) % 11
        for run, number in [(entry.run, right), *((t, 350) for t in teacher_runs(entry.run))]:
            if run.uid not in left:
                leave(tmp_path, run.uid, outputs(labels, number), labels)
                left.add(run.uid)
    return tmp_path


def test_a_studys_records_make_its_guideline_with_examples_resampled(launched):
    runs = analysis.load("made", root=str(launched))
    found = guideline.guideline(runs)
    text = markdown(found)
    assert text.startswith("# Guideline of study made\n\nDoes knowledge help?\n")
    assert "holds what comes from seeds, teachers and examples." in text
    (prefer,) = section(found, "knowledge").recommended
    assert prefer.text.startswith("Prefer `hidden_mse`")
    # Against the arm without layers each matching counts: 100 and 60 rows of 400.
    assert prefer.values[-1] == pytest.approx(20.0, abs=1.0)
    (matching,) = section(found, "matching").recommended
    assert matching.values[-1] == pytest.approx(10.0, abs=1.0)
    assert markdown(guideline.guideline(analysis.load("made", root=str(launched)))) == text


def test_the_command_prints_the_guideline_and_writes_it(launched, monkeypatch, capsys):
    from analysis import __main__ as command

    arguments = ["analysis", "guideline", "made", "--root", str(launched)]
    monkeypatch.setattr("sys.argv", arguments)
    command.main()
    text = (launched / "studies" / "made" / "guideline.md").read_text()
    assert text == markdown(guideline.guideline(analysis.load("made", root=str(launched))))
    assert capsys.readouterr().out.startswith(text)
    monkeypatch.setattr("sys.argv", [*arguments, "--margin", "0"])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "--margin 0: points above 0" in capsys.readouterr().err


def test_without_outputs_the_examples_are_taken_as_they_are_and_it_is_said(launched, tmp_path):
    shutil.copytree(launched, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "outputs")
    found = guideline.guideline(analysis.load("made", root=str(tmp_path)))
    assert "holds what comes from seeds and teachers." in markdown(found)
    assert found.limits[-1].text.startswith("Not all of the 20 runs have their outputs here")


def test_a_study_of_which_nothing_is_done_has_no_guideline(launched, tmp_path):
    shutil.copytree(launched / "studies", tmp_path / "studies")
    with pytest.raises(BadInput, match="no student of the study has a score"):
        guideline.guideline(analysis.load("made", root=str(tmp_path)))
