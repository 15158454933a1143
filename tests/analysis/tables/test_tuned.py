"""Trials, winners and crossed teachers in tables, on records made by hand."""

import math

import numpy as np
import pytest
from made import ROWS, leave, outputs

from analysis.read import frame
from analysis.tables import arrange
from kdlab.config.compose_many import compose_each
from kdlab.run import teacher_runs
from kdlab.storage import ledger
from sweeps.plan import plan
from sweeps.study import cells as expand
from sweeps.study import reading, tuning
from sweeps.study.outline import outline

TUNED = """
question: Does it help?
blocks:
  - table: main
    cases: {logits: [knowledge=logits_kl]}
    tune:
      over: {train.lr: [1e-3, 1e-4]}
      also: {logits: {knowledge.logits_kl.weight: [1, 10]}}
      unequal: the weight is the question
      seeds: [0]
    confirm: {seeds: [1, 2]}
"""
# Right answers of 400: of trials 100 more with the lower rate, and 20 more with the larger weight.
BEST = {"none": "train.lr=0.0001", "logits": "train.lr=0.0001 knowledge.logits_kl.weight=10"}


def planned(path, root, winners=None) -> list[plan.Planned]:
    """The cells of a study file, planned and written as `sweeps` writes them."""
    loaded = reading.load(str(path))
    cells = list(expand.expand(outline(loaded), winners))
    runs = compose_each([cell.overrides for cell in cells])
    cells = [plan.Planned(cell, run) for cell, run in zip(cells, runs, strict=True)]
    plan.write(cells, {}, path.stem, loaded, str(root))
    return cells


def trained(cells: list[plan.Planned], root, right) -> None:
    """Leave a record of every run that has none, `right` rows of a cell being right."""
    labels = np.random.default_rng(0).integers(2, size=ROWS).astype(float)
    for entry in cells:
        for run in (entry.run, entry.run.teacher):
            if run and run.uid not in ledger.records(root):
                leave(root, run.uid, outputs(labels, right(entry.cell)), labels)


def read_tables(path, root, split: str) -> dict[str, arrange.Table]:
    found = arrange.arranged(frame.runs(path.stem, str(root)), split=split)
    return {table.name: table for table in found}


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory):
    """A study that tuned and confirmed: the path of its file and its root."""
    root = tmp_path_factory.mktemp("tuned")
    path = root / "tuned.yaml"
    path.write_text(TUNED)

    def right(cell):
        more = 100 * ("train.lr=0.0001" in cell.trial) + 20 * ("weight=10" in cell.trial)
        return 200 + more + 10 * (cell.row == "logits") + cell.seed

    trials = planned(path, root)
    trained(trials, root, right)
    assert read_tables(path, root, "report") == {}
    found, tasks = ledger.records(root), {entry.run.uid: entry.run.task for entry in trials}
    winners = tuning.choose(
        [(entry.cell, entry.run.uid) for entry in trials],
        lambda uid: tuning.score(found.get(uid), tasks[uid]),
    )
    assert {winner.overrides for winner in winners.values()} == {
        tuple(trial.split()) for trial in BEST.values()
    }
    trained(planned(path, root, winners), root, right)
    return path, root


def test_report_shows_winners_and_no_trial(confirmed):
    (table,) = read_tables(*confirmed, "report").values()
    assert table.name == "main"
    assert table.rows == ["teacher", "majority", "none", "logits"]
    none, logits = (table.cells[row, "synthetic accuracy"] for row in ("none", "logits"))
    assert (none.n, none.expected, logits.n) == (2, 2, 2)
    assert none.mean == pytest.approx(100 * 301.5 / 400)
    assert logits.difference == pytest.approx(100 * 30 / 400)
    assert table.notes == [
        "seeds 1, 2",
        "trials: none 2, logits 4",
        "unequal trials: the weight is the question",
        "rows differ in: knowledge",
        "no marks: a test needs 3 seeds that differ",
        # The teacher has 210 right and the control 301 and 302.
        "headroom (teacher minus none), in points: synthetic accuracy -22.9; "
        "the share of it that a row closes is blank where it is within the spread",
        "synthetic, chosen by the best trial on the split that is reported, as is often done, "
        "would read: none 75.0, logits 82.5",
    ]
    assert table.legend == {
        "none": f"knowledge=none (tuned: {BEST['none']})",
        "logits": f"knowledge=logits_kl (tuned: {BEST['logits']})",
    }


def test_select_shows_trials_in_a_table_of_their_own(confirmed):
    found = read_tables(*confirmed, "select")
    assert list(found) == ["main_tune", "main"]
    trials = found["main_tune"]
    assert trials.rows == [
        "teacher",
        "majority",
        "none, train.lr=0.001",
        "none, train.lr=0.0001",
        *(
            f"logits, train.lr={lr} knowledge.logits_kl.weight={weight}"
            for lr in ("0.001", "0.0001")
            for weight in (1, 10)
        ),
    ]
    best = trials.cells[f"logits, {BEST['logits']}", "synthetic accuracy"]
    assert (best.n, best.expected, best.mean) == (1, 1, pytest.approx(100 * 330 / 400))
    assert math.isnan(best.difference)
    assert trials.notes[0] == "seeds 0"
    assert trials.legend == {"none": "knowledge=none", "logits": "knowledge=logits_kl"}
    assert "train.lr" not in "".join(found["main"].rows)


