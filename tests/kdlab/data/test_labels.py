"""Which value is which class, and whether a finished teacher means the same by its outputs."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from composed import compose

import kdlab
from kdlab.config.option_files import options
from kdlab.data import labels
from kdlab.errors import BadInput, NotApplicable
from kdlab.models import checkpoints, class_order, saved_files

# What GLUE calls its classes, in the order of its labels (the ClassLabel of nyu-mll/glue).
GLUE = {
    "cola": ["unacceptable", "acceptable"],
    "mnli": ["entailment", "neutral", "contradiction"],
    "mrpc": ["not_equivalent", "equivalent"],
    "qnli": ["entailment", "not_entailment"],
    "qqp": ["not_duplicate", "duplicate"],
    "rte": ["entailment", "not_entailment"],
    "sst2": ["negative", "positive"],
    "wnli": ["not_entailment", "entailment"],
}
# A row of each dev set whose class anybody can tell.
TELLING = {
    "cola": ("The sailors rode the breeze clear of the rocks.", "acceptable"),
    "mnli": ("Severn said the people were not welcome there.", "entailment"),
    "qnli": ("As of that day, the new constitution heralding the Second", "entailment"),
    "qqp": ("What is the meaning of printable area in a design of a mug?", "not_duplicate"),
    "rte": ("Christopher Reeve had an accident.", "not_entailment"),
    "sst2": ("it 's a charming and often affecting journey", "positive"),
    "wnli": ("Susan did not answer.", "entailment"),
    "mrpc": ("The foodservice pie business does not fit our long-term", "equivalent"),
}


def task(classes: int, *named: object):
    own = f"+task.labels=[{','.join(map(str, named))}]" if named else "seed=0"
    return compose("teacher=none", "knowledge=none", f"task.classes={classes}", own).task


@pytest.mark.parametrize(
    ("values", "named", "numbers", "names"),
    [
        ([0, 1, 1], (), [0, 1, 1], None),
        ([1, 2, 1], (), [0, 1, 0], ("1", "2")),
        ([10, 9, 9], (), [1, 0, 0], ("9", "10")),  # by value, not as texts
        ([True, False], (), [1, 0], ("False", "True")),
        ([1.0, 2.0], (), [0, 1], ("1", "2")),
        (["1", "0"], (), [1, 0], None),
        (["b", "a"], (), [1, 0], ("a", "b")),
        (["b", "a"], ("b", "a"), [0, 1], ("b", "a")),
        ([1, 0], (1, 0), [0, 1], ("1", "0")),
        ([0, 1], ("no", "sure"), [0, 1], ("no", "sure")),
        ([-1, 1], (-1, 1), [0, 1], ("-1", "1")),
        ([0, 1, -1], (), [0, 1, np.nan], None),
        (["a", "b", None, ""], (), [0, 1, np.nan, np.nan], ("a", "b")),
    ],
)
def test_values_become_classes(values, named, numbers, names):
    column = pd.Series(values, dtype=object if None in values else None)
    known = labels.classes(column, task(2, *named))
    np.testing.assert_array_equal(labels.numbers(column, known, task(2), "train"), numbers)
    assert known.names == names


@pytest.mark.parametrize("named", [("a",), ("a", "b", "c"), ("a", "A")])
def test_a_task_names_each_class_once(named):
    with pytest.raises(BadInput, match="task.labels"):
        task(2, *named)


def test_numbers_of_a_regression_are_numbers():
    one = task(2)
    assert labels.values(pd.Series(["1.5", "2"]), one, "train").tolist() == [1.5, 2.0]
    with pytest.raises(BadInput, match="'high' in train is no number"):
        labels.values(pd.Series(["1.5", "high"]), one, "train")
    with pytest.raises(BadInput, match="all rows of dev have the same value"):
        labels.values(pd.Series([1.0, 1.0]), one, "dev")


def test_glues_classes_are_called_as_glue_calls_them(monkeypatch):
    monkeypatch.delenv("KDLAB_GLUE", raising=False)  # no files are looked at
    found = {name: kdlab.compose(f"task={name}", "teacher=none", "knowledge=none").task.labels
             for name in options("task") if name in GLUE}  # fmt: skip
    assert found == GLUE


@pytest.mark.parametrize("name", TELLING)
def test_glues_rows_are_of_the_class_that_they_are_called(name, glue):
    run = compose(f"task={name}", f"task.path={glue}", "teacher=none", "knowledge=none",
                  "~task.report.report_mismatched" if name == "mnli" else "seed=0")  # fmt: skip
    dev = run.source.bind()().read(next(iter(run.task.report.values())))
    text, word = TELLING[name]
    (row,) = [i for i, said in enumerate(dev[run.task.text[-1]]) if text in said][:1]
    assert GLUE[name][dev["label"].iloc[row]] == word


@pytest.mark.parametrize(
    ("ours", "theirs", "order"),
    [
        (("negative", "positive"), ("NEGATIVE", "POSITIVE"), None),
        (("negative", "positive"), ("Positive", "Negative"), [1, 0]),
        (
            ("entailment", "neutral", "contradiction"),
            ("CONTRADICTION", "NEUTRAL", "ENTAILMENT"),
            [2, 1, 0],
        ),
        (("a", "b", "c"), ("b", "c", "a"), [2, 0, 1]),
        (("not_entailment", "entailment"), ("not-entailment", "Entailment"), None),
        (("not_entailment", "entailment"), ("entailment", "not entailment"), [1, 0]),
        (("negative", "positive"), ("LABEL_0", "LABEL_1"), None),
        (("negative", "positive"), ("0", "1"), None),
        (None, ("b", "a"), None),
        (("negative", "positive"), None, None),
    ],
)
def test_outputs_are_compared_by_their_names(ours, theirs, order):
    assert class_order.order("x", ours, theirs) == order


def test_other_names_are_refused_and_both_are_named():
    with pytest.raises(NotApplicable, match="called bad, good, and the classes of task=x neg, pos"):
        class_order.order("x", ("neg", "pos"), ("bad", "good"))


NAMED = ("+task.labels=[down,up]",)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A teacher that has learned its task, with a tokenizer, and the overrides that trained it."""
    room = tmp_path_factory.mktemp("finished")
    own = (*SMALL, *NAMED, "knowledge=none", "teacher=none", "train.epochs=6", "train.lr=3e-3")
    run = compose(*own)
    record = kdlab.distill(run, root=str(room), save=True, threads=1)
    assert record.result["scores"]["select"]["accuracy"] > 0.6
    return saved_files.folder(room, run.uid)


