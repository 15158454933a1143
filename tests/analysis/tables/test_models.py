"""What the students of a table are, and what was left out of it."""

import numpy as np
import pandas as pd
import pytest
from made import ROWS, leave, outputs

from analysis.read import frame
from analysis.tables import arrange, formats
from kdlab.models import costs
from kdlab.models.student import outline
from kdlab.storage import ledger
from sweeps.plan import plan
from sweeps.study import reading

STUDY = """
question: Deep or wide?
seeds: [1, 2]
blocks:
  - table: shapes
    grid: {size: [tiny, small], shape: [wide, standard, deep]}
    cases: {logits: [knowledge=logits_kl]}
  - table: alike
    cases: {logits: [knowledge=logits_kl, size=tiny], hidden: [knowledge=hidden_mse, size=tiny]}
skip: [{name: slow, when: [size=small, shape=standard, seed=2], reason: one will do}]
"""
TUNED = """
question: Deep or wide?
blocks:
  - table: shapes
    grid: {size: [tiny, small], shape: [deep]}
    cases: {logits: [knowledge=logits_kl]}
    tune: {over: {train.lr: [1e-3, 1e-4]}, seeds: [0]}
    confirm: {seeds: [1]}
skip: [{name: hot, when: [train.lr=0.001], reason: diverges}]
"""
WORDS = 100


def left(text: str, path, trains=lambda cell: True) -> dict[str, arrange.Table]:
    """A study's tables after its runs left records."""
    path.write_text(text)
    root, loaded = path.parent, reading.load(str(path))
    planned = plan.plan(loaded)
    plan.write(planned, {}, path.stem, loaded, str(root))
    labels = np.random.default_rng(0).integers(2, size=ROWS).astype(float)
    for entry in planned:
        for run in (entry.run, entry.run.teacher) if entry.run and trains(entry.cell) else ():
            if run and run.uid not in ledger.records(root):
                counted = costs.parameters(outline(run, WORDS))
                flops = costs.inference_flops(run.student)
                leave(root, run.uid, outputs(labels, 300), labels, parameters=counted, flops=flops)
    shown = arrange.arranged(frame.runs(path.stem, str(root)))
    return {table.name: table for table in shown}


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> dict[str, arrange.Table]:
    path = tmp_path_factory.mktemp("models") / "shapes.yaml"
    return left(STUDY, path, lambda cell: "size=small, shape=deep" not in cell.row)


def rows(table: arrange.Table) -> dict[str, list[str]]:
    lines = [line for line in formats.markdown(table).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row: rest for row, *rest in cells}


def test_rows_of_several_architectures_say_what_they_are(shown):
    found = rows(shown["shapes"])
    assert found[""][:3] == ["Transformer", "parameters", "FLOPs"]
    # By hand: 12 H² + 13 H a layer; 2 (12 H² + 256 H) a layer and token.
    assert found["logits, size=tiny, shape=standard"][0] == "0.397 M"
    assert found["logits, size=small, shape=standard"][0] == "12.61 M"
    assert found["none, size=small, shape=standard"][2] == "3.36 G"
    assert found["teacher"][0] == "0.200 M"
    assert found["logits, size=small, shape=deep"][:4] == ["", "", "", "missing (0/2)"]
    assert "FLOPs and latency: of one row of 128 tokens" in formats.markdown(shown["shapes"])
    assert "Transformer" in formats.latex(shown["shapes"])


def test_students_that_are_alike_need_no_columns(shown):
    assert "Transformer" not in formats.markdown(shown["alike"])
    assert "FLOPs" not in formats.latex(shown["alike"])


def test_the_csv_has_exact_numbers(shown, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(formats.csv(shown["shapes"]))
    table = pd.read_csv(path).set_index("row")
    tiny = table.loc["logits, size=tiny, shape=standard"]
    assert tiny["transformer"] == 2 * (12 * 128**2 + 13 * 128)
    assert tiny["flops"] == 2 * 2 * 128 * (12 * 128**2 + 256 * 128)
    assert tiny["parameters"] > tiny["transformer"]
    assert np.isnan(table.loc["logits, size=small, shape=deep", "parameters"])


def test_what_was_left_out_is_a_row_of_na_in_its_place_with_the_reason(shown):
    table = shown["shapes"]
    assert table.rows == [
        "teacher",
        "majority",
        *(
            f"{case}, size={size}, shape={shape}"
            for size in ("tiny", "small")
            for shape in ("wide", "standard", "deep")
            for case in ("none", "logits")
        ),
    ]
    found = rows(table)
    assert found["logits, size=tiny, shape=wide"] == ["", "", "", "n/a", ""]
    assert found["none, size=tiny, shape=deep"][3] == "n/a"
    assert table.cells["logits, size=small, shape=standard", "synthetic accuracy"].expected == 1
    out = [note for note in table.notes if "left out" in note]
    assert [note.partition(":")[0] for note in out] == [
        "4 runs left out by shape=wide",
        "4 runs left out by shape=deep",
        "4 runs left out by shape=wide",
        "2 runs left out by slow",
    ]
    assert out[-1] == "2 runs left out by slow: one will do"
    assert "4 runs missing" in table.notes


def test_an_arm_without_any_trial_is_na_where_winners_are(tmp_path):
    from sweeps.study import tuning

    path = tmp_path / "tuned.yaml"
    assert left(TUNED, path) == {}  # nothing but trials and what was left out
    loaded = reading.load(str(path))
    cells = [(e.cell, e.run.uid if e.run else None) for e in plan.plan(loaded)]
    planned = plan.plan(loaded, (), tuning.choose(cells, lambda uid: 1.0))
    plan.write(planned, {}, path.stem, loaded, str(tmp_path))
    runs = frame.runs("tuned", str(tmp_path))
    (table,) = arrange.arranged(runs)
    assert table.rows == [
        "teacher",
        "majority",
        *(
            f"{case}, size={size}, shape=deep"
            for size in ("tiny", "small")
            for case in ("none", "logits")
        ),
    ]
    assert rows(table)["logits, size=tiny, shape=deep"][0] == "n/a"
    assert rows(table)["logits, size=small, shape=deep"][0] == "missing (0/1)"
    # Of trials only those of arms that have none: the small student has the other one.
    assert "2 runs left out by hot: diverges" in table.notes
    (trials, _) = arrange.arranged(runs, split="select")
    assert "4 runs left out by hot: diverges" in trials.notes