def test_equal_trials_are_one_number(tmp_path):
    path = tmp_path / "equal.yaml"
    path.write_text(TUNED.replace("      also", "      trials: 2\n      also"))
    planned(path, tmp_path)
    (table,) = read_tables(path, tmp_path, "select").values()
    assert table.notes[:3] == ["seeds 0", "trials of each arm: 2", "4 runs missing"]


def test_a_study_with_nothing_but_trials_says_where_they_are(tmp_path, monkeypatch, capsys):
    from analysis import __main__ as command

    path = tmp_path / "equal.yaml"
    path.write_text(TUNED)
    planned(path, tmp_path)
    monkeypatch.setattr("sys.argv", ["analysis", "tables", "equal", "--root", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "equal: nothing to show on report; trials: --split select" in capsys.readouterr().err


def test_crossed_teachers_are_paired_with_themselves_and_runs_are_counted_once(tmp_path):
    path = tmp_path / "crossed.yaml"
    path.write_text(
        """
question: Does it help?
seeds: [1, 2]
teachers: crossed
teacher_seeds: [5, 6]
blocks:
  - {table: main, cases: {logits: [knowledge=logits_kl]}}
  - {table: main, cases: {hidden: [knowledge=hidden_mse]}}
"""
    )
    cells = planned(path, tmp_path)
    gain = {("logits", 1, 5): 10, ("logits", 2, 5): 20, ("logits", 1, 6): 40}

    def right(cell):
        return 200 + 50 * cell.seed + gain.get((cell.row, cell.seed, cell.teacher_seed), 0)

    some = [e for e in cells if (e.cell.row, e.cell.seed, e.cell.teacher_seed) != ("logits", 2, 6)]
    trained(some, tmp_path, right)
    table = read_tables(path, tmp_path, "report")["main"]
    assert table.rows == ["teacher", "majority", "none", "logits", "hidden"]
    cell = {row: table.cells[row, "synthetic accuracy"] for row in table.rows}
    assert (cell["none"].n, cell["none"].expected) == (2, 2)
    assert (cell["teacher"].n, cell["teacher"].expected) == (2, 2)
    assert (cell["logits"].n, cell["logits"].expected) == (3, 4)
    assert cell["none"].mean == pytest.approx(100 * 275 / 400)
    # Of three pairs, each with the control of its own seed: 10, 20 and 40 rows more; seeds alike.
    assert cell["logits"].difference == pytest.approx(100 * ((10 + 40) / 2 + 20) / 2 / 400)
    assert cell["hidden"].difference == 0.0
    assert table.notes[:3] == ["seeds 1, 2", "teacher seeds 5, 6", "1 runs missing"]
    assert not any("seed" in text for text in table.legend.values())


def test_teachers_of_different_kinds_have_rows_of_their_own(tmp_path):
    path = tmp_path / "kinds.yaml"
    path.write_text(
        """
question: From whom?
seeds: [1, 2]
blocks:
  - table: main
    control: logits
    cases:
      logits: [knowledge=logits_kl]
      hidden: [knowledge=hidden_mse]
      assisted: [knowledge=logits_kl, "teacher.assistants=[l3_h64_a4]"]
      fitted: [knowledge=logits_kl, teacher.folds=3]
"""
    )
    cells = planned(path, tmp_path)
    labels = np.random.default_rng(0).integers(2, size=ROWS).astype(float)
    right = {"logits": [320], "assisted": [300], "fitted": [240, 250, 260]}
    for entry in cells:
        for run, number in zip(
            teacher_runs(entry.run), right.get(entry.cell.row, []), strict=False
        ):
            if run.uid not in ledger.records(tmp_path):
                leave(tmp_path, run.uid, outputs(labels, number), labels)
    table = read_tables(path, tmp_path, "report")["main"]
    kinds = ["teacher, logits", "teacher, assisted", "teacher, fitted"]
    assert table.rows[:3] == kinds
    found = [table.cells[kind, "synthetic accuracy"] for kind in kinds]
    assert [(cell.n, cell.expected) for cell in found] == [(1, 1), (1, 1), (3, 3)]
    assert [cell.mean for cell in found] == [80.0, 75.0, 62.5]
    assert not set(kinds) & set(table.legend)


def test_a_gain_from_one_of_two_crossed_teachers_is_no_gain_from_teachers(tmp_path):
    """Ten pairs, as independent ones, would say plus 2 points or more; two teachers do not."""
    path = tmp_path / "crossed.yaml"
    path.write_text(
        """
question: Does it help?
seeds: [1, 2, 3, 4, 5]
teachers: crossed
teacher_seeds: [5, 6]
blocks:
  - {table: main, cases: {logits: [knowledge=logits_kl]}}
"""
    )
    cells = planned(path, tmp_path)
    gain = {5: -20, 6: 60}

    def right(cell):
        return 200 + (cell.row == "logits") * (gain[cell.teacher_seed] + cell.seed)

    trained(cells, tmp_path, right)
    table = read_tables(path, tmp_path, "report")["main"]
    cell = table.cells["logits", "synthetic accuracy"]
    assert (cell.n, cell.difference) == (10, pytest.approx(100 * (20 + 3) / 400))
    assert cell.low < 100 * -15 / 400
    assert cell.high > 100 * 60 / 400
    assert cell.p > 0.05
    assert cell.mark == ""
