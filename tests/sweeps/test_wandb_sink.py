"""A study's records land in Weights & Biases: all, whole, and once."""

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter

import pytest

from kdlab import distill
from kdlab.errors import BadInput
from kdlab.storage import durable
from kdlab.storage.ledger import records
from kdlab.tracking import wandb_runs
from kdlab.training.loop import evaluation_points
from sweeps import wandb_sink
from sweeps.plan import cohorts, plan
from sweeps.study import reading

TEXT = """
question: Which?
base: [BASE]
seeds: [1, 2]
blocks:
  - table: first
    control: none
    controls: false
    cases:
      none: [knowledge=none]
      logits: [knowledge=logits_kl]
      wild: [knowledge=logits_kl, train.lr=1e30]
  - table: second
    control: alone
    seeds: [1]
    cases:
      alone: [knowledge=none]
      left_out: [knowledge=none, train.epochs=1]
skip:
  - {name: short, when: [train.epochs=1], reason: too short}
"""
# Three runs of seed 1 and their teacher; seed 2 is planned and not run.
ALL = 4


@pytest.fixture(scope="module")
def done(small, tmp_path_factory):
    room = tmp_path_factory.mktemp("study")
    (room / "tiny.yaml").write_text(TEXT.replace("BASE", ", ".join([*small, "threads=1"])))
    loaded = reading.load(str(room / "tiny.yaml"))
    planned = plan.plan(loaded)
    plan.write(planned, {}, "tiny", loaded, str(room))
    runs = [run for run in plan.unique(planned) if run.seed == 1]
    for cohort in cohorts.group(runs, 8):
        distill(cohort, root=str(room), threads=1)
    return room


@pytest.fixture
def root(done, tmp_path, wandb_room):
    for name in ("records", "studies"):
        shutil.copytree(done / name, tmp_path / "runs" / name)
    return tmp_path / "runs"


def replay(root, mode="offline", **target):
    target = {"project": "p", "entity": None} | target
    return wandb_sink.replay("tiny", str(root), mode=mode, **target)


def test_every_record_of_a_study_is_shown_whole(root, read_wandb, capfd):
    assert replay(root) == (ALL, 0)
    shown = {run["run_id"]: run for run in read_wandb(root / "wandb")}
    found = records(root)
    assert set(shown) == set(found)
    for uid, record in found.items():
        run, curves = shown[uid], record.result.get("curves", {})
        assert (run["project"], run["run_group"], run["exit"]) == ("p", "tiny", 0)
        assert run["config"]["knowledge"] == record.choices["knowledge"]
        assert run["config"]["overrides"]["task/words"] == "8"
        for name, values in curves.items():
            assert [row[name] for row in run["history"]] == pytest.approx(values)
        constant = record.result.get("select_degenerate", [])
        assert [row["select_degenerate"] for row in run["history"]] == constant
        steps = evaluation_points(record.result["steps"], 5) if curves else []
        assert [row["_step"] for row in run["history"]] == steps
        assert run["summary"]["status"] == record.result["status"]
        assert run["summary"]["seconds"] == record.cost["seconds"]
        for split, scores in record.result.get("scores", {}).items():
            assert run["summary"][f"{split}/accuracy"] == scores["accuracy"]
    by_name = {run["name"].split(", synthetic")[0]: run for run in shown.values()}
    assert set(by_name) == {"none", "logits", "wild", next(n for n in by_name if "teacher" in n)}
    assert by_name["none"]["name"] == "none, synthetic, seed 1"
    assert by_name["none"]["tags"] == ["first", "second"]
    assert by_name["wild"]["summary"]["status"] == "diverged"
    assert Counter(run["job_type"] for run in shown.values()) == {"student": 3, "teacher": 1}
    assert capfd.readouterr().out == ""


def test_what_was_pushed_to_a_target_is_not_pushed_again(root, read_wandb):
    assert replay(root) == (ALL, 0)
    assert replay(root) == (0, ALL)
    assert len(read_wandb(root)) == ALL
    assert replay(root, project="q") == (ALL, 0)
    assert replay(root, entity="team") == (ALL, 0)
    assert replay(root) == (0, ALL)


def test_a_run_whose_result_changed_is_pushed_again(root):
    assert replay(root) == (ALL, 0)
    (path,) = (root / "records").glob("*.jsonl")
    pages = [json.loads(line) for line in path.read_text().splitlines() if line]
    pages[0]["result"]["steps"] += 1
    for page in pages:
        page.pop("check")
    path.write_bytes(b"".join(map(durable.line, pages)))
    assert replay(root) == (1, ALL - 1)


KILLED = """
import os, signal, sys
from sweeps import wandb_sink
append, lines = wandb_sink.append_line, []
def append_line(*line):
    if lines:
        os.kill(os.getpid(), signal.SIGKILL)
    lines.append(append(*line))
wandb_sink.append_line = append_line
wandb_sink.replay("tiny", sys.argv[1], project="p", entity=None, mode="offline")
"""


def test_a_replay_that_is_killed_goes_on_and_repeats_at_most_one(root, read_wandb):
    command = [sys.executable, "-c", KILLED, str(root)]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    assert len(read_wandb(root)) == 2
    with open(root / "studies" / "tiny" / "wandb.jsonl", "ab") as journal:
        journal.write(b'{"uid": "to')  # torn
    assert replay(root) == (ALL - 1, 1)
    pushed = Counter(run["run_id"] for run in read_wandb(root))
    assert set(pushed) == set(records(root))
    assert sorted(pushed.values()) == [1, 1, 1, 2]
    assert replay(root) == (0, ALL)


def test_what_cannot_be_replayed_is_refused_in_one_line(root, monkeypatch):
    with pytest.raises(BadInput, match=r"no plan of study 'nope' under .* \(there: tiny\)"):
        wandb_sink.replay("nope", str(root), project="p", entity=None, mode="offline")
    with pytest.raises(BadInput, match="mode='disabled': input should be 'online' or 'offline'"):
        replay(root, mode="disabled")
    with pytest.raises(BadInput, match="project='a/b': string should match"):
        replay(root, project="a/b")
    monkeypatch.setenv("WANDB_API_KEY", "marker0short")
    with pytest.raises(BadInput, match="API key must have 40") as error:
        replay(root, mode="online")
    assert "marker0" not in str(error.value)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "wandb", None)
        with pytest.raises(BadInput, match="pip install wandb"):
            replay(root)
    assert not (root / "studies" / "tiny" / "wandb.jsonl").exists()


def test_a_server_that_is_not_there_is_said_in_one_line(root, monkeypatch):
    monkeypatch.setattr(wandb_runs, "INIT_SECONDS", 1.0)
    monkeypatch.setenv("WANDB_API_KEY", "marker0key0" * 4)
    with pytest.raises(BadInput, match="wandb: .*connection refused") as error:
        replay(root, mode="online")
    assert "marker0" not in str(error.value)
    assert "\n" not in str(error.value)
