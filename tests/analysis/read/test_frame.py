"""One row a run: what was planned, what is recorded, and what of it is not as it should be."""

import io
import json
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flips import flipped
from made import ROWS, leave, outputs
from pandas.testing import assert_frame_equal

import analysis
from analysis.read import completeness, frame
from analysis.tables import arrange
from kdlab.errors import BadInput
from kdlab.record import Record
from kdlab.storage import durable, ledger, repeats
from sweeps.journal import events, failures
from sweeps.plan import plan
from sweeps.study import launched, reading
from sweeps.submit import reconcile

STUDY = """
question: What became of them?
seeds: [1, 2]
base: [size=l2_h64_a4]
blocks:
  - table: main
    control: none
    cases:
      none: [knowledge=none]
      logits: [knowledge=logits_kl]
      lost: [knowledge=hidden_mse, matching=last]
  - {table: again, control: logits, cases: {logits: [knowledge=logits_kl]}}
skip:
  - {name: costly, when: [knowledge=hidden_mse, seed=2], reason: one will do}
"""
COST = {"parameters": {"transformer": 7, "total": 9}, "seconds": 2.5, "flops": 11}
LABELS = np.random.default_rng(0).integers(2, size=ROWS).astype(float)


def left(root, uid: str, right: int, commit: str) -> Record:
    """Leave a record and return it."""
    leave(root, uid, outputs(LABELS, right), LABELS, commit=commit, **COST)
    return ledger.records(root)[uid]


@pytest.fixture
def made(tmp_path):
    """none: done, and done by older code; logits: twice and diverged; lost: failed; no teacher."""
    path = tmp_path / "made.yaml"
    path.write_text(STUDY)
    loaded = reading.load(str(path))
    planned = plan.plan(loaded)
    plan.write(planned, {}, "made", loaded, str(tmp_path))
    runs = {(e.cell.row, e.cell.seed): e.run for e in planned if e.run}
    uids = {key: run.uid for key, run in runs.items()}
    left(tmp_path, uids["none", 1], 240, "new")
    left(tmp_path, uids["none", 2], 248, "old")
    twice = left(tmp_path, uids["logits", 1], 280, "new")
    ledger.append(tmp_path, twice)
    leave(tmp_path, uids["logits", 2], None, LABELS)
    trouble(tmp_path, uids["lost", 1], "code_error")
    uids["teacher", 1] = runs["logits", 1].teacher.uid
    return str(tmp_path), uids


def test_the_readme_describes_every_column(made):
    root, _ = made
    rows = re.findall(
        r"^\| (`.*?) \|", Path(frame.__file__).with_name("README.md").read_text(), re.M
    )
    described = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    options = json.loads(launched.read_plan("made", root)["choices"].dropna().iloc[0])
    plain = {name for name in frame.runs("made", root) if not re.search("[./]", name)}
    assert plain - set(options) <= described


def trouble(root, uid: str, kind: str) -> None:
    events.append(root, "trouble", uids=[uid], **{"class": kind}, study="made")


def by_uid(found: pd.DataFrame) -> pd.DataFrame:
    return found[found["table"] == "main"].set_index("uid")


def test_a_row_is_a_run_with_its_choices_its_shape_its_scores_and_its_cost(made):
    root, uids = made
    found = analysis.load("made", root=root)
    planned = found[found["state"] != "excluded"]
    assert not planned.duplicated(["table", "uid"]).any()
    row = by_uid(found).loc[uids["none", 1]]
    assert (row["row"], row["seed"], row["task"], row["state"]) == ("none", 1, "synthetic", "done")
    assert (row["knowledge"], row["init"], row["size"]) == ("none", "random", "l2_h64_a4")
    assert row[list(frame.SHAPE)].tolist() == ["bert", 2, 64, 4, 256]
    assert row["report/accuracy"] == pytest.approx(240 / ROWS)
    assert row[["transformer", "parameters", "seconds", "flops"]].tolist() == [7, 9, 2.5, 11]
    teacher = by_uid(found).loc[uids["teacher", 1]]
    assert (teacher["row"], teacher["seed"], teacher["state"]) == ("teacher", -1, "missing")
    assert teacher[list(frame.SHAPE)].isna().all()


