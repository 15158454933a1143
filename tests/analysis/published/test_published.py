"""Published numbers: every one with a source, and dev never beside test in a ranking."""

import pandas as pd
import pytest

from analysis.published import numbers
from kdlab.errors import BadInput

LINE = "P,1234.56789,S,sst2,accuracy,dev,single,90.0,verified,its paper,"


@pytest.fixture(scope="module")
def everything() -> pd.DataFrame:
    return numbers.load()


def value(found: pd.DataFrame, paper: str, system: str, task: str, metric: str, split: str):
    is_it = (found["paper"] == paper) & (found["system"] == system) & (found["task"] == task)
    is_it &= (found["metric"] == metric) & (found["split"] == split)
    return found[is_it]


def test_every_number_has_a_source_a_certainty_and_an_arxiv_id(everything):
    for column in ("source", "certainty", "paper", "system"):
        assert everything[column].str.strip().ne("").all()
    assert everything["arxiv"].str.fullmatch(r"\d{4}\.\d{5}").all()
    assert not everything.astype(str).apply(lambda c: c.str.contains("recalled")).any(axis=None)


def test_scores_are_points_and_depths_of_papers_are_there(everything):
    scores = everything[everything["split"].isin(numbers.RANKED)]
    assert scores["value"].between(0, 100).all()
    assert set(everything["paper"]) >= {
        "PKD",
        "TinyBERT",
        "DistilBERT",
        "MiniLM",
        "Well-Read Students Learn Better",
        "TED",
        "Layer-selection study",
    }


def test_of_pkds_test_table_only_what_was_confirmed_is_there(everything):
    """Most of its rows are known from memory alone."""
    found = everything[(everything["paper"] == "PKD") & (everything["split"] == "test")]
    assert set(found["certainty"]) == {"second-hand", "computed"}
    assert {system: len(part) for system, part in found.groupby("system")} == {
        "BERT12 (Google)": 4,
        "BERT3-PKD": 2,
        "BERT6-KD": 1,
        "BERT6-PKD": 9,
    }
    assert value(found, "PKD", "BERT6-PKD", "mrpc", "accuracy", "test").empty


def test_pkds_dev_files_keep_best_run_and_best_mean_apart(everything):
    found = value(everything, "PKD", "BERT6-KD", "mrpc", "accuracy", "dev")
    kept = found.set_index("statistic")["value"].to_dict()
    assert kept == {"best_run": 84.8, "best_mean": 82.8}
    assert set(found["certainty"]) == {"verified"}


def test_a_ranking_is_of_one_split_and_counts_each_system_once(everything):
    for split in numbers.RANKED:
        found = numbers.ranked(everything, task="sst2", metric="accuracy", split=split)
        assert set(found["split"]) == {split}
        assert not found.duplicated(["paper", "system"]).any()
        assert found["value"].is_monotonic_decreasing
        assert found["rank"].iloc[0] == 1
    dev = numbers.ranked(everything, task="mrpc", metric="accuracy", split="dev")
    pkd = dev[dev["paper"] == "PKD"].set_index("system")
    assert pkd.loc["BERT6-KD", "statistic"] == "best_mean"
    assert pkd.loc["BERT24 to BERT6[Large]-KD", "statistic"] == "best_run"


@pytest.mark.parametrize("split", ["unstated", "none", "dev+test", ""])
def test_what_is_not_one_known_split_is_not_ranked(everything, split):
    with pytest.raises(BadInput, match="dev and test are ranked apart"):
        numbers.ranked(everything, task="sst2", metric="accuracy", split=split)


def test_equal_values_share_a_rank(everything):
    rows = pd.DataFrame(
        [("a", 90.0), ("b", 91.0), ("c", 90.0), ("d", 89.0)], columns=["system", "value"]
    ).assign(paper="P", task="t", metric="m", split="dev", statistic="single")
    found = numbers.ranked(rows, task="t", metric="m", split="dev")
    assert found["rank"].tolist() == [1, 2, 2, 4]
    with pytest.raises(BadInput, match="nothing published of t m on test"):
        numbers.ranked(rows, task="t", metric="m", split="test")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (LINE.replace("its paper", " "), "line 3: no source"),
        (LINE.replace("verified", ""), "line 3: no certainty"),
        (LINE.replace("verified", "sure"), "line 3: certainty is one of"),
        (LINE.replace("verified", "inferred"), "line 3: inferred, and no note"),
        (LINE.replace("dev", "validation"), "line 3: split is one of"),
        (LINE.replace("90.0", "ninety"), "line 3: value is not a number"),
        (LINE.replace("accuracy", "times_faster"), "line 3: split is none for sizes"),
        (LINE.replace("P,", "Q,").replace("dev", "none"), "line 3: split is none for sizes"),
        (LINE, "line 3: the same number twice"),
    ],
)
def test_a_line_that_says_too_little_is_refused_by_name(tmp_path, line, why):
    text = "\n".join([",".join(numbers.COLUMNS), LINE, line, ""])
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(BadInput, match=f"mine.csv, {why}"):
        numbers.load(tmp_path)
