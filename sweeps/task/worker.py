"""One task: the cohorts of a shard, one after the other, whatever happens to them.

The worker loads no torch. Cohorts train in a child process, so that a run that takes its process
with it leaves the rest of the shard to be done.
"""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kdlab.data import test_splits
from kdlab.errors import BadInput
from kdlab.models import saved_files
from kdlab.storage import ledger
from kdlab.storage.durable import Damaged
from sweeps.journal import events, failures
from sweeps.journal.run_states import DIVERGED
from sweeps.task import allocation, code_check, incarnations, shards
from sweeps.task.trainer_process import STOPPED, TRAINED, TrainerProcess

SPARES_PROCESS = {"code_error", "io_error"}  # classes after which the process is as good as new
ENDS_TASK = {"node_failure", "disk_full"}  # classes that the next cohort would meet too


@dataclass
class Worker:
    """A task at work.

    Attributes:
        shard: what the task has to do.
        trainer: the process that trains it.
        queue: the cohorts that are left, as uids.
        fields: what each event says of the task.
        began: by the monotonic clock.
        minutes: the scheduler's time limit; None without one.
        signals: those received that ask the task to end.
        must_leave: the task ends because of the machine that it is on.
    """

    shard: shards.Shard
    trainer: TrainerProcess
    queue: deque[list[str]]
    fields: Mapping[str, Any]
    began: float
    minutes: float | None
    signals: list[int] = field(default_factory=list)
    must_leave: bool = False

    @property
    def root(self) -> str:
        """Where records and events are."""
        return self.shard.execution.root


def work(path: str, intent: str, index: int, minutes: float | None) -> None:
    """Train the runs of a shard, until all are done or the task has to end.

    Args:
        path: the shard's file.
        intent, index: the task that this is.
        minutes: the scheduler's time limit, None without one.
    """
    try:
        code_check.check()
        shard = shards.read(path)
    except (BadInput, Damaged) as error:  # the next launch writes it anew
        print(f"kdlab: {error}", flush=True)
        return
    fields = {"study": shard.study, "intent": intent, "index": index, "node": allocation.node()}
    cohorts, began = deque(shard.cohorts), time.monotonic()
    worker = Worker(shard, TrainerProcess(path), cohorts, fields, began, minutes)
    # A handler only takes note: it may have interrupted an event that is half written.
    for number in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, lambda received, _: worker.signals.append(received))
    why = events.ASKED_TO_STOP
    try:
        why = _run_task(worker)
        print(f"kdlab: {why}", flush=True)
    except OSError as error:
        if failures.classify(error) != "disk_full":
            raise
        print("kdlab: the disk is full; what is not recorded stays to be done", flush=True)
    # After the `exit` event: the next incarnation may start at once, and would take this one for
    # dead. SIGTERM alone is `scancel`, or a preemption after which SLURM requeues by itself.
    if why == events.ASKED_TO_STOP and signal.SIGUSR2 in worker.signals:
        allocation.requeue()  # a time limit or a preemption: the same task goes on later


def _run_task(worker: Worker) -> str:
    """Train the cohorts between the task's first event and its last; return why it ended."""
    # Before this incarnation's own event, or it would be among its predecessors.
    before = incarnations.record_predecessors(
        worker.root, worker.fields["intent"], worker.fields["index"]
    )
    process = {"job": allocation.job(), "restart": allocation.restarts(), "pid": os.getpid()}
    log = allocation.log()
    events.append(worker.root, "worker", **worker.fields, **process, log=log, before=before)
    try:
        why = _train_cohorts(worker)
    finally:
        worker.trainer.stop()
    events.append(worker.root, "exit", **worker.fields, why=why)
    return why


def _train_cohorts(worker: Worker) -> str:
    """Train what is to be done; return why it ended."""
    while worker.queue:
        if worker.signals:
            return events.ASKED_TO_STOP
        if worker.must_leave:
            return "not on this machine"
        if stop := failures.stopped(worker.root, worker.shard.study):
            return f"the sweep has stopped: {stop['why']}"
        uids = _ready(worker, worker.queue.popleft())
        if uids:
            _attempt(worker, uids)
    return "all done"


def _ready(worker: Worker, uids: list[str]) -> list[str]:
    """Those of a cohort that can train now.

    Runs that need no training are dropped. Where a parent's model is missing, the parent takes the
    cohort's place and the cohort waits behind it; the children of a parent that failed or diverged
    get trouble of their own. Runs that must be alone are put into the queue one by one.
    """
    done = ledger.index(worker.root)
    history = events.fold(worker.root)
    unpredicted = _unpredicted(worker, [uid for uid in uids if uid in done])
    uids = [uid for uid in uids if uid in unpredicted or _is_due(worker, uid, done, history)]
    # A saved model predicts test splits by itself, without its parents.
    trained = [uid for uid in uids if uid not in unpredicted or not _has_whole_model(worker, uid)]
    needed = dict.fromkeys(parent for uid in trained for parent in worker.shard.parents(uid))
    for parent in (uid for uid in needed if not _has_whole_model(worker, uid)):
        failure = failures.failure(history.trouble.get(parent, []))
        diverged = parent in done and done[parent].status == DIVERGED
        if failure or diverged:
            children = [uid for uid in uids if parent in worker.shard.parents(uid)]
            _fail_children(worker, children, parent, failure)
            uids = [uid for uid in uids if uid not in children]
        elif any(parent in worker.shard.parents(uid) for uid in uids):
            # The parent's own task did not train it: it is done here, once for all who need it.
            worker.queue.appendleft(uids)
            return _ready(worker, [parent])
    alone = [uid for uid in uids if failures.must_be_alone(history.trouble.get(uid, []))]
    if alone and len(uids) > 1:
        worker.queue.extendleft([uid] for uid in reversed(alone))  # extendleft reverses
        uids = [uid for uid in uids if uid not in alone]
    return uids


