"""What a plan says of its students, against a trained one and the literature."""

import json

import pytest
from composed import compose

import kdlab
from kdlab.encoders.families import FAMILIES
from sweeps.plan import model_sizes, plan
from sweeps.study import cells, reading
from sweeps.study.outline import outline

BERT = {"model_type": "bert", "vocab_size": 30_522}


def table(*runs) -> dict[str, list[str]]:
    rows = [[x for x in line.split("  ") if x] for line in model_sizes.lines(runs)]
    return {name.strip(): [x.strip() for x in rest] for name, *rest in rows}


def test_one_architecture_needs_no_table(small):
    runs = [compose(*small, f"seed={seed}", "knowledge=none") for seed in (1, 2)]
    assert model_sizes.lines(runs) == []


def test_the_numbers_are_those_of_the_record_of_a_trained_student(small, tmp_path):
    run = compose(*small, "knowledge=none", "train.epochs=1", "size=l2_h512")
    cost = kdlab.distill(run, root=str(tmp_path), threads=1).cost
    counted = cost["parameters"]
    assert table(run, compose(*small, "knowledge=none"))["bert l2_h512_a8"] == [
        f"{counted['transformer'] / 1e6:.2f} M",
        f"{counted['total'] / 1e6:.2f} M",
        f"{cost['flops'] / 1e9:.2f} G",
    ]


def test_berts_own_numbers_with_its_vocabulary(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(BERT))
    (tmp_path / "model.safetensors").write_bytes(b"")
    base = ["knowledge=none", f"tokenizer={tmp_path}", f"teacher.tokenizer={tmp_path}"]
    sizes = [compose(*base, f"size={size}") for size in ("base", "tinybert4")]
    found = table(*sizes, compose(*base, "size=base", "task.classes=3"))
    # 22.4 G in the literature; of TinyBERT4 14.5 M and 1.2 G (Jiao et al. 2020, table 1).
    assert found["bert l12_h768_a12"] == ["85.05 M", "109.48 M", "22.35 G"]
    assert found["bert l4_h312_a12, 1200 wide"] == ["4.57 M", "14.35 M", "1.25 G"]


def test_a_checkpoint_that_is_not_here_leaves_the_total_open(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    name = "'nobody/nothing@" + "0" * 40 + "'"
    base = ["knowledge=none", f"tokenizer={name}", f"teacher.tokenizer={name}"]
    found = table(*(compose(*base, f"size={size}") for size in ("tiny", "mini")))
    assert found["bert l4_h256_a4"] == ["3.16 M", "unknown", "0.872 G"]


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "mpnet"])
def test_every_family_that_reads_a_tasks_words_is_counted_with_a_small_vocabulary(family):
    base = ["knowledge=none", f"family={family}", "task.words=8"]
    found = table(*(compose(*base, f"size={size}") for size in ("tiny", "mini")))
    assert found[f"{family} l2_h128_a2"][0].startswith("0.")


@pytest.mark.long
def test_the_project_has_the_equal_budgets_and_the_miniatures_as_studies():
    planned = plan.plan(reading.load("width_depth"))
    named = {entry.cell.table for entry in planned if entry.cell.excluded}
    assert named == {"A3 by name"}
    found = {
        (entry.run.student.layers, entry.run.student.hidden)
        for entry in plan.plan(reading.load("miniatures"))
        if entry.run
    }
    assert len(found) == 24
    rows = {
        cell.row
        for cell in cells.expand(outline(reading.load("width_depth")))
        if "none" not in cell.row
    }
    assert len(rows) == 16 + 20
