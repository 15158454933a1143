"""Keys of a study's grids, given on the command line, take the place of their values."""

from dataclasses import replace

import pytest

from kdlab.errors import BadInput
from sweeps import commands
from sweeps.study import cells, reading
from sweeps.study.outline import outline

STUDY = """
question: Narrow?
seeds: [1]
blocks:
  - table: swept
    grid: {task: [rte, mrpc], train.lr: [1e-4, 2e-4]}
    cases: {logits: [knowledge=logits_kl]}
  - {table: fixed, base: [size=tiny], cases: {logits: [knowledge=logits_kl]}}
"""


def rows(tmp_path, *extra: str) -> set[tuple[str, str, str]]:
    path = tmp_path / "mine.yaml"
    path.write_text(STUDY)
    asked = commands.requested(str(path), extra, str(tmp_path))
    return {
        (cell.table, cell.row, next(o for o in reversed(cell.overrides) if o.startswith("task=")))
        for cell in cells.expand(asked.outline)
        if "none" not in cell.row
    }


def test_values_apart_by_commas_replace_a_grids(tmp_path):
    found = rows(tmp_path, "task=synthetic", "train.lr=0.5", "train.epochs=2")
    assert found == {
        ("swept", "logits, train.lr=0.5", "task=synthetic"),
        ("fixed", "logits", "task=synthetic"),
    }
    assert {task for _, _, task in rows(tmp_path, "task=mrpc")} == {"task=mrpc"}


def test_a_narrowed_study_is_kept_as_it_was_launched_and_may_be_narrowed_again(tmp_path):
    from sweeps.journal import run_states
    from sweeps.study import launched

    path = tmp_path / "mine.yaml"
    path.write_text(STUDY)
    asked = commands.requested(str(path), ("task=rte", "train.lr=0.5"), str(tmp_path))
    launched.save(asked.study, asked.extra, run_states.study_folder(str(tmp_path), "mine"))
    again = commands.requested("mine", ("train.lr=0.25",), str(tmp_path))
    assert {cell.row for cell in cells.expand(again.outline)} >= {"logits, train.lr=0.25"}
    assert all("train.lr=0.5" not in c.overrides for c in cells.expand(again.outline))


def test_several_values_need_a_grid(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(STUDY)
    swept = reading.load(str(path)).blocks[0]
    alone = replace(reading.load(str(path)), blocks=[swept])
    narrowed, _ = reading.narrowed(alone, ("task=cola,stsb,rte",))
    assert narrowed.blocks[0].grid["task"] == ["cola", "stsb", "rte"]
    with pytest.raises(BadInput, match="fixed: task=cola,rte: the table does not sweep it"):
        rows(tmp_path, "task=cola,rte")


def test_what_a_zip_sets_is_still_refused(tmp_path):
    path = tmp_path / "zipped.yaml"
    path.write_text(STUDY.replace("grid:", "zip:"))
    with pytest.raises(BadInput, match="task=rte: zip sets it"):
        list(cells.expand(outline(reading.load(str(path)), ("task=rte",))))
