"""What the events say of submissions, brought in line with what the schedulers say.

An intent is written before a submission and its job id after it. A launch that was killed in
between, or that got no answer, left an intent without a job: the next launch, or `cancel`, finds
the job by its name and adopts it.
"""

from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from kdlab.errors import BadInput
from kdlab.storage import locks
from sweeps.journal import events, failures
from sweeps.launchers import contract
from sweeps.leftovers import LAUNCH_LOCK
from sweeps.task.incarnations import record_lost

PATIENCE = 10.0  # seconds for another launch to end
LOCK_MODE = 0o666  # colleagues share a root as far as their umask says
NO_JOB = "no such job"  # why an intent counts as refused although the scheduler refused nothing


def lock(root: str | Path) -> FileLock:
    """Take the lock that whoever submits holds, so that no run is submitted twice.

    Raises:
        BadInput: if another launch holds it.
    """
    launch_lock = locks.lock(root, Path(LAUNCH_LOCK).stem, mode=LOCK_MODE)
    try:
        launch_lock.acquire(timeout=PATIENCE)
    except Timeout:
        raise BadInput(f"another launch is at work under {root}") from None
    return launch_lock


def settle(root: str | Path) -> None:
    """Bring the events up to date: adopt stray jobs, and record tasks that vanished as trouble.

    Raises:
        RuntimeError: if a scheduler does not answer.
    """
    for intent in _adopt(root, events.fold(root)):
        events.append(root, "refused", intent=intent, why=NO_JOB)
    history = events.fold(root)  # with what was adopted just now
    live = contract.live(root, history)
    for task, incarnations in history.workers.items():
        # Earlier incarnations are the business of the last one (`sweeps.task.incarnations`).
        last = incarnations[-1]
        is_gone = task not in live and last["file"] not in history.exits
        if is_gone and last["file"] in history.running:
            kind = failures.class_from_log(Path(last["log"]))
            record_lost(str(root), last, history.running[last["file"]], kind)


def _adopt(root: str | Path, history: events.History) -> list[str]:
    """Write the `submitted` events that are missing; return the intents that have no job.

    A job may appear in the queue after its intent was given up: it is adopted even then.
    """
    without_job: list[str] = []
    for name in contract.open_intents(history):
        strays = {
            intent: event
            for intent, event in history.intents.items()
            if event["launcher"] == name and "job" not in event
            if history.refused.get(intent, NO_JOB) == NO_JOB
        }
        jobs = contract.find(name).adopt(Path(root), list(strays.values())) if strays else {}
        for intent, job in jobs.items():
            print(f"sweeps: adopted job {job} of an earlier launch", flush=True)
            events.append(root, "submitted", intent=intent, job=job)
        without_job += strays.keys() - jobs.keys() - history.refused.keys()
    return without_job


def forgive(root: str | Path, uids: Sequence[str]) -> None:
    """Hold nothing against these runs any more, and nothing against any host."""
    # Events are named one by one, not by a time: clocks differ, and what happens to the runs from
    # now on is not forgiven.
    history = events.fold(root)
    of_runs = (event for uid in uids for event in history.trouble.get(uid, []))
    of_hosts = (event for blame in failures.blamed(history) for event in blame.incidents)
    trouble, hosts = events.numbers_by_file(of_runs), events.numbers_by_file(of_hosts)
    if trouble or hosts:
        events.append(root, "retry", uids=list(uids), trouble=trouble, hosts=hosts)


def cancel(root: str | Path, study: str) -> int:
    """End every task of a study; return how many there were."""
    _adopt(root, events.fold(root))  # a job that no event names would go on
    history = events.fold(root)
    live = contract.live(root, history)
    intents = {task[0] for task in live if history.intents[task[0]]["study"] == study}
    for intent in sorted(intents):
        event = history.intents[intent]
        contract.find(event["launcher"]).cancel(Path(root), event)
    return sum(1 for task in live if task[0] in intents)