SMALL = ("task.train_rows=400", "task.report_rows=60", "task.words=4", "task.length=4",
         "task.sharpness=9", "size=l2_h32_a2", "train.batch_size=16")  # fmt: skip


def swapped(teacher, room, names: list[str]):
    """The teacher with its outputs the other way round, and names for them."""
    shutil.copytree(teacher, room)
    from safetensors.torch import load_file, save_file

    weights = load_file(room / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        weights[name] = weights[name].flip(0).contiguous()
    save_file(weights, room / "model.safetensors", metadata={"format": "pt"})
    page = json.loads((room / "config.json").read_text())
    page["id2label"] = dict(enumerate(names))
    page["label2id"] = {name: number for number, name in enumerate(names)}
    (room / "config.json").write_text(json.dumps(page))
    return room


def taught(checkpoint, *more: str):
    own = ("teacher=checkpoint", f"teacher.checkpoint={checkpoint}", "knowledge=logits_kl")
    return compose(*SMALL, "train.epochs=1", *own, *more)


def test_a_saved_student_calls_its_outputs_as_the_task_does(teacher):
    assert checkpoints.output_names(str(teacher)) == ["down", "up"]
    page = checkpoints.config(str(teacher))
    assert page["label2id"] == {"down": 0, "up": 1}


def test_a_teacher_whose_classes_are_in_another_order_teaches_as_if_they_were_not(
    teacher, tmp_path, capsys
):
    other = swapped(teacher, tmp_path / "other", ["Up", "DOWN"])
    one, two = (
        kdlab.distill(taught(path, *NAMED), root=str(tmp_path / "runs"), threads=1).result
        for path in (teacher, other)
    )
    for part in ("curves", "weights", "agreement", "scores"):
        assert one[part] == two[part], part
    assert "teacher_order" not in one
    assert two["teacher_order"] == [1, 0]
    assert "outputs [1, 0] of the teacher are down, up" in capsys.readouterr().out


def test_a_teacher_of_unknown_classes_must_beat_the_most_frequent_label(teacher, tmp_path):
    other = swapped(teacher, tmp_path / "other", ["LABEL_0", "LABEL_1"])
    root = str(tmp_path / "runs")
    with pytest.raises(BadInput, match="are its classes in another order.*teacher.insist=true"):
        kdlab.distill(taught(other, *NAMED), root=root, threads=1)
    insisting = taught(other, *NAMED, "teacher.insist=true")
    assert insisting.uid == taught(other, *NAMED).uid
    assert kdlab.distill(insisting, root=root, threads=1).result["status"] == "done"


def test_a_teacher_of_other_classes_is_refused_while_planning(teacher, tmp_path):
    other = swapped(teacher, tmp_path / "other", ["cat", "dog"])
    with pytest.raises(NotApplicable, match="called cat, dog, and the classes of task=synth"):
        taught(other, *NAMED)
    assert taught(other, *NAMED, "teacher.insist=true").insist


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra", "modernbert"])
def test_outputs_are_put_in_order_in_every_family(family):
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from kdlab.encoders.architecture import Architecture
    from kdlab.encoders.families import FAMILIES, configuration
    from kdlab.models import heads

    ids = dict.fromkeys(FAMILIES[family].ids, 0)
    page = configuration(Architecture(family, 1, 16, 2, 32)) | ids
    config = AutoConfig.for_model(family, vocab_size=30, num_labels=3, **page)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    inputs = torch.arange(2, 12).view(2, 5)
    with torch.no_grad():
        before = model(inputs).logits
        heads.reorder(model, [2, 0, 1])
        torch.testing.assert_close(model(inputs).logits, before[:, [2, 0, 1]])
