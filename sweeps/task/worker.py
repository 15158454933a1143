"""One task: the cohorts of a shard, one after the other, whatever happens to them.

The worker loads no torch. Cohorts train in a child process, so that a run that takes its process
with it leaves the rest of the shard to be done.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kdlab import record
from kdlab.data import test_splits
from kdlab.durable import Damaged
from kdlab.errors import BadInput
from kdlab.models import saved_files
from sweeps.journal import events, failures
from sweeps.journal.run_states import ASKED, DIVERGED
from sweeps.task import code_check, shards
from sweeps.task.shards import Shard
from sweeps.task.trainer_process import DONE, STOPPED, Slot

HARMLESS = {"code_error", "io_error"}  # to the process in which it happened
ENDS = {"node_failure", "disk_full"}  # after which a worker had better not go on


@dataclass
class Worker:
    """A task at work.

    Attributes:
        signals: what was received that asks it to end.
        elsewhere: it ends because of the machine that it is on.
    """

    shard: Shard
    slot: Slot
    queue: deque[list[str]]
    fields: Mapping[str, Any]
    began: float
    minutes: float | None
    signals: list[int] = field(default_factory=list)
    elsewhere: bool = False

    @property
    def root(self) -> str:
        """Where everything lies."""
        return self.shard.execution.root


def work(path: str, intent: str, index: int, minutes: float | None) -> None:
    """Do a shard, as far as it goes.

    Args:
        path: the shard's file.
        intent, index: the task it is.
        minutes: the scheduler's time limit, None without one.
    """
    try:
        code_check.check()
        shard = shards.read(path)
    except (BadInput, Damaged) as error:  # the next launch writes it anew
        print(f"kdlab: {error}", flush=True)
        return
    fields = {"study": shard.study, "intent": intent, "index": index, "node": node()}
    worker = Worker(shard, Slot(path), deque(shard.cohorts), fields, time.monotonic(), minutes)
    for number in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, lambda received, _: worker.signals.append(received))
    why = ASKED
    try:
        why = _whole(worker)
        print(f"kdlab: {why}", flush=True)
    except OSError as error:
        if failures.classify(error) != "disk_full":
            raise
        print("kdlab: the disk is full; what is not recorded stays to be done", flush=True)
    if why == ASKED and signal.SIGUSR2 in worker.signals and "SLURM_JOB_ID" in os.environ:
        # A time limit or a preemption: the same task, later. Whatever submitit makes of it.
        subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], timeout=60)


def _whole(worker: Worker) -> str:
    """From the first event to the last; return why it ended."""
    before = _note_predecessors(worker)
    where = {"job": job(), "restart": _restart(), "pid": os.getpid(), "log": _log()}
    events.append(worker.root, "worker", **worker.fields, **where, before=before)
    try:
        why = _cohorts(worker)
    finally:
        worker.slot.stop()
    events.append(worker.root, "exit", **worker.fields, why=why)
    return why


def _cohorts(worker: Worker) -> str:
    """Train what is to be done; return why it ended."""
    while worker.queue:
        if worker.signals:
            return ASKED
        if worker.elsewhere:
            return "not on this machine"
        if why := failures.stopped(worker.root, worker.shard.study):
            return f"the sweep has stopped: {why['why']}"
        uids = _ready(worker, worker.queue.popleft())
        if uids:
            _attempt(worker, uids)
    return "all done"


def _ready(worker: Worker, uids: list[str]) -> list[str]:
    """Those of a cohort that can train now; a missing parent goes first, a failed one is told."""
    done = record.index(worker.root)
    state = events.fold(worker.root)
    unpredicted = _unpredicted(worker, [uid for uid in uids if uid in done])
    uids = [uid for uid in uids if uid in unpredicted or _is_due(worker, uid, done, state)]
    trained = [uid for uid in uids if uid not in unpredicted or not _has_model(worker, uid)]
    needed = dict.fromkeys(p for uid in trained for p in worker.shard.parents(uid))
    for parent in (uid for uid in needed if not _has_model(worker, uid)):
        lost = failures.failure(state.trouble.get(parent, []))
        diverged = parent in done and done[parent].status == DIVERGED
        if lost or diverged:
            children = [uid for uid in uids if parent in worker.shard.parents(uid)]
            _tell_children(worker, children, parent, lost)
            uids = [uid for uid in uids if uid not in children]
        elif any(parent in worker.shard.parents(uid) for uid in uids):
            # Its own task did not bring it home: do it here, once among all who need it.
            worker.queue.appendleft(uids)
            return _ready(worker, [parent])
    crowded = [uid for uid in uids if failures.must_be_alone(state.trouble.get(uid, []))]
    if crowded and len(uids) > 1:
        worker.queue.extendleft([uid] for uid in reversed(crowded))
        uids = [uid for uid in uids if uid not in crowded]
    return uids


def _unpredicted(worker: Worker, uids: list[str]) -> set[str]:
    """Those of the recorded runs that are asked for test outputs and lack them."""
    asked = [worker.shard.run(uid) for uid in uids if uid in worker.shard.predict]
    return test_splits.lacking(asked, worker.root) if asked else set()


def _is_due(worker: Worker, uid: str, done: Mapping[str, Any], state: events.State) -> bool:
    if failures.failure(state.trouble.get(uid, [])):
        return False
    kept = uid in worker.shard.save and not _has_model(worker, uid)
    if uid in worker.shard.again or uid not in done:
        return True
    return kept and done[uid].status != DIVERGED


def _has_model(worker: Worker, uid: str) -> bool:
    return saved_files.is_whole(worker.root, uid)


def _tell_children(
    worker: Worker, children: list[str], parent: str, lost: Mapping[str, Any] | None
) -> None:
    why = f"{lost['class']}, {lost['error']}" if lost else "it diverged"
    for uid in children:
        what = {"class": "parent_failed", "error": f"parent {parent} failed: {why}"}
        _note(worker, "trouble", [uid], **what, fingerprint="parent", parent=parent)


def _attempt(worker: Worker, uids: list[str]) -> None:
    """Train a cohort once, and draw the consequence."""
    _note(worker, "start", uids)
    began = time.monotonic()
    worker.slot.start(uids)
    answer = None
    while answer is None:
        if worker.signals:
            worker.slot.stop()
            answer = {"class": STOPPED}
        else:
            answer = worker.slot.answer(0.5)
    if worker.signals and answer["class"] != DONE:
        worker.queue.appendleft(uids)  # not done: whoever takes the task up goes on with it
        _note(worker, "stopped", uids, why=_why_signalled(worker))
    elif answer["class"] == DONE:
        _note(worker, "end", uids, seconds=round(time.monotonic() - began, 3))
    else:
        _trouble(worker, uids, answer)


def _note(worker: Worker, kind: str, uids: list[str], **more: Any) -> None:
    level = max(worker.shard.depth(uid) for uid in uids)
    events.append(worker.root, kind, **worker.fields, uids=uids, level=level, **more)


def _trouble(worker: Worker, uids: list[str], answer: Mapping[str, Any]) -> None:
    print(answer.get("traceback", answer["error"]), file=sys.stderr, flush=True)
    if answer["class"] not in HARMLESS:
        worker.slot.stop()  # whatever state it is in, nobody else gets it
    worker.elsewhere = answer["class"] in ENDS
    try:
        _note(worker, "trouble", uids, **answer, log=_log())
    except OSError:  # the disk is full: nothing more can be said
        worker.elsewhere = True
        return
    state = events.fold(worker.root)
    due = [uid for uid in uids if not failures.failure(state.trouble.get(uid, []))]
    if due and not worker.elsewhere:
        worker.queue.appendleft(due)
        held = (event for uid in due for event in state.trouble.get(uid, []))
        _pause(worker, failures.pause(held) if answer["class"] == "io_error" else 0.0)
    failures.stop_if_hopeless(worker.root, state, worker.shard.study)


def _pause(worker: Worker, seconds: float) -> None:
    """Leave a file system time to come back; a signal ends the wait."""
    end = time.monotonic() + seconds
    while not worker.signals and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.5))


def _why_signalled(worker: Worker) -> str:
    if signal.SIGUSR2 not in worker.signals:
        return "preempted, requeued or cancelled"
    spent = (time.monotonic() - worker.began) / 60
    return "time limit" if worker.minutes and spent > 0.5 * worker.minutes else "preempted"


def _note_predecessors(worker: Worker) -> int:
    """Earlier incarnations of this task, of which one that ended without a word is trouble."""
    state = events.fold(worker.root)
    earlier = state.workers.get((worker.fields["intent"], worker.fields["index"]), [])
    for event in earlier:
        if event["file"] not in state.exits and event["file"] in state.running:
            kind = "node_failure" if _is_down(event["node"]) else "lost"
            note_lost(worker.root, event, state.running[event["file"]], kind)
    return len(earlier)


def note_lost(root: str, event: Mapping[str, Any], start: Mapping[str, Any], kind: str) -> None:
    """Record that an incarnation of a task is gone, with the cohort that it was training.

    Args:
        root: where events are.
        event: the incarnation's `worker`.
        start: the `start` of the cohort.
        kind: the class of trouble.
    """
    fields = {key: event[key] for key in ("study", "intent", "index", "node")}
    error = f"task {event['job']} on {event['node']} ended without a word"
    what = {"class": kind, "error": error, "fingerprint": kind}
    what |= {"of": event["file"], "at": start["n"], "log": event["log"]}
    events.append(root, "trouble", **fields, **what, uids=start["uids"])


def _is_down(host: str) -> bool:
    if "SLURM_JOB_ID" not in os.environ or host == node():
        return False
    found = subprocess.run(
        ["sinfo", "-h", "-n", host, "-o", "%T"], capture_output=True, text=True, timeout=60
    )
    return any(word in found.stdout for word in ("down", "drain", "fail"))


def node() -> str:
    """The machine, by the scheduler's name for it."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def job() -> str:
    """The scheduler's id of this task; of a process here its own."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    if array:
        return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return os.environ.get("SLURM_JOB_ID", str(os.getpid()))


def _restart() -> int:
    return int(os.environ.get("SLURM_RESTART_COUNT", "0"))


def _log() -> str:
    """Where this task prints."""
    if "SUBMITIT_FOLDER" in os.environ:
        import submitit

        return str(submitit.JobEnvironment().paths.stdout)
    try:
        return os.readlink("/proc/self/fd/1")
    except OSError:  # no Linux
        return ""


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], int(sys.argv[3]), None)
