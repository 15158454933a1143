"""A task brings its shard home, whatever single runs do to the process that trains them."""

import multiprocessing
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from composed import compose

import kdlab
from kdlab.config.compose import execution
from kdlab.config.identity import digest, effective
from kdlab.storage import example_outputs, ledger
from kdlab.storage.durable import Damaged
from sweeps.journal import events, failures
from sweeps.task import shards
from sweeps.task.trainer_process import TrainerProcess

FAULTS = Path(__file__).parent / "faults"


def broken(run, how):
    """The run with a loss that does `how`."""
    (term,) = run.terms
    loss = replace(term.loss, target=f"broken.{how}")
    made = replace(run, terms=(replace(term, loss=loss),))
    return replace(made, uid=digest(effective(made)))


def arms(small, *more):
    for number, extra in enumerate(more):
        lr = f"train.lr={(number + 1) * 1e-3}"
        yield compose(*small, "threads=1", "knowledge=logits_kl", "seed=1", lr, *extra)


def work(root, cohorts, **given):
    where = replace(execution(), root=str(root), threads=1)
    parents = {run.teacher.uid for cohort in cohorts for run in cohort if run.teacher}
    path = shards.write(cohorts, "s", where, parents, set(given.get("again", ())))
    env = os.environ | {"PYTHONPATH": f"{FAULTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, "-m", "sweeps.task.worker", str(path), "intent", "0"],
        env=env, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.long
def test_bad_runs_fail_by_their_class_and_their_neighbours_come_home(small, tmp_path):
    how = ["raises", "segfaults", "is_killed", "has_no_memory"]
    sound, *others, wild = arms(small, (), (), (), (), (), ("train.lr=1e30", "train.clip=1e30"))
    cohort = [broken(run, fault) for run, fault in zip(others, how, strict=True)]
    work(tmp_path, [[sound, *cohort, wild]])
    found = ledger.index(tmp_path)
    assert {uid: entry.status for uid, entry in found.items()} == {
        sound.teacher.uid: "done",
        sound.uid: "done",
        wild.uid: "diverged",
    }
    alone = kdlab.distill(sound, root=str(tmp_path / "alone"), threads=1)
    assert ledger.read(tmp_path, found[sound.uid]).result == alone.result
    state = events.fold(tmp_path)
    failed = {uid: failures.failure(trouble) for uid, trouble in state.trouble.items()}
    classes = {run.uid: failed[run.uid]["class"] for run in cohort}
    assert list(classes.values()) == ["code_error", "crashed", "crashed", "gpu_oom"]
    assert failed[cohort[0].uid]["error"] == "KeyError: 'broken'"
    assert failed[cohort[1].uid]["error"] == "the process died of signal 11"
    assert failed[sound.uid] is failed[wild.uid] is None


def test_a_process_that_dies_as_it_is_given_a_cohort_has_crashed():
    slot = TrainerProcess("no shard")
    slot.connection, theirs = multiprocessing.Pipe()
    # As the kernel ends a process: first its end of the pipe is closed, then its death is told.
    slot.process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(1,))
    slot.process.start()
    theirs.close()
    slot.start(["a run"])
    assert slot.answer(30)["class"] == "crashed"


@pytest.mark.long
def test_a_full_disk_or_a_broken_device_ends_the_task_and_fails_nobody(small, tmp_path):
    first, second = arms(small, (), ())
    for fault, said in (("has_no_disk", "disk_full"), ("has_no_device", "node_failure")):
        root = tmp_path / fault
        faulty = broken(first, fault)
        work(root, [[faulty], [second]])
        assert set(ledger.index(root)) == {first.teacher.uid}
        state = events.fold(root)
        assert [event["class"] for event in state.trouble[faulty.uid]] == [said]
        assert failures.failure(state.trouble[faulty.uid]) is None
        assert list(state.exits.values()) == ["not on this machine"]


def test_ten_runs_that_fail_alike_stop_the_sweep(small, tmp_path):
    runs = [broken(run, "raises") for run in arms(small, *[()] * 12)]
    work(tmp_path, [runs])
    state = events.fold(tmp_path)
    assert sum(1 for trouble in state.trouble.values() if failures.failure(trouble)) == 10
    why = failures.stopped(tmp_path, "s")
    assert why["why"] == "10 runs failed alike and none succeeded"
    assert why["error"] == "KeyError: 'broken'"
    again = work(tmp_path, [runs])
    assert "the sweep has stopped" in again.stdout


def test_children_of_a_failed_teacher_are_told_and_come_back_with_it(small, tmp_path):
    (child,) = arms(small, ("teacher.lr=1e30", "teacher.overrides=['train.clip=1e30']"))
    work(tmp_path, [[child]])
    (trouble,) = events.fold(tmp_path).trouble[child.uid]
    assert trouble["class"] == "parent_failed"
    assert "diverged" in trouble["error"]


@pytest.mark.long
def test_a_recorded_run_is_repeated_to_bring_its_outputs_back(small, tmp_path):
    (run,) = arms(small, ())
    work(tmp_path, [[run]])
    before = kdlab.records(tmp_path)[run.uid]
    wanted = example_outputs.read_outputs(tmp_path, before, "report")
    for path in (tmp_path / "outputs").iterdir():
        path.unlink()
    work(tmp_path, [[run]])
    with pytest.raises(Damaged, match=f"rerun {run.uid}"):
        example_outputs.read_outputs(tmp_path, kdlab.records(tmp_path)[run.uid], "report")
    work(tmp_path, [[run]], again=[run.uid])
    after = kdlab.records(tmp_path)[run.uid]
    assert after.result == before.result
    assert (example_outputs.read_outputs(tmp_path, after, "report") == wanted).all()
