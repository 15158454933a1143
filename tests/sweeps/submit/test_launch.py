"""A study is launched here, again and again, and every run is done once."""

import os
import signal
from pathlib import Path

import pytest
from slurm.processes import wait_until
from transformers import BertConfig, BertForSequenceClassification

import kdlab
from kdlab import record
from kdlab.config.compose import execution
from kdlab.errors import BadInput
from kdlab.storage import durable, example_outputs, ledger
from sweeps import commands, status
from sweeps.journal import events, failures, run_states
from sweeps.launchers import choice, contract
from sweeps.plan import plan
from sweeps.plan.survey import Demand, survey
from sweeps.study import reading, tuning
from sweeps.submit import launch, reconcile

TEXT = """
question: Which?
base: [{base}]
seeds: [1, 2]
blocks:
  - table: t
    control: none
    cases:
      none: [knowledge=none]
      logits: [knowledge=logits_kl]
      wild: [knowledge=none, train.lr=1e30, train.clip=1e30]
"""


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "runs")


@pytest.fixture
def asked(small, tmp_path, root):
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT.format(base=", ".join(small)))
    return commands.Request("mine", reading.load(str(path)), (f"root={root}", "threads=1"))


def submissions(root):
    return len(events.fold(root).intents)


def idle(root):
    return not contract.live(root, events.fold(root))


@pytest.mark.long
def test_a_launch_returns_at_once_and_a_second_submits_nothing(asked, root, capsys, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "a-very-secret-key")
    assert commands.run_launch(asked, None, wait=False) == 0
    assert submissions(root) == 2
    assert commands.run_launch(asked, None, wait=False) == 0
    assert submissions(root) == 2
    assert commands.run_launch(asked, None, wait=True) == 0
    assert submissions(root) == 2
    found = [entry.status for entry in ledger.index(root).values()]
    assert sorted(found) == ["diverged"] * 2 + ["done"] * 5
    assert "6 raw" in capsys.readouterr().out
    shown = status.load("mine", root)
    assert dict(shown.counts) == {"done": 5, "diverged": 2}
    assert shown.coverage.loc["t"].tolist() == [3, 3, 3, 6, 6]
    written = [path for path in Path(root).rglob("*") if path.is_file()]
    assert len(written) > 20
    assert not [path for path in written if b"a-very-secret-key" in path.read_bytes()]
    # Again with other code or elsewhere: the frozen study is found by its name.
    again = commands.requested("mine", (), root)
    assert again.extra == asked.extra
    assert commands.run_launch(again, None, wait=True) == 0
    assert submissions(root) == 2


@pytest.mark.long
def test_a_pool_that_is_killed_is_launched_again(asked, root):
    commands.run_launch(asked, None, wait=False)
    wait_until(lambda: events.fold(root).workers, "a task at work", 90, every=0.1)
    state = events.fold(root)
    (worker,) = state.workers.values()
    environment = Path(f"/proc/{worker[-1]['pid']}/environ").read_text().split("\0")
    (code,) = Path(root, "code").iterdir()
    assert any(said.startswith(f"PYTHONPATH={code}") for said in environment)
    assert "HF_HUB_OFFLINE=1" in environment
    for event in state.intents.values():
        os.kill(int(event["job"]), signal.SIGKILL)
    for incarnations in state.workers.values():
        os.kill(incarnations[-1]["pid"], signal.SIGKILL)
    wait_until(lambda: idle(root), "no task at work", 90, every=0.1)
    assert commands.run_launch(asked, None, wait=True) == 0
    assert len(ledger.index(root)) == 7


@pytest.mark.long
def test_cancelled_tasks_save_and_go_on(asked, root):
    commands.run_launch(asked, None, wait=False)
    wait_until(lambda: events.fold(root).running, "a cohort in training", 90, every=0.1)
    assert reconcile.cancel(root, "mine") == 2
    wait_until(lambda: idle(root), "no task at work", 90, every=0.1)
    assert not events.fold(root).running
    assert commands.run_launch(asked, None, wait=True) == 0
    assert len(ledger.index(root)) == 7


