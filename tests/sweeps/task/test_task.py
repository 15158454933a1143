"""What a task draws from the answers of the process that trains; no run is trained here."""

import signal

import pytest
from composed import compose

from kdlab.config.compose import execution
from kdlab.errors import BadInput
from sweeps.journal import events, failures
from sweeps.launchers import contract
from sweeps.task import shards, worker
from sweeps.task.trainer_process import TRAINED


@pytest.fixture(scope="module")
def runs(small):
    return [compose(*small, "knowledge=none", f"seed={seed}") for seed in (1, 2, 3)]


@pytest.fixture
def task(runs, tmp_path, monkeypatch):
    """Does a shard of cohorts with what trains played by a function of a cohort's uids.

    The function returns an answer, if it likes with a signal that the task gets meanwhile; an
    answer of None is none yet.
    """
    calls, pauses = [], []
    monkeypatch.setattr("sweeps.task.worker._pause", lambda _, seconds: pauses.append(seconds))
    monkeypatch.setattr(
        "sweeps.task.allocation.subprocess.run", lambda words, **_: calls.append(words)
    )
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    for name in ("SLURM_ARRAY_JOB_ID", "SUBMITIT_FOLDER"):
        monkeypatch.delenv(name, raising=False)
    handlers = {}
    monkeypatch.setattr("sweeps.task.worker.signal.signal", handlers.__setitem__)

    def do(cohorts, answer):
        class Played:
            def __init__(self, shard):
                self.uids = []

            def start(self, uids):
                self.uids = uids

            def answer(self, seconds):
                said = answer(self.uids)
                number, said = said if isinstance(said, tuple) else (None, said)
                if number is not None:
                    handlers[number](number, None)
                return said if isinstance(said, dict | None) else {"class": said}

            def stop(self):
                pass

        monkeypatch.setattr("sweeps.task.worker.TrainerProcess", Played)
        where = execution(f"root={tmp_path}")
        path = shards.write(
            [[runs[n] for n in cohort] for cohort in cohorts], "s", where, set(), {}
        )
        events.append(
            tmp_path, "intent", intent="i", study="s", launcher="slurm", minutes=60,
            shards=[str(path)], uids=[[runs[n].uid for cohort in cohorts for n in cohort]],
        )  # fmt: skip
        worker.work(str(path), "i", 0, 60.0)
        return events.fold(tmp_path), calls, pauses

    return do


def broken(kind):
    return {"class": kind, "error": "e", "fingerprint": "f"}


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGTERM])
@pytest.mark.parametrize("cohorts", [[[0]], [[0, 1], [2]]])
def test_a_task_that_is_asked_to_end_in_its_last_cohort_is_not_done(task, runs, cohorts, number):
    last = [runs[n].uid for n in cohorts[-1]]
    state, calls, _ = task(cohorts, lambda uids: (number, None) if uids == last else TRAINED)
    assert set(state.exits.values()) == {events.ASKED_TO_STOP}
    assert calls == ([["scontrol", "requeue", "7"]] if number == signal.SIGUSR2 else [])
    # So that the twin that waits in the queue is not submitted once more.
    assert contract.open_intents(state) != {}


def test_a_task_that_is_done_when_it_is_asked_to_end_is_not_started_again(task):
    state, calls, _ = task([[0]], lambda _: (signal.SIGUSR2, TRAINED))
    assert (set(state.exits.values()), calls) == ({"all done"}, [])
    assert contract.open_intents(state) == {}


def test_an_error_that_lasts_parts_a_cohort_with_pauses_and_fails_each_run(task):
    asked = []
    state, _, pauses = task([[0, 1, 2]], lambda uids: asked.append(uids) or broken("io_error"))
    # A test runs no record, so that nobody is done: thrice together, thrice each alone.
    assert [len(uids) for uids in asked] == [3] * 3 + [1] * 9
    failed = {uid: failures.failure(trouble) for uid, trouble in state.trouble.items()}
    assert {event["class"] for event in failed.values()} == {"io_error"}
    assert pauses[:3] == [1.0, 2.0, 4.0]
    assert max(pauses) <= failures.LONGEST_PAUSE
    assert state.running == {}


def test_one_run_that_meets_it_alone_does_not_take_its_company_along(task, runs):
    bad = runs[1].uid
    state, _, _ = task(
        [[0, 1, 2]], lambda uids: broken("io_error") if bad in uids else {"class": TRAINED}
    )
    failed = {uid for uid, trouble in state.trouble.items() if failures.failure(trouble)}
    assert failed == {bad}


def test_a_pause_ends_with_a_signal(tmp_path):
    asked = worker.Worker(None, None, None, {}, 0.0, None, signals=[signal.SIGTERM])
    worker._pause(asked, 1e9)


@pytest.mark.parametrize("content", [b"", b"{}", None])
def test_a_damaged_shard_ends_its_task_in_a_line_and_is_written_anew(
    runs, tmp_path, capsys, content
):
    where = execution(f"root={tmp_path}")
    path = shards.write([[runs[0]]], "s", where, set(), set())
    whole = path.read_bytes()
    path.write_bytes(content) if content is not None else path.unlink()
    with pytest.raises(BadInput, match="launch again"):
        shards.read(path)
    worker.work(str(path), "i", 0, None)
    assert "launch again" in capsys.readouterr().out
    assert events.fold(tmp_path).workers == {}
    assert shards.write([[runs[0]]], "s", where, set(), set()) == path
    assert path.read_bytes() == whole
