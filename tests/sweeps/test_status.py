"""What `list` and `status` say of studies, for people and for scripts; six digits name a run."""

import json

import pytest

from kdlab.errors import BadInput
from kdlab.record import Record
from kdlab.storage import ledger, life_signs
from sweeps import status
from sweeps.journal import run_states
from sweeps.plan import plan
from sweeps.study import folders, launched, reading

TEXT = """
question: Is it listed?
seeds: [1, 2]
blocks:
  - table: main
    control: none
    base: [teacher=none]
    cases: {none: [knowledge=none]}
"""


@pytest.fixture
def root(tmp_path):
    """A root under which a study of two runs was planned, of which one is recorded."""
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    study, root = reading.load(str(path)), str(tmp_path / "runs")
    planned = plan.plan(study)
    plan.write(planned, {}, "mine", study, root)
    launched.save(study, (), run_states.study_folder(root, "mine"))
    done = planned[0].run.uid
    ledger.append(root, Record(done, {}, [], {"status": "done"}, {"seconds": 1800.0}, {}))
    return root


def test_the_list_has_what_can_be_launched_and_what_was(root, capsys):
    assert status.print_list(root, as_json=True) == 0
    rows = {row["study"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["mine"] == {
        "study": "mine", "runs": 2, "done": 1, "failed": 0, "hours": 0.5,
        "question": "Is it listed?",
    }  # fmt: skip
    assert set(rows) == {"mine"} | {path.stem for path in folders.STUDIES.glob("*.yaml")}
    assert rows["quickstart"]["runs"] is None
    assert rows["quickstart"]["question"] == reading.load("quickstart").question
    status.print_list(root, as_json=False)
    assert "Is it listed?" in capsys.readouterr().out


def test_a_status_says_what_is_at_work(root, capsys, monkeypatch):
    other = next(uid for uid in plan_uids(root) if uid not in ledger.index(root))
    monkeypatch.setattr(life_signs, "EVERY", 0.0)
    with life_signs.telling(root, "synthetic seed 2", [other], 0, 100) as tell:
        tell(25)
        status.print_status("mine", root, watch=False, as_json=True)
        told = json.loads(capsys.readouterr().out)
        status.print_status("mine", root, watch=False, as_json=False)
        shown = capsys.readouterr().out
    assert [sign["uids"] for sign in told["at_work"]] == [[other]]
    assert (
        told["coverage"][0] | {"table": "main", "cells": 1, "done": 1, "runs": 2}
        == (told["coverage"][0])
    )
    assert told["counts"]["done"] == 1
    assert "synthetic seed 2: 25 of 100 steps" in shown
    status.print_status("mine", root, watch=False, as_json=True)
    assert json.loads(capsys.readouterr().out)["at_work"] == []


def plan_uids(root):
    return launched.read_plan("mine", root, ["uid"])["uid"].tolist()


def test_six_digits_name_a_run():
    known = ["0123456789", "0123450000", "fedcba9876"]
    assert launched.whole_uid("fedcba", known) == "fedcba9876"
    assert launched.whole_uid("0123456", known) == "0123456789"
    assert launched.whole_uid("aaaaaa", known) == "aaaaaa"
    with pytest.raises(BadInput, match="012345: 2 runs begin so: 0123450000, 0123456789"):
        launched.whole_uid("012345", known)
    with pytest.raises(BadInput, match="fedcb: give six digits"):
        launched.whole_uid("fedcb", known)
