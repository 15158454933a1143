"""The guideline recommends what is planted, not what is chance, and no sentence lacks a number."""

import math
import re
import shutil
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from made import ROWS, leave, outputs
from simulated import AXES, BY_CHANCE, STUDIES, study

import analysis
from analysis import guideline
from analysis.effects.comparable import grids
from analysis.effects.pairing import matched
from analysis.guideline import (
    RECOMMENDED,
    UNKNOWN,
    Guideline,
    Section,
    context,
    directional,
    evidence,
    markdown,
    text,
)
from analysis.guideline.evidence import gathered
from analysis.guideline.text import Statement
from analysis.read.axes import FIVE
from analysis.statistics.contrasts import Verdict
from analysis.statistics.pairs import Inference
from analysis.tables.plain_text import item, prose
from kdlab.errors import BadInput
from kdlab.run import teacher_runs
from sweeps.plan import plan
from sweeps.study import reading as sweeps_study

LEVELS = ["knowledge", "matching", "init"]


def written(scores: pd.DataFrame, axes=LEVELS, margin: float = 1.0) -> Guideline:
    """The guideline of scores, which have no records."""
    runs = scores.assign(report="")
    runs.attrs = {"study": "simulated", "root": ""}
    return guideline.worded(runs, scores, gathered(scores, axes, Inference(margin)), margin, False)


def section(found: Guideline, axis: str) -> Section:
    return next(section for section in found.sections if section.axis == axis)


def statements(found: Guideline) -> list[Statement]:
    parts = [getattr(own, field.name) for own in found.sections for field in fields(own)[2:]]
    return [one for part in (found.data, *parts, found.limits) for one in part]


def planted(levels) -> float:
    """Copying is worth 5, hidden states 3 but with the last layers 1; the last are worse only then.

    Of two tasks, only.
    """
    points = 5.0 * (levels["init"] == "teacher_first")
    if levels["knowledge"] == "hidden_mse":
        points += 1.0 if levels["matching"] == "last" else 3.0
    return points


@pytest.fixture(scope="module")
def found() -> Guideline:
    return written(study(AXES, planted, spread=0.5, tasks=["rte", "mrpc"]))


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


# The literature


def verdicts(scores: pd.DataFrame, axes=LEVELS, margin: float = 1.0) -> dict[str, str]:
    told = directional.judge_claims(directional.load(), grids(scores, axes), Inference(margin))
    return {one.claim.claim.split()[0]: one.verdict for one in told}


def test_every_claim_says_agrees_disagrees_or_cannot_tell_with_its_source(found):
    said = [one.text for own in found.sections for one in own.literature]
    claims = directional.load()
    assert len(said) == len(claims)
    for claim in claims:
        (text,) = (text for text in said if claim.claim[1:] in text)
        assert re.match(r"(Agrees|Disagrees|Agrees and disagrees|Cannot tell)(:| \(of \d)", text)
        assert claim.source in text
        assert claim.certainty in text


def test_matching_matters_under_random_init_and_hardly_under_copied_layers():
    """As published: both claims of the mapping are borne out at once."""

    def published(levels):
        return -3.0 * (levels["matching"] == "last") * (levels["init"] == "random")

    scores = study(AXES, published, spread=0.3, seeds=6)
    told = verdicts(scores)
    assert told["uniform"] == "agrees"
    assert told["which"] == "cannot tell"  # of attention, which is not there; the last of two
    mapping = directional.judge_claims(directional.load(), grids(scores, LEVELS), Inference(1.0))[2]
    assert mapping.claim.relation == "equal"
    assert (mapping.verdict, len(mapping.compared)) == ("agrees", 1)
    reverse = study(AXES, lambda levels: -published(levels), spread=0.4, seeds=6)
    assert verdicts(reverse)["uniform"] == "disagrees"


