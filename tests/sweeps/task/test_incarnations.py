"""What a task finds out about those that were started before it under its name, and about nodes."""

import pytest

from sweeps.journal import events
from sweeps.task import allocation, incarnations


@pytest.fixture
def as_worker(monkeypatch, tmp_path):
    """Writes events as an incarnation of its own would, into a file of that name."""

    def write(name: str, kind: str, **fields) -> None:
        monkeypatch.setattr(events, "worker", lambda: name)
        events.append(tmp_path, kind, **fields)

    return write


@pytest.mark.parametrize(("is_down", "kind"), [(True, "node_failure"), (False, "lost")])
def test_only_those_that_died_in_a_cohort_are_told(is_down, kind, as_worker, tmp_path, monkeypatch):
    task = {"intent": "a", "index": 0}
    for name in ("ended", "idle", "died"):
        as_worker(name, "worker", node="node7", **task)
    as_worker("ended", "start", uids=["1"], **task)
    as_worker("ended", "exit", why="done", **task)
    as_worker("died", "start", uids=["2", "3"], **task)
    as_worker("elsewhere", "worker", intent="a", index=1)
    as_worker("elsewhere", "start", uids=["4"], intent="a", index=1)
    monkeypatch.setattr(allocation, "is_down", lambda host: is_down and host == "node7")
    as_worker("now", "worker", node="node8", **task)
    before = incarnations.record_predecessors(str(tmp_path), "a", 0)
    assert before == 4
    trouble = [event for event in events.read(tmp_path) if event["event"] == "trouble"]
    assert [(event["class"], event["uids"], event["of"]) for event in trouble] == [
        (kind, ["2", "3"], "died")
    ]


def test_a_node_is_asked_about_only_within_slurm(monkeypatch, tmp_path):
    sinfo = tmp_path / "sinfo"
    sinfo.write_text('#!/bin/sh\n[ "$3" = node1 ] && echo idle || echo down*\n')
    sinfo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not allocation.is_down("node2")
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    monkeypatch.setenv("SLURMD_NODENAME", "node3")
    assert [allocation.is_down(f"node{n}") for n in (1, 2, 3)] == [False, True, False]


def test_a_task_is_called_as_slurm_calls_it(monkeypatch):
    for name in ("SLURM_ARRAY_JOB_ID", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    assert allocation.job().isdigit()
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    assert allocation.job() == "5"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "4")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    assert allocation.job() == "4_1"
