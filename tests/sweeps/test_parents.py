"""Studies whose runs have parents beside a teacher: planned, launched, failed, retried."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from composed import compose
from slurm.processes import wait_until

import kdlab
from kdlab.config.compose import execution
from kdlab.run import parents
from kdlab.storage import ledger
from kdlab.training import resume
from sweeps import commands, status
from sweeps.journal import events, failures, run_states
from sweeps.launchers import choice, contract
from sweeps.plan import levels, plan
from sweeps.plan.survey import survey
from sweeps.study import reading
from sweeps.study.launched import family
from sweeps.task import shards

STAGE = "init.run=['knowledge=hidden_mse','hard.weight=0','train.epochs=1']"
TEXT = """
question: Does it pay to go in stages?
base: [{base}]
seeds: [1, 2]
blocks:
  - table: t
    control: logits
    controls: false
    cases:
      logits: [knowledge=logits_kl]
      staged: [knowledge=logits_kl, init=run, "{stage}"]
      assisted: [knowledge=logits_kl, "teacher.assistants=[l2_h32_a2]"]
      fitted: [knowledge=logits_kl, teacher.folds=2]
"""


def submissions(root):
    return len(events.fold(root).intents)


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "runs")


@pytest.fixture
def asked(small, tmp_path, root):
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT.format(base=", ".join(small), stage=STAGE))
    return commands.Request("mine", reading.load(str(path)), (f"root={root}", "threads=1"))


def test_every_parent_is_in_the_graph_before_its_children(asked, root, capsys):
    commands.plan_only(asked, None)
    said = capsys.readouterr().out
    # A teacher and two of folds; two stages and an assistant; eight students.
    assert "graph: 3, then 3, then 8 runs, 6 of them parents" in said
    assert not Path(root).exists()
    runs = plan.unique(plan.plan(asked.study, asked.extra))
    family = list(levels.with_ancestors(runs).values())
    position = {run.uid: execution for execution, run in enumerate(family)}
    level = {run.uid: n for n, each in enumerate(levels.levels(family)) for run in each}
    for run in family:
        for parent in parents(run):
            assert position[parent.uid] < position[run.uid]
            assert level[parent.uid] < level[run.uid]
    assert {run.init.stage.seed for run in runs if run.init.stage} == {1, 2}


@pytest.mark.long
def test_a_study_of_stages_comes_home_once(asked, root, capsys):
    assert commands.run_launch(asked, None, wait=True) == 0
    assert submissions(root) == 3
    found = kdlab.records(root)
    assert len(found) == 8 + 6
    shown = status.load("mine", root)
    assert dict(shown.counts) == {"done": 14}
    runs = plan.unique(plan.plan(asked.study, asked.extra))
    saved = {folder.name for folder in Path(root, "models").iterdir()}
    assert saved == {uid for run in levels.with_ancestors(runs).values() for uid in uids(run)}
    # As a run on its own, parents and all.
    alone = kdlab.distill(runs[1], root=f"{root}-alone", threads=1)
    assert alone.result == found[runs[1].uid].result
    assert commands.run_launch(asked, None, wait=True) == 0
    assert submissions(root) == 3
    links = family(status.read_plan("mine", root))
    assert {uid: sorted(own) for uid, own in links.items()} == {
        run.uid: sorted(uids(run)) for run in levels.with_ancestors(runs).values()
    }


def uids(run):
    return [parent.uid for parent in parents(run)]


def test_a_missing_model_of_an_ancestor_is_made_again_for_a_run_that_is_due(asked, root):
    staged, _ = unique(asked, "staged")
    kdlab.distill(staged.init.stage, root=root, threads=1, save=True)
    for folder in Path(root, "models").iterdir():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    chosen = choice.launcher(execution(*asked.extra))
    due = survey([staged], root, chosen).due
    # The earlier run is done without its model: it is repeated, and so is what it learns from.
    assert [run.uid for run in due] == [staged.teacher.uid, staged.init.stage.uid, staged.uid]


def unique(asked, row):
    return [e.run for e in plan.plan(asked.study, asked.extra) if e.cell.row == row and e.run]


@pytest.mark.long
def test_an_earlier_run_that_fails_is_retried_and_brings_its_children_back(asked, root, capsys):
    (broken, *_) = (run.init.stage for run in unique(asked, "staged"))
    # In the place of a checkpoint something that nobody can read.
    obstacle = resume.checkpoint_path(root, broken.uid)
    obstacle.mkdir(parents=True)
    assert commands.run_launch(asked, None, wait=True) == 1
    assert "IsADirectoryError" in capsys.readouterr().err
    shown = status.load("mine", root)
    assert shown.counts["failed"] == 2
    classes = {uid: event["class"] for uid, event in shown.failed.items()}
    (child,) = set(classes) - {broken.uid}
    assert classes == {broken.uid: "code_error", child: "parent_failed"}
    assert f"parent {broken.uid} failed" in shown.failed[child]["error"]
    assert len(ledger.index(root)) == 14 - 2
    before = submissions(root)
    assert commands.run_launch(asked, None, wait=True) == 1
    assert submissions(root) == before
    obstacle.rmdir()
    assert commands.retry("mine", root, classes=["code_error"], uids=[], all_=False) == 0
    assert "2 of 2 failures forgiven" in capsys.readouterr().out
    wait_until(lambda: not contract.live(root, events.fold(root)), "no task at work", 90, every=0.1)
    assert dict(status.load("mine", root).counts) == {"done": 14}


def test_a_worker_brings_home_a_chain_that_nobody_trained(small, tmp_path):
    run = compose(
        *small, "threads=1", "init=run", STAGE, "teacher.assistants=[l2_h32_a2]",
        "knowledge=logits_kl",
    )  # fmt: skip
    family = levels.with_ancestors([run])
    path = frozen(run, family, tmp_path)
    shard = shards.read(path)
    assert [shard.depth(uid) for uid in family] == [0, 1, 2, 3]
    run_worker(path)
    assert set(ledger.index(tmp_path)) == set(family)
    ended = [event["uids"] for event in events.fold(tmp_path).ends]
    assert ended == [[uid] for uid in family]


def test_a_grandparents_failure_reaches_its_grandchildren(small, tmp_path):
    run = compose(
        *small, "threads=1", "knowledge=logits_kl", "teacher.assistants=[l2_h32_a2]",
        "teacher.lr=1e30", "teacher.overrides=['train.clip=1e30']",
    )  # fmt: skip
    family = levels.with_ancestors([run])
    path = frozen(run, family, tmp_path)
    run_worker(path)
    first, middle, last = family
    assert {u: e.status for u, e in ledger.index(tmp_path).items()} == {first: "diverged"}
    trouble = events.fold(tmp_path).trouble
    assert failures.failure(trouble[middle])["error"].startswith(f"parent {first} failed: it div")
    assert failures.failure(trouble[last])["error"].startswith(f"parent {middle} failed: parent_f")
    links = {uid: uids(each) for uid, each in family.items()}
    states = run_states.states(links, ledger.index(tmp_path), events.fold(tmp_path), {})
    assert states == {first: "diverged", middle: "failed", last: "failed"}


def frozen(run, family, root):
    where = replace(execution(), root=str(root), threads=1)
    return shards.write([[run]], "s", where, {u for r in family.values() for u in uids(r)}, set())


def run_worker(path):
    command = [sys.executable, "-m", "sweeps.task.worker", str(path), "intent", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
