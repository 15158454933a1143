"""Effects of axes against hand computations and other implementations, and on planted effects."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats
from simulated import AXES, BY_CHANCE, STUDIES, study

from analysis import effects
from analysis.statistics import bootstrap
from analysis.statistics.pairs import Inference
from analysis.statistics.seed_tests import holm

TWO = {"init": ["random", "teacher_first"], "size": ["tiny", "mini"]}


def rows(found: pd.DataFrame, *keys: str) -> pd.DataFrame:
    return found.set_index(list(keys))


def without_task(levels, asked: dict[str, float]) -> float:
    return sum(points for level, points in asked.items() if level in levels.values())


# Shares of variance


def test_shares_of_a_balanced_grid_are_sums_of_squares_by_hand():
    scores = study(TWO, lambda levels: 2.0 * (levels["init"] == "random"), seeds=3)
    points = 100 * scores["score"]
    cube = points.to_numpy().reshape(2, 2, 3)  # init, size, seed
    mean, total = cube.mean(), ((cube - cube.mean()) ** 2).sum()
    init = 6 * ((cube.mean((1, 2)) - mean) ** 2).sum()
    size = 6 * ((cube.mean((0, 2)) - mean) ** 2).sum()
    seed = 4 * ((cube.mean((0, 1)) - mean) ** 2).sum()
    both = 3 * ((cube.mean(2) - mean) ** 2).sum() - init - size
    rest = total - init - size - seed - both
    found = rows(effects.variance_shares(scores, ["init", "size"]), "term")
    expected = {"init": init, "size": size, "init x size": both, "seed": seed, "residual": rest}
    assert list(found.index) == list(expected)
    assert found["eta_squared"].to_dict() == pytest.approx(
        {term: squares / total for term, squares in expected.items()}
    )
    assert found["df"].to_dict() == {
        "init": 1, "size": 1, "init x size": 1, "seed": 2, "residual": 6
    }  # fmt: skip
    omega = (init - rest / 6) / (total + rest / 6)
    assert found.loc["init", "omega_squared"] == pytest.approx(omega)
    f = init / (rest / 6)
    assert found.loc["init", "p"] == pytest.approx(scipy_stats.f.sf(f, 1, 6))
    assert found["eta_squared"].sum() == pytest.approx(1)


def test_shares_of_an_unbalanced_grid_are_type_two_sums_of_squares_of_statsmodels():
    import statsmodels.formula.api as formulas
    from statsmodels.stats.anova import anova_lm

    axes = {"knowledge": list("abc"), "init": list("xy"), "size": list("pqr")}
    scores = study(axes, lambda levels: 2.0 * (levels["knowledge"] == "a"), draw=3)
    scores = scores.drop(index=[0, 7, 20, 33, 50, 51])
    found = rows(effects.variance_shares(scores, list(axes)), "term")
    fit = formulas.ols("score ~ (knowledge + init + size) ** 2 + C(seed)", scores).fit()
    table = anova_lm(fit, typ=2)
    table.index = table.index.str.replace(":", " x ").str.replace("C(seed)", "seed")
    terms = [term for term in table.index if term != "Residual"]
    total = ((scores["score"] - scores["score"].mean()) ** 2).sum()
    for term in terms:
        assert found.loc[term, "eta_squared"] == pytest.approx(table.loc[term, "sum_sq"] / total)
        assert found.loc[term, "p"] == pytest.approx(table.loc[term, "PR(>F)"])
        assert found.loc[term, "df"] == table.loc[term, "df"]


def test_a_planted_interaction_shows_as_the_share_of_its_pair():
    def crossed(levels):
        return 3.0 * ((levels["init"] == "random") == (levels["size"] == "tiny"))

    found = rows(effects.variance_shares(study(TWO, crossed, spread=0.5), ["init", "size"]), "term")
    pair = found.loc["init x size"]
    assert pair["kind"] == "pair"
    assert pair["p"] < 1e-6
    assert pair["omega_squared"] > 0.5 > 0.1 > found.loc["init", "omega_squared"]
    assert found.loc["init", "p"] > 0.05


def test_pairs_whose_cells_are_not_all_there_say_so_or_are_left_out_with_the_reason():
    axes = {"knowledge": ["a", "b", "c"], "init": ["x", "y"]}
    scores = study(axes)
    lacking = scores[(scores["knowledge"] != "c") | (scores["init"] != "y")]
    pair = rows(effects.variance_shares(lacking, list(axes)), "term").loc["knowledge x init"]
    assert (pair["df"], pair["note"]) == (1, "5 of 6 cells are there")
    cross = scores[(scores["knowledge"] == "a") | (scores["init"] == "x")]
    pair = rows(effects.variance_shares(cross, list(axes)), "term").loc["knowledge x init"]
    assert math.isnan(pair["omega_squared"])
    assert pair["note"] == "not estimated: other terms account for the same runs"


def test_axes_that_part_the_runs_alike_are_one_term_and_named():
    scores = study(TWO)
    scores["hard.weight"] = np.where(scores["init"] == "random", 0.0, 1.0)
    found = effects.variance_shares(scores, ["init", "size", "hard.weight"])
    assert list(found["term"][found["kind"] == "axis"]) == ["init (with hard.weight)", "size"]
    assert effects.matched(scores, "init", ["init", "size", "hard.weight"]).empty
    assert effects.marginal_means(scores, "hard.weight", ["init", "size", "hard.weight"]).empty


def test_an_axis_that_another_decides_is_named_and_not_estimated():
    axes = {"size": ["tiny", "mini", "small"]}
    scores = study(axes)
    scores["data.rows"] = np.where(scores["size"] == "tiny", 100.0, 200.0)
    found = rows(effects.variance_shares(scores, ["size", "data.rows"]), "term")
    assert math.isnan(found.loc["data.rows", "omega_squared"])
    assert "other terms" in found.loc["data.rows", "note"]
    (note,) = set(effects.marginal_means(scores, "data.rows", ["size", "data.rows"])["note"])
    assert note == "not estimated: other axes differ whenever this one does"


def test_runs_without_a_score_are_left_out_and_counted():
    scores = study(TWO)
    scores.loc[[0, 1], ["state", "score"]] = ["diverged", math.nan]
    scores.loc[2, ["state", "score"]] = ["missing", math.nan]
    last = rows(effects.variance_shares(scores, list(TWO)), "term").loc["residual"]
    assert (last["n"], last["note"]) == (17, "runs left out: 2 diverged, 1 missing")
    (row,) = effects.matched(scores, "init", list(TWO)).to_dict("records")
    assert (row["n"], row["seeds"]) == (7, 5)


def test_without_a_residual_only_the_plain_share_is_there():
    found = rows(effects.variance_shares(study(TWO, seeds=1), list(TWO)), "term")
    assert found["eta_squared"].sum() == pytest.approx(1)
    assert found.loc[["init", "size"], ["omega_squared", "p"]].isna().all(axis=None)


# Marginal means


def test_marginal_means_weigh_the_levels_of_other_axes_alike():
    def added(levels):
        return without_task(levels, {"random": 2.0, "mini": 10.0})

    scores = study(TWO, added, spread=0.0)
    few = scores.drop(index=scores.index[(scores["row"] == "random, mini") & (scores["seed"] > 1)])
    found = rows(effects.marginal_means(few, "init", list(TWO)), "level")
    gap = found.loc["random", "mean"] - found.loc["teacher_first", "mean"]
    assert gap == pytest.approx(2.0)
    whole = 100 * scores["score"].groupby(scores["init"]).mean()
    assert found["mean"].to_dict() == pytest.approx(whole.to_dict())
    assert found["n"].to_dict() == {"random": 7, "teacher_first": 10}


def test_marginal_means_have_the_interval_of_a_t_over_seeds():
    scores = study(TWO, draw=4)
    found = rows(effects.marginal_means(scores, "init", list(TWO)), "level")
    for level, part in scores.groupby("init"):
        by_seed = 100 * part.groupby("seed")["score"].mean()
        expected = scipy_stats.ttest_1samp(by_seed, 0).confidence_interval(0.95)
        assert tuple(found.loc[level, ["low", "high"]]) == pytest.approx(tuple(expected))
    lacking = scores.drop(index=scores.index[:3])
    few = rows(effects.marginal_means(lacking, "init", list(TWO)), "level")
    assert (few["low"] < few["mean"]).all()
    assert effects.marginal_means(scores[scores["seed"] < 2], "init", list(TWO))["low"].isna().all()


def test_marginal_means_of_knowledge_take_a_matching_only_where_there_is_one():
    def added(levels):
        return without_task(levels, {"hidden_mse": 3.0, "logits_kl": 1.0, "last": -2.0})

    scores = study(AXES, added, spread=0.0)
    found = rows(effects.marginal_means(scores, "knowledge", list(AXES)), "level")["mean"]
    # Half of the hidden states' runs match the last layers.
    assert found["hidden_mse"] - found["none"] == pytest.approx(3.0 - 1.0)
    assert found["logits_kl"] - found["none"] == pytest.approx(1.0)
    matching = rows(effects.marginal_means(scores, "matching", list(AXES)), "level")["mean"]
    assert list(matching.index) == ["skip", "last"]
    assert matching["skip"] - matching["last"] == pytest.approx(2.0)


# Matched comparisons


def test_a_matched_comparison_is_a_paired_test_over_the_means_of_seeds():
    scores = study(TWO, draw=5)
    (row,) = effects.matched(scores, "init", list(TWO)).to_dict("records")
    means = (100 * scores["score"]).groupby([scores["init"], scores["seed"]]).mean().unstack(0)
    assert row["difference"] == pytest.approx((means["random"] - means["teacher_first"]).mean())
    expected = scipy_stats.ttest_rel(means["random"], means["teacher_first"]).pvalue
    assert row["p"] == pytest.approx(expected)
    assert (row["level"], row["other"], row["n"], row["seeds"]) == (
        "random", "teacher_first", 10, 5
    )  # fmt: skip
    assert row["low"] < row["difference"] < row["high"]


def test_pairs_agree_in_all_but_one_axis_and_in_seed_and_teacher():
    scores = study({"init": ["a", "b"], "size": ["x", "y"]}, spread=0.0)
    scores = scores[(scores["row"] != "b, y") & ((scores["row"] != "b, x") | (scores["seed"] < 3))]
    (row,) = effects.matched(scores, "init", ["init", "size"]).to_dict("records")
    assert (row["n"], row["seeds"]) == (3, 3)
    other = scores.assign(teacher_seed=np.where(scores["init"] == "a", 1, 2))
    assert effects.matched(other, "init", ["init", "size"]).empty


def test_matchings_are_compared_only_where_layers_are_matched():
    def added(levels):
        return without_task(levels, {"skip": 1.0, "hidden_mse": 4.0})

    scores = study(AXES, added, spread=0.0)
    (row,) = effects.matched(scores, "matching", list(AXES)).to_dict("records")
    assert (row["level"], row["other"], row["n"]) == ("skip", "last", 10)
    assert row["difference"] == pytest.approx(1.0)
    knowledge = rows(effects.matched(scores, "knowledge", list(AXES)), "level", "other")
    hidden = knowledge.loc[("none", "hidden_mse")]
    # Against both matchings, over which it is a mean.
    assert (hidden["n"], hidden["over"]) == (20, "matching")
    assert hidden["difference"] == pytest.approx(-4.5)
    assert knowledge.loc[("none", "logits_kl"), "over"] == ""


def test_a_knob_of_one_option_is_nothing_in_which_the_other_differs_but_null_is_a_value():
    scores = study({"knowledge": ["none", "logits_kl"]})
    hot = scores["knowledge"] == "logits_kl"
    knob = "knowledge.logits_kl.temperature"
    scores[knob] = np.where(hot, 4.0, np.nan)
    hotter = scores[hot].assign(**{knob: 8.0}, uid=scores["uid"] + ", 8", row="8")
    both = pd.concat([scores, hotter], ignore_index=True)
    (row,) = effects.matched(both, "knowledge", ["knowledge", knob]).to_dict("records")
    assert (row["n"], row["over"]) == (10, knob)
    rows_key = scores.assign(**{"data.rows": np.where(hot, 100.0, np.nan)})
    assert effects.matched(rows_key, "knowledge", ["knowledge", "data.rows"]).empty


def test_settings_that_each_arm_tuned_do_not_stand_between_them():
    scores = study({"knowledge": ["none", "logits_kl"]})
    rate = np.where(scores["knowledge"] == "none", 1e-4, 5e-4)
    scores = scores.assign(**{"train.lr": rate})
    axes = ["knowledge", "train.lr"]
    assert effects.matched(scores, "knowledge", axes).empty
    trial = "train.lr=" + scores["train.lr"].astype(str)
    tuned = scores.assign(stage="confirm", trial=trial)
    assert list(effects.matched(tuned, "knowledge", axes)["n"]) == [5]
    assert effects.matched(tuned.assign(stage="tune"), "knowledge", axes).empty


def test_a_run_that_stands_in_two_tables_counts_once_and_unclear_ones_not_at_all():
    scores = study(TWO)
    twice = pd.concat([scores, scores.assign(table="again")], ignore_index=True)
    assert list(effects.matched(twice, "init", list(TWO))["n"]) == [10]
    other = scores[scores["row"] == "random, tiny"].assign(uid="another")
    other["uid"] += other["seed"].astype(str)
    unclear = pd.concat([scores, other], ignore_index=True)
    assert list(effects.matched(unclear, "init", list(TWO))["n"]) == [5]
    last = rows(effects.variance_shares(unclear, list(TWO)), "term").loc["residual", "note"]
    assert last == "runs left out: 10 told apart by no key of the plan"
    # What is not done yet stands in nobody's way.
    unclear.loc[unclear["uid"].str.startswith("another"), ["state", "score"]] = ["missing", None]
    assert list(effects.matched(unclear, "init", list(TWO))["n"]) == [10]


def test_all_columns_and_pairs_of_levels_of_an_axis_are_one_family():
    axes = {"knowledge": ["a", "b", "c"]}
    found = effects.matched(study(axes, tasks=["rte", "mrpc"], draw=1), "knowledge", ["knowledge"])
    assert len(found) == 6
    assert found["adjusted"].tolist() == pytest.approx(holm(found["p"].tolist()))
    assert set(found["column"]) == {"rte accuracy", "mrpc accuracy"}


def test_what_examples_add_widens_intervals_and_errors():
    scores = study({"init": ["a", "b"]}, spread=0.3)
    shared = np.random.default_rng(0).normal(0, 0.02, size=bootstrap.DRAWS)
    points = scores.set_index("uid")["score"]

    def draws(uid, split, metric):
        return np.arange(3), points[uid] + shared * (", a," in uid)

    (plain,) = effects.matched(scores, "init", ["init"]).to_dict("records")
    (wide,) = effects.matched(scores, "init", ["init"], Inference(draws=draws)).to_dict("records")
    assert wide["difference"] == plain["difference"]
    assert wide["high"] - wide["low"] > 2 * (plain["high"] - plain["low"])
    assert wide["p"] > plain["p"]
    assert wide["detectable"] > plain["detectable"]


def test_in_studies_in_which_nothing_is_there_an_axis_seldom_shows_anything():
    axes = {"knowledge": ["a", "b", "c"], "init": ["x", "y"]}
    found = [
        effects.matched(study(axes, draw=draw), "knowledge", list(axes)) for draw in range(STUDIES)
    ]
    assert sum(bool(each["shown"].any()) for each in found) <= BY_CHANCE
    # What examples are there is tested: about one in twenty before the correction.
    p = np.concatenate([each["p"] for each in found])
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.03)


def test_planted_differences_are_found_and_with_the_right_sign():
    axes = {"knowledge": ["a", "b"], "init": ["x", "y"]}
    shown = 0
    for draw in range(20):
        scores = study(axes, lambda levels: 3.0 * (levels["knowledge"] == "b"), draw=draw)
        (row,) = effects.matched(scores, "knowledge", list(axes)).to_dict("records")
        shown += row["shown"] and row["difference"] < 0
    assert shown >= 18


# Flips


def flipping(levels) -> float:
    sign = 1 if levels["init"] == "random" else -1
    return 2.0 * sign * (levels["knowledge"] == "b")


def test_a_planted_flip_is_shown_with_both_sides():
    axes = {"knowledge": ["a", "b"], "init": ["random", "copied"]}
    scores = study(axes, flipping, spread=0.5)
    (row,) = effects.flips(scores, "knowledge", "init", list(axes)).to_dict("records")
    assert row["verdict"] == "shown"
    assert (row["at"], row["at_there"], row["n"], row["n_there"]) == ("random", "copied", 5, 5)
    assert row["high"] < 0 < row["low_there"]
    assert row["difference"] == pytest.approx(-2.0, abs=0.8)


def test_a_flip_between_tasks_has_a_column_on_each_side():
    def by_task(levels):
        return (2.0 if levels["task"] == "rte" else -2.0) * (levels["knowledge"] == "b")

    axes = {"knowledge": ["a", "b"]}
    scores = study(axes, by_task, spread=0.5, tasks=["rte", "mrpc"])
    (row,) = effects.flips(scores, "knowledge", "task", list(axes)).to_dict("records")
    assert (row["column"], row["column_there"]) == ("rte accuracy", "mrpc accuracy")
    assert row["verdict"] == "shown"


def test_opposite_signs_alone_are_no_flip():
    def one_sided(levels):
        sign = 1 if levels["init"] == "random" else -0.1
        return 2.0 * sign * (levels["knowledge"] == "b")

    axes = {"knowledge": ["a", "b"], "init": ["random", "copied"]}
    found = pd.concat(
        effects.flips(study(axes, one_sided, draw=draw), "knowledge", "init", list(axes))
        for draw in range(20)
    )
    assert len(found) > 3
    assert (found["verdict"] == "cannot tell").mean() > 0.9
    assert effects.flips(study(axes, flipping, seeds=2), "knowledge", "init", list(axes))[
        "verdict"
    ].tolist() == ["cannot tell"]


def test_in_studies_in_which_nothing_is_there_flips_are_not_shown():
    axes = {"knowledge": ["a", "b", "c"], "init": ["x", "y"]}
    shown = 0
    for draw in range(STUDIES // 2):
        found = effects.flips(study(axes, draw=draw), "knowledge", "init", list(axes))
        shown += bool((found["verdict"] == "shown").any())
    assert shown <= BY_CHANCE // 2