def test_a_run_without_a_record_is_described_by_the_plan(made):
    root, uids = made
    row = by_uid(analysis.load("made", root=root)).loc[uids["lost", 1]]
    assert (row["knowledge"], row["matching"], row["hidden"]) == ("hidden_mse", "last", 64)
    assert np.isnan(row["report/accuracy"])


def test_missing_failed_diverged_duplicate_and_stale_runs_are_named_and_counted(made):
    root, uids = made
    found = completeness.audit(analysis.load("made", root=root, code="new"))
    assert (found.planned, found.done, found.excluded) == (6, 3, 1)
    assert found.counts == dict.fromkeys(found.named, 1) | {"close": 0, "apart": 0}
    assert found.named == {
        "missing": [f"main: teacher, synthetic ({uids['teacher', 1]})"],
        "failed": [f"main: lost, synthetic, seed 1, code_error ({uids['lost', 1]})"],
        "diverged": [f"main: logits, synthetic, seed 2 ({uids['logits', 2]})"],
        "duplicate": [f"main: logits, synthetic, seed 1 ({uids['logits', 1]})"],
        "close": [],
        "apart": [],
        "stale": [f"main: none, synthetic, seed 2 ({uids['none', 2]})"],
    }
    assert found.commits == {"new": 2, "old": 1, "unknown": 1}
    assert completeness.lines(found)[0] == "3 of 6 runs done, 1 cells left out"
    assert completeness.lines(found)[-1].endswith("2 of new, 1 of old, 1 of unknown")


def test_records_are_stale_if_their_code_is_not_that_of_most_unless_one_is_named(made):
    root, uids = made
    stale = {
        code: set(found["uid"][found["stale"]])
        for code in (None, "old")
        for found in [analysis.load("made", root=root, code=code)]
    }
    assert stale[None] == {uids["none", 2]}
    assert stale["old"] == {uids["none", 1], uids["logits", 1]}


def test_failed_runs_are_noted_under_the_table(made):
    root, _ = made
    shown = arrange.arranged(frame.runs("made", root))
    notes = next(table.notes for table in shown if table.name == "main")
    assert {"1 runs failed", "1 runs diverged"} <= set(notes)
    assert not any("missing" in note for note in notes)  # but the teacher, who is no student


def test_trouble_that_is_forgiven_or_passes_by_itself_fails_no_run(made):
    root, uids = made
    reconcile.forgive(root, [uids["lost", 1]])
    trouble(root, uids["teacher", 1], "time_limit")
    assert completeness.audit(analysis.load("made", root=root)).counts["failed"] == 0
    trouble(root, uids["lost", 1], "gpu_oom")
    row = by_uid(analysis.load("made", root=root)).loc[uids["lost", 1]]
    assert (row["state"], row["trouble"]) == ("failed", "gpu_oom")


def test_every_class_of_trouble_fails_a_run_or_passes():
    rows = [line for line in failures.__doc__.splitlines() if line.startswith("| ")]
    classes = {kind for row in rows[1:] for kind in row.split(" | ")[0].strip("| ").split(", ")}
    passing = {"preempted", "time_limit", "disk_full", "lost", "cancelled"}
    assert classes == passing | set(failures.ALONE_LIMITS)


@pytest.mark.parametrize(
    ("change", "kind"), [({"weights": "of others"}, "close"), ({"steps": 99}, "apart")]
)
def test_unequal_repeats_of_a_run_are_counted_and_named(made, change, kind):
    root, uids = made
    first = ledger.records(root)[uids["none", 1]]
    ledger.append(root, replace(first, result=first.result | change))
    runs = analysis.load("made", root=root)
    row = by_uid(runs).loc[first.uid]
    assert (row["copies"], row["repeats"], row["state"]) == (2, kind, "done")
    found = completeness.audit(runs)
    assert (found.counts["duplicate"], found.counts[kind]) == (2, 1)
    assert f"1 {repeats.SAID[kind]}: " in "\n".join(completeness.lines(found))