@pytest.fixture
def damaged(tmp_path):
    """A checkpoint whose weights turn out to be none: nothing that planning reads."""
    folder = tmp_path / "damaged"
    dimensions = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    config = BertConfig(vocab_size=9, intermediate_size=128, **dimensions)
    model = BertForSequenceClassification(config)
    model.save_pretrained(folder)
    (folder / "model.safetensors").write_bytes(b"no weights")
    return f"teacher=checkpoint teacher.checkpoint={folder} teacher.tokenizer=null".split()


@pytest.mark.long
def test_a_failure_waits_to_be_forgiven(small, damaged, tmp_path, root, capsys):
    path = tmp_path / "bad.yaml"
    bad = "{table: t, cases: {bad: [knowledge=logits_kl]}}"
    base = [text for text in small if not text.startswith("teacher.")] + damaged
    path.write_text(f"question: Which?\nbase: [{', '.join(base)}]\nseeds: [1]\nblocks: [{bad}]\n")
    asked = commands.Request("bad", reading.load(str(path)), (f"root={root}", "threads=1"))
    assert commands.run_launch(asked, None, wait=True) == 1
    assert "SafetensorError" in capsys.readouterr().err
    before = submissions(root)
    assert commands.run_launch(asked, None, wait=True) == 1
    assert submissions(root) == before  # not tried again by itself
    shown = status.load("bad", root)
    ((uid, event),) = shown.failed.items()
    assert (event["class"], shown.counts["failed"]) == ("code_error", 1)
    assert status.logs(uid, root) == 0
    assert "SafetensorError" in capsys.readouterr().out
    with pytest.raises(BadInput, match="--class gpu_oom: no such failure; there: .'code_error'"):
        commands.retry("bad", root, classes=["gpu_oom"], uids=[], all_=False)
    with pytest.raises(BadInput, match="--uid nope: it has not failed"):
        commands.retry("bad", root, classes=[], uids=["nope"], all_=False)
    assert commands.retry("bad", root, classes=["code_error"], uids=[], all_=False) == 0
    assert submissions(root) == before + 1
    wait_until(lambda: idle(root), "no task at work", 90, every=0.1)
    assert status.load("bad", root).counts["failed"] == 1


def test_too_little_data_is_found_while_planning(small, tmp_path, root):
    path = tmp_path / "big.yaml"
    big = "{table: t, cases: {big: [knowledge=none, data.rows=9999]}}"
    path.write_text(f"question: Which?\nbase: [{', '.join(small)}]\nseeds: [1]\nblocks: [{big}]\n")
    asked = commands.Request("big", reading.load(str(path)), (f"root={root}",))
    with pytest.raises(BadInput, match="data.rows=9999: fit has 270 rows"):
        commands.plan_only(asked, None)


def test_a_sweep_that_stopped_itself_is_not_launched_until_it_is_mended(asked, root):
    why = b'{"why": "ten", "error": "KeyError"}'
    durable.write_whole(failures.stop_file(root, "mine"), why)
    with pytest.raises(BadInput, match="mine has stopped itself: ten: KeyError"):
        commands.run_launch(asked, None, wait=False)
    assert submissions(root) == 0


def test_live_views_are_grouped_by_study_unless_told_otherwise():
    assert launch.prepared(execution("tracker=wandb"), "mine").tracker["group"] == "mine"
    told = execution("tracker=wandb", "tracker.group=ours")
    assert launch.prepared(told, "mine").tracker["group"] == "ours"
    assert "group" not in launch.prepared(execution(), "mine").tracker


def test_a_budget_takes_the_first_seed_of_every_cell_before_the_second(asked, root):
    planned = plan.plan(asked.study, asked.extra)
    runs = plan.unique(planned)
    chosen = choice.launcher(execution(*asked.extra))
    whole = survey(runs, root, chosen)
    hours = sum(whole.seconds[run.uid] for run in whole.due) / 3600
    part = survey(runs, root, chosen, Demand(hours=0.6 * hours))
    assert {run.seed for run in part.due if run.uid in whole.states} == {1}
    assert len(part.due) + len(part.beyond) == len(whole.due)
    assert {run.seed for run in part.beyond} == {2}
    # What was submitted on the budget is not paid again, and nothing more is affordable.
    paid = {run.uid: part.seconds[run.uid] for run in part.due}
    again = survey(runs, root, chosen, Demand(hours=0.6 * hours, paid=paid))
    assert [run.uid for run in again.due] == [run.uid for run in part.due]
    assert not Path(root).exists()


