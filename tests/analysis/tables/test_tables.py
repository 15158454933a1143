"""From records to tables, on records made by hand."""

import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
from made import ROWS, leave, outputs

from analysis.read import frame
from analysis.tables import arrange, formats
from kdlab.errors import BadInput
from sweeps.plan import plan
from sweeps.study import reading

STUDY = """
question: Does it help, at 50 % & more?
seeds: [1, 2, 3]
blocks:
  - table: main
    control: none
    cases:
      none: [knowledge=none]
      logits: [knowledge=logits_kl]
      gone: [knowledge=hidden_mse]
      wild: [knowledge=logits_mse]
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """none 60, 62, 64 %; logits 70, 71, 72 %; one of three of gone; of wild one that diverged."""
    tmp_path = tmp_path_factory.mktemp("made")
    path = tmp_path / "made.yaml"
    path.write_text(STUDY)
    loaded = reading.load(str(path))
    planned = plan.plan(loaded)
    plan.write(planned, {}, "made", loaded, str(tmp_path))
    labels = np.random.default_rng(0).integers(2, size=ROWS).astype(float)
    right = {
        ("none", 1): 240,
        ("none", 2): 248,
        ("none", 3): 256,
        ("logits", 1): 280,
        ("logits", 2): 284,
        ("logits", 3): 288,
        ("gone", 2): 200,
    }
    for entry in planned:
        key = (entry.cell.row, entry.cell.seed)
        if key in right:
            leave(tmp_path, entry.run.uid, outputs(labels, right[key]), labels)
    wild = next(e for e in planned if e.cell.row == "wild" and e.cell.seed == 1)
    leave(tmp_path, wild.run.uid, None, labels)
    leave(tmp_path, wild.run.teacher.uid, outputs(labels, 320), labels)
    return str(tmp_path)


@cache
def build(root: str, split: str = "report") -> arrange.Table:
    (table,) = arrange.arranged(frame.runs("made", root), split=split)
    return table


def test_cells_know_what_they_are(root):
    table = build(root)
    assert table.rows == ["teacher", "majority", "none", "logits", "gone", "wild"]
    assert table.columns == ["synthetic accuracy"]
    cell = {row: table.cells[row, "synthetic accuracy"] for row in table.rows}
    assert cell["none"].mean == pytest.approx(62.0)
    assert cell["none"].spread == pytest.approx(2.0)
    assert math.isnan(cell["none"].difference)
    assert cell["logits"].difference == pytest.approx(9.0)
    assert cell["logits"].low < 9.0 < cell["logits"].high
    assert (cell["gone"].n, cell["gone"].expected) == (1, 3)
    assert cell["gone"].difference == pytest.approx(50.0 - 62.0)
    assert (cell["wild"].n, cell["wild"].diverged) == (0, 1)
    assert (cell["teacher"].mean, cell["teacher"].expected) == (pytest.approx(80.0), 1)


def test_missing_cells_are_shown_as_missing(root):
    text = formats.markdown(build(root))
    assert "50.0 (1/3)" in text
    assert "diverged (0/3)" in text
    assert "62.0 ± 2.0" in text
    assert "+9.0 [" in text
    assert "4 runs missing" in text
    assert "- logits: `knowledge=logits_kl`" in text


def test_latex_is_escaped_and_has_booktabs_rules(root):
    text = formats.latex(build(root))
    for part in (r"\toprule", r"50 \% \& more", r"$\pm$", r"$\Delta$"):
        assert part in text
    assert "±" not in text


def test_csv_is_unrounded_and_reads_back(root, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(formats.csv(build(root, "select")))
    table = pd.read_csv(path).set_index("row")
    assert table.loc["logits", "mean"] == pytest.approx(71.0)
    assert table.loc["none", "split"] == "select"


def test_same_records_same_bytes(root):
    again = build.__wrapped__(root)
    assert formats.markdown(again) == formats.markdown(build(root))
    assert formats.latex(again) == formats.latex(build(root))


def test_a_study_that_never_ran_says_what_to_do(tmp_path):
    with pytest.raises(BadInput, match="python -m sweeps launch nope --wait"):
        frame.runs("nope", str(tmp_path))