def test_of_two_records_the_one_whose_outputs_are_there_is_read(made):
    root, uids = made
    whole = ledger.records(root)[uids["none", 1]]
    gone = {"outputs": {**whole.artifacts["outputs"], "file": "gone.f16"}}
    uid = uids["teacher", 1]
    ledger.append(root, replace(whole, uid=uid, artifacts=gone))
    ledger.append(root, replace(whole, uid=uid))
    ids, labels, found = frame.outputs(analysis.load("made", root=root), uid, "report")
    assert np.array_equal(ids, np.arange(ROWS))
    assert ((found.argmax(1) == labels).sum(), found.dtype) == (240, np.float32)


def test_outputs_that_are_not_there_are_refused_by_name(made):
    root, uids = made
    found = analysis.load("made", root=root)
    with pytest.raises(BadInput, match="no outputs on 'test'.*select, report"):
        frame.outputs(found, uids["none", 1], "test")
    with pytest.raises(BadInput, match=f"no record of run '{uids['lost', 1]}'"):
        frame.outputs(found, uids["lost", 1], "report")


def test_the_kept_frame_is_the_same_and_is_what_is_read(made):
    root, _ = made
    cold = analysis.load("made", root=root)
    relabel(root, "from the file")
    warm = analysis.load("made", root=root)
    assert set(warm["question"]) == {"from the file"}
    assert_frame_equal(cold.drop(columns="question"), warm.drop(columns="question"))


def relabel(root, question: str) -> Path:
    """Put another question into the kept frame, so that it is seen where that is read."""
    path = Path(root) / "studies" / "made" / "frame.sealed"
    kept = pd.read_parquet(io.BytesIO(durable.read_sealed(path)))
    attrs = kept.attrs
    kept["question"] = question
    kept.attrs = attrs
    durable.write_sealed(path, kept.to_parquet(index=False))
    return path


@pytest.mark.parametrize("change", ["record", "event", "plan", "outputs", "torn"])
def test_a_kept_frame_is_not_trusted_once_something_changed(made, change):
    root, uids = made
    before = analysis.load("made", root=root)
    path = relabel(root, "stale")
    if change == "record":
        left(root, uids["lost", 1], 200, "new")
    elif change == "event":
        trouble(root, uids["teacher", 1], "code_error")
    elif change == "plan":
        planned = launched.read_plan("made", root)
        planned[planned["table"] == "main"].to_parquet(f"{root}/studies/made/plan.parquet")
    elif change == "outputs":
        durable.write_whole(Path(root) / "outputs" / "new.f16", b"")
    else:
        with open(path, "r+b") as file:
            file.truncate(100)
    after = analysis.load("made", root=root)
    assert "stale" not in set(after["question"])
    assert (len(after) == len(before)) == (change != "plan")
    states = by_uid(after)["state"]
    assert states[uids["lost", 1]] == ("done" if change == "record" else "failed")
    assert states[uids["teacher", 1]] == ("failed" if change == "event" else "missing")


@pytest.mark.parametrize("name", ["frame.sealed", "plan.parquet"])
def test_a_bit_of_a_kept_file_never_changes_a_run(made, name):
    root, _ = made
    whole = analysis.load("made", root=root)
    path = Path(root) / "studies" / "made" / name
    if name == "plan.parquet":
        table = launched.read_plan("made", root)
        path.write_bytes(table.to_parquet(index=False, write_page_checksum=True))
        whole = analysis.load("made", root=root)
    for _ in flipped(path, 40):
        with suppress(BadInput):  # a plan has to be written anew; a frame is made again
            assert_frame_equal(analysis.load("made", root=root), whole)
            continue
        assert name == "plan.parquet"


def test_importing_analysis_loads_no_pandas():
    check = "import analysis, sys; print([m for m in ('pandas', 'numpy') if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