def _unpredicted(worker: Worker, uids: list[str]) -> set[str]:
    """Those of the recorded runs that shall have test outputs and lack them."""
    runs = [worker.shard.run(uid) for uid in uids if uid in worker.shard.predict]
    return test_splits.lacking(runs, worker.root) if runs else set()


def _is_due(worker: Worker, uid: str, done: Mapping[str, Any], history: events.History) -> bool:
    """Whether a run is to be trained: for its record, its model, or because it is repeated."""
    if failures.failure(history.trouble.get(uid, [])):
        return False
    if uid in worker.shard.again or uid not in done:
        return True
    lacks_model = uid in worker.shard.save and not _has_whole_model(worker, uid)
    return lacks_model and done[uid].status != DIVERGED


def _has_whole_model(worker: Worker, uid: str) -> bool:
    """Whether a run's model can be used: its files are read and compared with their digests.

    A plan only looks for the folder (`sweeps.plan.survey`): what it took for a model may turn out
    to be damaged here.
    """
    return saved_files.is_whole(worker.root, uid)


def _fail_children(
    worker: Worker, children: list[str], parent: str, failure: Mapping[str, Any] | None
) -> None:
    why = f"{failure['class']}, {failure['error']}" if failure else "it diverged"
    for uid in children:
        trouble = {"class": "parent_failed", "error": f"parent {parent} failed: {why}"}
        _record(worker, "trouble", [uid], **trouble, fingerprint="parent", parent=parent)


def _attempt(worker: Worker, uids: list[str]) -> None:
    """Train a cohort once, record how it ended, and draw the consequence."""
    # Written before the work begins: if the whole task is killed, the next incarnation or launch
    # still knows which runs it was training.
    _record(worker, "start", uids)
    began = time.monotonic()
    worker.trainer.start(uids)
    answer = None
    while answer is None:
        if worker.signals:
            worker.trainer.stop()
            answer = {"class": STOPPED}
        else:
            answer = worker.trainer.answer(0.5)
    if answer["class"] == TRAINED:
        _record(worker, "end", uids, seconds=round(time.monotonic() - began, 3))
    elif worker.signals:
        worker.queue.appendleft(uids)  # whoever takes the task up again goes on with it
        _record(worker, "stopped", uids, why=_why_signalled(worker))
    else:
        _handle_trouble(worker, uids, answer)


def _record(worker: Worker, kind: str, uids: list[str], **more: Any) -> None:
    """Write an event about a cohort."""
    level = max(worker.shard.depth(uid) for uid in uids)
    events.append(worker.root, kind, **worker.fields, uids=uids, level=level, **more)


def _handle_trouble(worker: Worker, uids: list[str], answer: Mapping[str, Any]) -> None:
    """Record a cohort's trouble, and put those of its runs back that have not failed by it."""
    print(answer.get("traceback", answer["error"]), file=sys.stderr, flush=True)
    if answer["class"] not in SPARES_PROCESS:
        worker.trainer.stop()  # a new process for the next cohort
    worker.must_leave = answer["class"] in ENDS_TASK
    try:
        _record(worker, "trouble", uids, **answer, log=allocation.log())
    except OSError:  # the disk is full: no event can be written
        worker.must_leave = True
        return
    # Trouble is added up over all tasks: another task may have met this run's last try meanwhile.
    history = events.fold(worker.root)
    due = [uid for uid in uids if not failures.failure(history.trouble.get(uid, []))]
    if due and not worker.must_leave:
        worker.queue.appendleft(due)
        trouble = (event for uid in due for event in history.trouble.get(uid, []))
        _pause(worker, failures.pause(trouble) if answer["class"] == "io_error" else 0.0)
    failures.stop_if_hopeless(worker.root, history, worker.shard.study)


def _pause(worker: Worker, seconds: float) -> None:
    """Leave a file system time to come back; a signal ends the wait."""
    end = time.monotonic() + seconds
    while not worker.signals and (remaining := end - time.monotonic()) > 0:
        time.sleep(min(remaining, 0.5))


def _why_signalled(worker: Worker) -> str:
    """Guess, for people who read events, why a signal came: nothing depends on it."""
    if signal.SIGUSR2 not in worker.signals:
        return "preempted, requeued or cancelled"
    # SIGUSR2 comes before the time limit, and before a preemption where the cluster's
    # PreemptParameters have `send_user_signal`.
    spent = (time.monotonic() - worker.began) / 60
    return "time limit" if worker.minutes and spent > 0.5 * worker.minutes else "preempted"


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], int(sys.argv[3]), None)
