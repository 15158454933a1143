"""Claims of the literature are judged by what a study shows, and not by what it lacks."""

import pandas as pd
import pytest
from simulated import AXES, study

from analysis.effects.comparable import grids
from analysis.guideline import context, directional
from analysis.statistics.pairs import Inference
from kdlab.errors import BadInput

LEVELS = list(AXES)


def verdicts(scores: pd.DataFrame, axes=LEVELS, margin: float = 1.0) -> dict[str, str]:
    told = directional.judge_claims(directional.load(), grids(scores, axes), Inference(margin))
    return {one.claim.claim.split()[0]: one.verdict for one in told}


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
    assert cost == (
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