def test_that_nothing_is_found_is_not_that_nothing_is_there():
    noisy = study(AXES, spread=6.0)
    mapping = directional.judge_claims(directional.load(), grids(noisy, LEVELS), Inference(1.0))[2]
    assert mapping.verdict == "cannot tell"
    assert len(mapping.compared) == 1


def test_terms_that_both_sides_have_do_not_hide_what_is_compared():
    axes = {
        "knowledge": ["hidden_mse+logits_kl", "attention_kl+logits_kl", "logits_kl"],
        "init": ["random"],
    }

    def better(levels):
        return 3.0 * (levels["knowledge"] == "attention_kl+logits_kl")

    told = directional.judge_claims(
        directional.load(), grids(study(axes, better), list(axes)), Inference(1.0)
    )
    (attention,) = (one for one in told if one.claim.claim.startswith("attention"))
    assert attention.verdict == "agrees"
    # The claim's first is second in the study: it is turned round.
    assert attention.compared["difference"].iloc[0] == pytest.approx(3.0, abs=1.2)
    assert attention.compared["n"].iloc[0] == 5


def test_a_gain_that_is_larger_on_some_tasks_is_a_difference_of_differences():
    axes = {"knowledge": ["logits_kl", "cls_pkd+logits_kl"]}

    def concentrated(levels):
        is_large = levels["task"] in ("mnli", "qnli")
        return 3.0 * is_large * (levels["knowledge"] != "logits_kl")

    tasks = ["mnli", "qnli", "rte", "mrpc"]
    told = directional.judge_claims(
        directional.load(),
        grids(study(axes, concentrated, tasks=tasks, spread=0.5), list(axes)),
        Inference(1.0),
    )
    (pkd,) = (one for one in told if one.claim.relation == "larger_on")
    assert pkd.verdict == "agrees"
    assert pkd.compared["difference"].iloc[0] == pytest.approx(3.0, abs=0.8)
    label = "mnli accuracy, qnli accuracy less rte accuracy, mrpc accuracy"
    assert pkd.compared["column"].iloc[0] == label
    few = study(axes, concentrated, tasks=["mnli"])
    told = directional.judge_claims(directional.load(), grids(few, list(axes)), Inference(1.0))
    assert next(one for one in told if one.claim.relation == "larger_on").compared.empty


def test_of_sizes_of_equal_parameters_the_deeper_is_compared_with_the_shallower():
    axes = {"size": ["l3_h768", "l12_h384", "l6_h384"]}
    scores = study(axes, lambda levels: 2.0 * (levels["size"] == "l12_h384"), spread=0.4)
    scores["layers"] = scores["size"].map({"l3_h768": 3.0, "l12_h384": 12.0, "l6_h384": 6.0})
    scores["transformer"] = scores["size"].map(
        {"l3_h768": 21.26e6, "l12_h384": 21.29e6, "l6_h384": 10.65e6}
    )
    told = directional.judge_claims(directional.load(), grids(scores, ["size"]), Inference(1.0))
    (deep,) = (one for one in told if one.claim.axis == "size")
    assert deep.verdict == "agrees"
    assert deep.compared["difference"].iloc[0] == pytest.approx(2.0, abs=0.8)
    assert deep.compared["n"].iloc[0] == 5
    (cost, *_) = context.costs(grids(scores, ["size"]), "size")
    assert cost.text == (
        "Mean parameters of the layers: `l3_h768` 21.26M, `l12_h384` 21.29M, `l6_h384` 10.65M."
    )


def test_claims_with_a_wrong_line_are_refused_by_name(tmp_path):
    text = directional.FILE.read_text()
    wrong = tmp_path / "wrong.csv"
    wrong.write_text(text.replace(",at_least,", ",at least,", 1))
    with pytest.raises(BadInput, match=r"wrong.csv, line 2: relation is one of \['at_least'"):
        directional.load(wrong)
    wrong.write_text(text.replace(",verified,", ",sure,", 1))
    with pytest.raises(BadInput, match="line 2: certainty is one of"):
        directional.load(wrong)


# What the data cannot say


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
