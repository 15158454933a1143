"""No row that selects or reports reaches training, and subsets are nested."""

import numpy as np
import pandas as pd
import pytest
from composed import compose

from kdlab.data import splits
from kdlab.data.splits import Rows
from kdlab.data.synthetic import generate
from kdlab.errors import BadInput
from kdlab.options.schema import Data


def rows(*texts: str) -> Rows:
    return Rows(np.arange(len(texts)), [(text,) for text in texts], np.zeros(len(texts)))


def phrases_of(text: str) -> set[str]:
    words = text.split()
    return {" ".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1)}


def parts(*overrides: str) -> dict[str, Rows]:
    run = compose("teacher=none", "knowledge=none", *overrides)
    return splits.split(run.task, run.source.bind()(), run.protocol)


def test_roots_are_the_rows_inside_no_other():
    words = [
        tuple(t.split()) for t in ("a good film", "good", "a good", "film", "bad", "a good film")
    ]
    assert splits.roots(words) == {0, 4}


def test_whole_sentences_are_held_out_with_their_phrases():
    train = rows(
        "a very good film",
        "very good",
        "good film",
        "dull and long",
        "dull",
        "and long",
        "very bad",
    )
    report = rows("it is very bad indeed")
    fit, select = splits.sentences(train, [report], 0.5, 1)
    assert len(select) == 1
    held = phrases_of(select.texts[0][0]) | phrases_of(report.texts[0][0])
    assert not held & {text for (text,) in fit.texts}
    assert "very bad" not in {text for (text,) in fit.texts}


def test_sst2_keeps_no_phrase_of_select_or_report_in_fit(glue):
    found = parts("task=sst2", f"task.path={glue}")
    fit = {" ".join(text.split()) for (text,) in found["fit"].texts}
    held = [text for name in ("select", "report") for (text,) in found[name].texts]
    assert len(found["select"]) > 500
    for text in held:
        assert not fit & phrases_of(text)
    assert len(fit) > 40_000
    # Selected rows are sentences, as dev has them, not the phrases that most of train is.
    assert np.mean([len(text.split()) for (text,) in found["select"].texts]) > 15


@pytest.mark.parametrize("task", ["rte", "mrpc", "cola", "stsb", "wnli", "qnli"])
def test_no_row_of_select_or_report_is_in_fit(glue, task):
    found = parts(f"task={task}", f"task.path={glue}")
    plain = {
        name: {tuple(p.lower() for p in t) for t in part.texts} for name, part in found.items()
    }
    assert not plain["fit"] & plain["select"]
    assert not plain["fit"] & plain["report"]


@pytest.mark.parametrize("protocol", ["three_splits", "pkd_legacy"])
def test_a_teacher_trains_on_its_students_side_of_the_splits(glue, protocol):
    run = compose(
        "task=sst2", f"task.path={glue}", f"protocol={protocol}", "protocol.select=0.2",
        "protocol.checkpoint=best_select", "knowledge=logits_kl", "teacher.seed=4",
    )  # fmt: skip
    teacher = run.teacher
    assert (teacher.task, teacher.source) == (run.task, run.source)
    for key in ("select_on", "select", "select_max"):
        assert getattr(teacher.protocol, key) == getattr(run.protocol, key)
    ours = splits.split(run.task, run.source.bind()(), run.protocol)
    theirs = splits.split(teacher.task, teacher.source.bind()(), teacher.protocol)
    assert all(ours[name].ids.tolist() == theirs[name].ids.tolist() for name in ours)


def test_splits_do_not_depend_on_the_seed_or_the_rows(glue):
    one = parts("task=rte", f"task.path={glue}", "seed=1")
    two = parts("task=rte", f"task.path={glue}", "seed=2", "data.rows=100")
    for name in one:
        assert one[name].ids.tolist() == two[name].ids.tolist()


def test_legacy_trains_on_all_of_train_and_selects_on_dev(glue):
    found = parts("task=rte", f"task.path={glue}", "protocol=pkd_legacy")
    assert len(found["fit"]) == 2490
    assert found["select"].ids.tolist() == found["report"].ids.tolist()


def test_row_subsets_are_nested_and_extra_rows_come_after_them_without_labels(glue):
    found = parts("task=rte", f"task.path={glue}")

    def take(**knobs):
        knobs = {
            "rows": None,
            "transfer": "same",
            "extra_rows": None,
            "extra_split": "fit",
            "fold": None,
        } | knobs
        return splits.training_rows(found, Data(**knobs), None)

    small, none = take(rows=100)
    large, extra = take(rows=200, transfer="unlabelled", extra_rows=50)
    more, _ = take(rows=250)
    assert len(none) == 0
    assert large.ids[:100].tolist() == small.ids.tolist()
    assert more.ids.tolist() == [*large.ids, *extra.ids]
    assert np.isnan(extra.labels).all()
    assert not np.isnan(large.labels).any()
    with pytest.raises(BadInput, match="data.rows=99999"):
        take(rows=99999)
    with pytest.raises(BadInput, match="data.extra_rows"):
        take(rows=200, transfer="unlabelled", extra_rows=99999)


def test_the_test_split_as_transfer_set_loses_held_out_rows():
    found = {"fit": rows("a", "b"), "select": rows("c"), "report": rows("d")}
    data = Data(rows=None, transfer="unlabelled", extra_rows=None, extra_split="test", fold=None)
    _, extra = splits.training_rows(found, data, rows("c", "D", "e"))
    assert extra.texts == [("e",)]


def test_columns_and_labels_are_checked():
    task = compose("teacher=none", "knowledge=none").task
    with pytest.raises(BadInput, match="no column 'sentence'"):
        splits.rows(pd.DataFrame({"text": ["a"], "label": [0]}), task, "train")


def test_synthetic_bag_of_words_knows_nothing_and_the_ceiling_is_known():
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    table, bayes = generate("train", 8000, words=40, length=10, sharpness=3.0)
    counts = CountVectorizer().fit_transform(table["sentence"])
    assert bayes == pytest.approx(0.835, abs=0.01)
    bag = LogisticRegression(max_iter=500).fit(counts[:6000], table["label"][:6000])
    assert bag.score(counts[6000:], table["label"][6000:]) < 0.53
    # The same words with the place they stand in are enough for a linear classifier.
    placed = [" ".join(f"{w}_{i % 2}" for i, w in enumerate(s.split())) for s in table["sentence"]]
    counts = CountVectorizer().fit_transform(placed)
    best = LogisticRegression(max_iter=500).fit(counts[:6000], table["label"][:6000])
    assert best.score(counts[6000:], table["label"][6000:]) > 0.8
