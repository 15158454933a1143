"""Events add up to where runs stand, and trouble to what follows from it."""

import errno

import pytest
import torch

from kdlab.storage.durable import append_line
from kdlab.storage.ledger import Entry
from sweeps.journal import events, failures, run_states
from sweeps.submit import reconcile

SAID = {"study": "s", "intent": "i", "index": 0, "node": "n1", "level": 1}


def tell(root, kind, **fields):
    events.append(root, kind, **SAID | fields)


def trouble(root, uids, kind, node="n1", **more):
    what = {"class": kind, "error": "e", "fingerprint": "f"} | more
    tell(root, "trouble", uids=uids, node=node, **what)


def intend(root, *tasks, intent="i"):
    events.append(
        root, "intent", intent=intent, study="s", level=0, launcher="local",
        minutes=None, shards=["x"] * len(tasks), uids=[list(task) for task in tasks],
    )  # fmt: skip


def entry(status="done"):
    return Entry(status, 1.0, "f", 0, 1)


def test_states_follow_records_then_trouble_then_the_queue(tmp_path):
    intend(tmp_path, "abc", "d")
    tell(tmp_path, "worker", job="1", log="")
    trouble(tmp_path, ["e"], "code_error")
    trouble(tmp_path, ["f"], "code_error")
    tell(tmp_path, "start", uids=["b"])
    state = events.fold(tmp_path)
    uids = {key: [] for key in "abcdefgh"} | {"h": ["g", "f"], "i": ["h"]}
    live = {("i", 0): "RUNNING"}
    found = run_states.states(uids, {"a": entry(), "e": entry("diverged")}, state, live)
    assert found == {
        "a": "done",
        "b": "running",
        "c": "queued",
        "d": "to run",
        "e": "diverged",
        "f": "failed",
        "g": "to run",
        "h": "failed",  # its teacher is f
        "i": "failed",  # it starts from h
    }
    assert run_states.states({"b": []}, {}, state, {})["b"] == "to run"


def test_a_torn_event_is_passed_over(tmp_path):
    trouble(tmp_path, ["a"], "code_error")
    (path,) = (tmp_path / "events").iterdir()
    with path.open("ab") as file:
        file.write(b'\n{"event":"troub')
    trouble(tmp_path, ["b"], "code_error")
    assert set(events.fold(tmp_path).trouble) == {"a", "b"}


def test_forgiven_trouble_is_gone_and_new_trouble_counts_from_there(tmp_path):
    trouble(tmp_path, ["a"], "crashed")
    trouble(tmp_path, ["a"], "crashed")
    assert failures.failure(events.fold(tmp_path).trouble["a"])["class"] == "crashed"
    reconcile.forgive(tmp_path, ["a"])
    assert "a" not in events.fold(tmp_path).trouble
    assert len(events.fold(tmp_path).forgiven["a"]) == 2
    trouble(tmp_path, ["a"], "crashed")
    assert failures.failure(events.fold(tmp_path).trouble["a"]) is None
    trouble(tmp_path, ["a"], "crashed")
    assert failures.failure(events.fold(tmp_path).trouble["a"])


@pytest.mark.parametrize(
    ("met", "alone", "failed"),
    [
        ([("gpu_oom", "ab")], True, None),
        ([("gpu_oom", "ab"), ("gpu_oom", "a")], True, "gpu_oom"),
        ([("host_oom", "ab")], True, None),
        ([("crashed", "ab")], False, None),
        ([("crashed", "ab")] * 2, True, None),
        ([("crashed", "ab")] * 2 + [("crashed", "a")], True, None),
        ([("crashed", "a")] * 2, True, "crashed"),
        ([("code_error", "ab")], True, None),
        ([("code_error", "a")], True, "code_error"),
        ([("node_failure", "a")] * 2, False, None),
        ([("node_failure", "ab")] * 3, True, None),
        ([("node_failure", "a")] * 3, True, "node_failure"),
        ([("io_error", "ab")] * 2, False, None),
        ([("io_error", "ab")] * 3, True, None),
        ([("io_error", "ab")] * 3 + [("io_error", "a")] * 3, True, "io_error"),
        ([("lost", "a")] * 50, False, None),
        ([("cancelled", "a")] * 50, False, None),
        ([("time_limit", "a")] * 50, False, None),
        ([("disk_full", "a")] * 50, False, None),
        ([("parent_failed", "a")], False, "parent_failed"),
    ],
)
def test_each_class_has_its_consequence(met, alone, failed):
    held = [{"class": kind, "uids": list(uids)} for kind, uids in met]
    assert failures.must_be_alone(held) is alone
    found = failures.failure(held)
    assert (found and found["class"]) == failed