def test_a_second_launch_at_the_same_time_is_refused(asked, root, monkeypatch):
    held = reconcile.lock(root)
    monkeypatch.setattr("sweeps.submit.reconcile.PATIENCE", 0.1)
    with pytest.raises(BadInput, match="another launch is at work"):
        commands.run_launch(asked, None, wait=False)
    held.release()


@pytest.mark.long
def test_a_launch_that_waits_tunes_and_then_confirms(small, tmp_path, root, capsys):
    path = tmp_path / "tuned.yaml"
    base = ", ".join(text for text in small if not text.startswith("train.lr"))
    path.write_text(
        f"""
question: Which rate?
base: [{base}]
blocks:
  - table: t
    cases: {{logits: [knowledge=logits_kl]}}
    tune: {{over: {{train.lr: [1e-7, 1e-2]}}, seeds: [0]}}
    confirm: {{seeds: [1, 2]}}
"""
    )
    asked = commands.Request("tuned", reading.load(str(path)), (f"root={root}", "threads=1"))
    commands.plan_only(asked, None)
    said = capsys.readouterr().out
    assert "trials of t: none 2, logits 2" in said
    assert "4 runs wait for their settings to be tuned" in said
    assert commands.run_launch(asked, None, wait=True) == 0
    frozen = tuning.read_winners(run_states.study_folder(root, "tuned") / "winners.json")
    assert len(frozen) == 2
    runs = {run.uid: run for run in plan.unique(plan.plan(asked.study, asked.extra, frozen))}
    confirmed = [run for run in runs.values() if run.seed > 0]
    assert len(confirmed) == 4
    assert set(runs) <= set(ledger.index(root))
    for winner in frozen.values():
        assert winner.scores[" ".join(winner.overrides)] == max(winner.scores.values())


@pytest.mark.long
def test_a_rerun_brings_lost_outputs_back_as_it_was_launched(small, tmp_path, root):
    one = "{table: t, cases: {none: [knowledge=none]}}"
    path = tmp_path / "mine.yaml"
    path.write_text(f"question: Which?\nbase: [{', '.join(small)}]\nseeds: [1]\nblocks: [{one}]\n")
    asked = commands.Request("mine", reading.load(str(path)), (f"root={root}", "threads=1"))
    assert commands.run_launch(asked, None, wait=True) == 0
    (uid, before) = next(
        (uid, found) for uid, found in kdlab.records(root).items() if found.artifacts
    )
    outputs = example_outputs.read_outputs(root, before, "report")
    for path in Path(root).glob("outputs/*"):
        path.unlink()
    assert commands.rerun(uid, root) == 0
    wait_until(lambda: idle(root), "no task at work", 90, every=0.1)
    after = kdlab.records(root)[uid]
    assert after.result == before.result
    assert (example_outputs.read_outputs(root, after, "report") == outputs).all()
    with pytest.raises(BadInput, match="no study under .* has a run abcdef0"):
        commands.rerun("abcdef0", root)


def test_a_launch_heals_what_a_damaged_record_says_is_done(asked, root, capsys, monkeypatch):
    runs = [run.uid for run in plan.unique(plan.plan(asked.study, asked.extra))]
    result = {"status": "done", "scores": {}}
    for uid in runs:
        ledger.append(root, record.Record(uid, {}, [], result, {}, {}))
    (jsonl,) = Path(root, "records").glob("*.jsonl")
    state, content = jsonl.stat(), bytearray(jsonl.read_bytes())
    content[ledger.index(root)[runs[1]].start + 50] ^= 1
    jsonl.write_bytes(content)
    os.utime(jsonl, ns=(state.st_atime_ns, state.st_mtime_ns))  # as a disk would
    due = []
    monkeypatch.setattr(launch, "launch", lambda work, *_: due.extend(work.due) or [])
    assert commands.run_launch(asked, None, wait=False) == 0
    assert [run.uid for run in due if run.uid in runs] == [runs[1]]
    assert f"records/{jsonl.name}: no record in bytes" in capsys.readouterr().err
    assert status.load("mine", root).counts["done"] == len(runs) - 1
