"""Outputs on test splits: kept when asked for, and no part of a run."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from at_once import python
from composed import compose

import kdlab
from kdlab.cohort import missing
from kdlab.config.compose import execution
from kdlab.data import test_splits
from kdlab.errors import BadInput
from kdlab.models import saved_files
from kdlab.storage import example_outputs, ledger

CLASSES = 3
SPLITS = {"test_matched": "test_a", "test_mismatched": "test_b", "test_ax": "ax/test"}
PREDICT = tuple(f"+task.predict.{name}={split}" for name, split in SPLITS.items())


def table(rows: int, seed: int, label: object = None) -> pd.DataFrame:
    draw = np.random.default_rng(seed).integers(9, size=(rows, 5))
    texts = [" ".join(f"w{word}" for word in row) for row in draw]
    labels = draw[:, 0] % CLASSES if label is None else np.full(rows, label)
    # Rows of a test split may lie in any order: idx is the official one.
    frame = pd.DataFrame({"sentence": texts, "label": labels, "idx": np.arange(rows)[::-1]})
    return frame


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    """A task with two test splits without labels, and a third one beside it that has labels."""
    root = tmp_path_factory.mktemp("data")
    for folder in ("Mine", "AX"):
        (root / folder).mkdir()
    table(160, 0).to_parquet(root / "Mine" / "train.parquet")
    table(40, 1).to_parquet(root / "Mine" / "validation.parquet")
    table(30, 2, -1).to_parquet(root / "Mine" / "test_a.parquet")
    table(20, 3).drop(columns="label").to_parquet(root / "Mine" / "test_b.parquet")
    table(10, 4).to_parquet(root / "AX" / "test.parquet")
    return str(root)


@pytest.fixture
def overrides(data):
    return (
        "task=table", f"task.path={data}", "task.folder=Mine", "task.text=[sentence]",
        f"task.classes={CLASSES}", "task.max_length=8", "protocol.select=0.2", "threads=1",
        "size=l1_h16_a2", "teacher.size=l2_h16_a2", "train.epochs=1", "teacher.epochs=1",
        "task.test=test_a", *PREDICT,
    )  # fmt: skip


@pytest.fixture
def run(overrides):
    return compose(*overrides, "knowledge=logits_kl")


@pytest.fixture
def where(tmp_path):
    return {"root": str(tmp_path / "runs"), "threads": 1}


def test_asking_changes_neither_a_run_nor_its_result_but_adds_outputs(run, overrides, tmp_path):
    other = compose(*overrides, "knowledge=logits_kl", "predict_test=true")
    plain = compose(*(text for text in overrides if text not in PREDICT), "knowledge=logits_kl")
    assert run.uid == other.uid == plain.uid
    without = kdlab.distill(run, root=str(tmp_path / "a"), threads=1)
    found = kdlab.distill(run, root=str(tmp_path / "b"), threads=1, predict_test=True)
    assert found.result == without.result
    assert without.artifacts["outputs"].keys() == {"file", "select", "report"}
    assert found.artifacts["outputs"].keys() == {"file", "select", "report", *SPLITS}
    assert "examples" not in without.artifacts
    for split in ("select", "report"):
        one = example_outputs.read_outputs(tmp_path / "a", without, split)
        assert np.array_equal(one, example_outputs.read_outputs(tmp_path / "b", found, split))
        assert one.dtype == np.float16
    # Its teacher was not asked.
    teacher = ledger.records(tmp_path / "b")[run.teacher.uid]
    assert not SPLITS.keys() & teacher.artifacts["outputs"].keys()


def test_test_outputs_are_the_models_own_in_float32_and_their_rows_have_no_label(run, where):
    found = kdlab.distill(run, **where, predict_test=True, save=True)
    model, source = kdlab.load(run, root=where["root"]), run.source.bind()()
    from kdlab.data import tokens

    tokenizer = tokens.pretrained(str(saved_files.folder(where["root"], run.uid)))
    for name, split in SPLITS.items():
        rows = source.read(split)
        batch = tokenizer(list(rows["sentence"]), return_tensors="pt", padding=True)
        with torch.no_grad():
            logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        outputs = example_outputs.read_outputs(where["root"], found, name)
        assert outputs.dtype == np.float32
        assert np.allclose(outputs, logits.numpy(), atol=1e-6)
        assert not np.array_equal(outputs, outputs.astype(np.float16))
        ids, labels = example_outputs.read_examples(where["root"], found, name)
        assert ids.tolist() == rows["idx"].tolist()
        assert np.isnan(labels).all()


def test_a_run_that_is_done_is_predicted_by_its_saved_model(run, where, monkeypatch):
    first = kdlab.distill(run, **where, save=True)
    asked = replace(execution(), **where, predict_test=True)
    assert missing([run], asked) == [run]
    monkeypatch.setattr("kdlab.cohort.train", lambda *_, **__: pytest.fail("trained again"))
    second = kdlab.distill(run, asked)
    assert missing([run], asked) == []
    assert (second.result, second.cost) == (first.result, first.cost)
    assert set(example_outputs.kept(where["root"], second)) == {"select", "report", *SPLITS}
    for split in ("select", "report"):
        one, other = (
            example_outputs.read_outputs(where["root"], each, split) for each in (first, second)
        )
        assert np.array_equal(one, other)
    assert ledger.records(where["root"])[run.uid] == second
    # Whoever does not ask is given the fuller record, and nothing is written.
    files = {path: path.stat().st_mtime_ns for path in where_files(where)}
    assert kdlab.distill(run, **where, save=True) == second
    assert kdlab.distill(run, asked) == second
    assert {path: path.stat().st_mtime_ns for path in where_files(where)} == files


def where_files(where):
    kinds = ("records", "outputs", "examples", "models")
    return [p for kind in kinds for p in Path(where["root"], kind).rglob("*") if p.is_file()]


def test_what_the_saved_model_predicts_is_what_training_would_have_kept(run, where, tmp_path):
    kdlab.distill(run, **where, save=True)
    later = kdlab.distill(run, **where, predict_test=True)
    root = str(tmp_path / "at_once")
    at_once = kdlab.distill(run, root=root, threads=1, predict_test=True)
    for name in SPLITS:
        one = example_outputs.read_outputs(where["root"], later, name)
        assert np.array_equal(one, example_outputs.read_outputs(root, at_once, name))


def test_without_a_saved_model_a_run_is_said_to_be_trained_again(run, where, capsys):
    first = kdlab.distill(run, **where)
    (outputs,) = (path for path in where_files(where) if path.suffix == ".f16")
    before = outputs.read_bytes()
    second = kdlab.distill(run, **where, predict_test=True)
    assert f"run {run.uid} is trained again for test outputs: " in (capsys.readouterr().out)
    assert second.result == first.result
    assert set(example_outputs.kept(where["root"], second)) == {"select", "report", *SPLITS}
    assert outputs.read_bytes().startswith(before)
    assert example_outputs.read_outputs(where["root"], first, "report").shape == (40, CLASSES)


def test_a_model_that_is_not_the_records_predicts_nothing(run, overrides, where, capsys):
    first = kdlab.distill(run, **where, save=True)
    other = compose(*overrides, "knowledge=logits_kl", "seed=5")
    kdlab.distill(other, **where, save=True)
    folder, others = (saved_files.folder(where["root"], each.uid) for each in (run, other))
    (folder / "model.safetensors").write_bytes((others / "model.safetensors").read_bytes())
    found = kdlab.distill(run, **where, predict_test=True, save=True)
    assert f"{folder / 'model.safetensors'} is damaged" in capsys.readouterr().out
    assert found.result == first.result
    assert set(example_outputs.kept(where["root"], found)) == {"select", "report", *SPLITS}
    kdlab.load(run, root=where["root"])


def test_lost_outputs_come_back_with_those_of_test(run, where, monkeypatch):
    first = kdlab.distill(run, **where, predict_test=True, save=True)
    (path,) = {p for p in where_files(where) if p.suffix == ".f16"}
    away = path.rename(path.with_suffix(".away"))
    for module in (example_outputs, ledger):
        monkeypatch.setattr(module, "worker", lambda: "another-process")
    found = kdlab.distill(run, **where, predict_test=True)
    assert set(example_outputs.kept(where["root"], found)) == {"select", "report", *SPLITS}
    away.rename(path)
    for split in ("select", "report", *SPLITS):
        one, other = (
            example_outputs.read_outputs(where["root"], each, split) for each in (first, found)
        )
        assert np.array_equal(one, other)


def test_a_diverged_run_has_nothing_to_predict(overrides, where):
    run = compose(*overrides, "knowledge=none", "train.lr=1e30", "train.clip=1e30")
    first = kdlab.distill(run, **where, predict_test=True)
    assert (first.result["status"], first.artifacts) == ("diverged", {})
    asked = replace(execution(), **where, predict_test=True)
    assert missing([run], asked) == []


def test_one_test_split_goes_by_its_own_name(overrides, where):
    run = compose(*(text for text in overrides if text not in PREDICT), "knowledge=none")
    assert test_splits.splits(run.task) == {"test": "test_a"}
    found = kdlab.distill(run, **where, predict_test=True)
    assert example_outputs.read_outputs(where["root"], found, "test").shape == (30, CLASSES)
    assert compose("task=rte", f"task.path={run.source.knobs['path']}", "task.folder=Mine",
                   "task.text=[sentence]", "teacher=none", "knowledge=none", "tokenizer=null",
                   "task.train=train").task.test == "test"  # fmt: skip


def test_a_task_without_a_test_split_is_refused_while_composing(small):
    with pytest.raises(BadInput, match="predict_test=true: task synthetic names no test split"):
        compose(*small, "knowledge=none", "predict_test=true")
    run = compose(*small, "knowledge=none")
    with pytest.raises(BadInput, match="task synthetic names no test split"):
        kdlab.distill(run, root="nowhere", predict_test=True)


def test_a_missing_test_split_is_one_line_before_any_training(data, overrides, tmp_path):
    broken = (f"root={tmp_path}", "task.predict.test_mismatched=test_c", "predict_test=true")
    done = python("kdlab", *overrides, *broken)
    assert done.returncode == 2
    assert done.stderr == (
        f"kdlab: predict_test=true: task: no file for split test_c in {data}/Mine; there: "
        "test_a.parquet, test_b.parquet, train.parquet, validation.parquet; "
        "~task.predict.test_mismatched leaves it out\n"
    )
    assert not list(tmp_path.rglob("*.jsonl"))


def test_mnli_predicts_both_test_sets_and_the_diagnostic(glue):
    run = compose("task=mnli", f"task.path={glue}", "~task.report.report_mismatched",
                  "teacher=none", "knowledge=none", "tokenizer=null")  # fmt: skip
    assert test_splits.splits(run.task) == {
        "test_matched": "test_matched", "test_mismatched": "test_mismatched", "test_ax": "ax/test",
    }  # fmt: skip
    source = run.source.bind()()
    assert len(source.read("ax/test")) == 1104
    assert source.identity(["ax/test"])["ax/test"] != source.identity(["train"])["train"]
    with pytest.raises(BadInput, match="~task.predict.test_matched leaves it out"):
        test_splits.rows(run.task, source)


def test_a_record_may_be_read_by_who_knows_of_no_test_outputs(run, where):
    found = kdlab.distill(run, **where, predict_test=True)
    page = json.loads(json.dumps(vars(found)))
    # As it was before there were test outputs.
    assert page["artifacts"]["outputs"].keys() == {"file", "select", "report", *SPLITS}
    assert page["result"]["examples"].keys() == {"select", "report"}
    assert found.artifacts["examples"].keys() == SPLITS.keys()