def test_a_host_is_left_out_once_different_runs_failed_on_it(tmp_path):
    trouble(tmp_path, ["a", "b"], "node_failure", node="bad")
    trouble(tmp_path, ["a"], "crashed", node="bad")  # the same run again
    trouble(tmp_path, ["c"], "node_failure", node="good")
    trouble(tmp_path, ["d"], "code_error", node="good")
    assert failures.blamed(events.fold(tmp_path)) == []
    trouble(tmp_path, ["x"], "crashed", node="bad")
    (blame,) = failures.blamed(events.fold(tmp_path))
    assert (blame.host, len(blame.incidents)) == ("bad", 2)
    assert blame.why == "2 different runs met node_failure and crashed; last: e"


def test_children_come_back_with_their_teacher(tmp_path):
    trouble(tmp_path, ["child"], "parent_failed")
    state = events.fold(tmp_path)
    uids = {"teacher": [], "child": ["teacher"]}
    assert run_states.states(uids, {}, state, {})["child"] == "failed"
    assert run_states.states(uids, {"teacher": entry()}, state, {})["child"] == "to run"
    assert run_states.states(uids, {"teacher": entry("diverged")}, state, {})["child"] == "failed"


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "gpu_oom"),
        (MemoryError(), "host_oom"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "host_oom"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk_full"),
        (caused(RuntimeError("save"), OSError(errno.ENOSPC, "full")), "disk_full"),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), "node_failure"),
        (OSError(errno.ESTALE, "Stale file handle"), "io_error"),
        (FileNotFoundError(errno.ENOENT, "no such file"), "code_error"),
        (ValueError("a mistake"), "code_error"),
    ],
)
def test_exceptions_are_told_apart(error, kind):
    assert failures.classify(error) == kind


def test_equal_mistakes_have_equal_fingerprints():
    def described(what, deeper=False):
        try:
            if deeper:
                int(what)
            raise ValueError(what)
        except ValueError as error:
            return failures.describe(error)

    one, two = described("a"), described("b")
    assert one["fingerprint"] == two["fingerprint"] != described("c", deeper=True)["fingerprint"]
    assert one["error"] == "ValueError: a"
    assert "Traceback" in one["traceback"]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=1.0", "host_oom"),
        ("slurmstepd: error: Job 7 exceeded memory limit (900 > 100)", "host_oom"),
        ("error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01 DUE TO TIME LIMIT ***", "time_limit"),
        ("error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01 DUE TO NODE FAILURE ***", "node_failure"),
        ("slurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-01-01T00:00 ***", "cancelled"),
        ("", "lost"),
    ],
)
def test_the_schedulers_last_words_tell_how_a_task_ended(tmp_path, words, kind):
    log = tmp_path / "log"
    log.write_text(f"step 5\n{words}\n")
    assert failures.class_from_log(log) == kind
    assert failures.class_from_log(tmp_path / "none") == "lost"


def test_a_stop_needs_ten_alike_and_no_success_at_their_depth(tmp_path):
    for number in range(9):
        trouble(tmp_path, [str(number)], "code_error")
    failures.stop_if_hopeless(tmp_path, events.fold(tmp_path), "s")
    assert failures.stopped(tmp_path, "s") is None
    trouble(tmp_path, ["9"], "code_error", fingerprint="other")
    tell(tmp_path, "end", uids=["teacher"], level=0)
    failures.stop_if_hopeless(tmp_path, events.fold(tmp_path), "s")
    assert failures.stopped(tmp_path, "s") is None
    trouble(tmp_path, ["10"], "code_error")
    failures.stop_if_hopeless(tmp_path, events.fold(tmp_path), "other")
    assert failures.stopped(tmp_path, "other") is None
    failures.stop_if_hopeless(tmp_path, events.fold(tmp_path), "s")
    assert failures.stopped(tmp_path, "s")["why"].startswith("10 runs failed alike")


def test_one_success_at_their_depth_keeps_a_sweep_going(tmp_path):
    for number in range(10):
        trouble(tmp_path, [str(number)], "code_error")
    tell(tmp_path, "end", uids=["x"])
    failures.stop_if_hopeless(tmp_path, events.fold(tmp_path), "s")
    assert failures.stopped(tmp_path, "s") is None


def test_an_unknown_uid_has_no_state_of_its_own(tmp_path):
    append_line(tmp_path / "events" / "w.jsonl", {"event": "exit", "time": 1.0, "why": "all done"})
    assert run_states.states({"a": []}, {}, events.fold(tmp_path), {}) == {"a": "to run"}
