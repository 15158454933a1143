"""`plan --json`: the numbers of a plan, which are those of its words."""

import json
import sys

import pytest
import three_arms

from kdlab.record import Record
from kdlab.storage import ledger
from sweeps import __main__ as command
from sweeps import commands
from sweeps.plan import plan
from sweeps.study import reading

pytestmark = pytest.mark.usefixtures("plans_sooner")

STUDY = (
    three_arms.STUDY
    + """\
  - table: alone
    seeds: [1]
    cases: {{logits: [knowledge=logits_kl], mse: [knowledge=logits_mse]}}
skip:
  - {{name: dear, when: [knowledge=hidden_mse, seed=3], reason: too dear}}
"""
)


@pytest.fixture
def study(small, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(STUDY.format(base=", ".join(small)))
    return path


def leave(root, runs) -> None:
    """Records of these runs, with a score each."""
    for number, run in enumerate(runs):
        scores = {"report": {"accuracy": 0.5 + 0.01 * number**2}}
        result = {"status": "done", "scores": scores}
        ledger.append(root, Record(run.uid, {}, [], result, {"seconds": 1.0}, {}))


def refused(constant: str) -> float:
    raise AssertionError(f"{constant} is no JSON")


def test_a_plan_as_json_has_the_numbers_of_its_words(study, tmp_path, capsys, monkeypatch):
    root = tmp_path / "runs"
    leave(root, plan.unique(plan.plan(reading.load(str(study))))[:1])
    monkeypatch.setattr(sys, "argv", ["sweeps", "plan", str(study), f"root={root}"])
    with pytest.raises(SystemExit, match="0"):
        command.main()
    words = capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--json"])
    with pytest.raises(SystemExit, match="0"):
        command.main()
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line, parse_constant=refused)
    assert (told["study"], told["question"], told["root"]) == ("mine", "Which?", str(root))
    assert ", ".join(f"{n} {kind}" for kind, n in told["counts"].items()) in words
    assert told["counts"] | {"raw": 12, "excluded": 1, "duplicate": 2, "done": 1} == told["counts"]
    assert told["excluded"] == [{"by": "dear", "reason": "too dear", "cells": 1}]
    main, alone = told["tables"]
    assert (main["table"], main["cells"], main["runs"], main["done"]) == ("main", 9, 8, 1)
    assert (alone["table"], alone["cells"], alone["runs"], alone["done"]) == ("alone", 3, 3, 1)
    marks = main["marks"]
    assert marks["can_mark"]
    assert f"the first needs |t| > {marks['first_t']:.1f}" in words
    assert f"{marks['deviations']:.1f} standard deviations" in words
    assert marks["points"] is None  # of one record there is no spread
    to_run, hours, files = told["to_run"], told["hours"], told["files"]
    levels = ", then ".join(map(str, to_run["runs_by_level"]))
    assert f"graph: {levels} runs, {to_run['parents']} of them parents" in words
    assert f"{to_run['cohorts']} cohorts in {to_run['tasks']} tasks" in words
    assert (
        to_run["runs"] == sum(to_run["runs_by_level"]) == told["counts"]["to run"] + 1
    )  # the teacher
    assert f"about {hours['work']:.2g} hours" in words
    assert f"{hours['measured_cells']} of {hours['cells']} cells measured" in words
    assert f"about {files['files']} files and {files['bytes'] / 1e9:.2g} GB" in words
    assert told["stored"]["records"] == 1


def test_of_a_study_that_is_done_nothing_is_to_run(study, tmp_path, capsys):
    root = tmp_path / "runs"
    request = commands.requested(str(study), (f"root={root}",), str(root))
    leave(root, plan.unique(plan.plan(request.study)))
    commands.plan_only(request, None, as_json=True)
    told = json.loads(capsys.readouterr().out, parse_constant=refused)
    assert told["to_run"]["runs"] == 0
    assert set(told["hours"].values()) <= {0, told["hours"]["cells"]}
    assert set(told["files"].values()) == {0}
    assert told["tables"][0]["done"] == 8
    assert told["tables"][0]["marks"]["points"] > 0
