"""Where every run of a study stands, by its record, its events and the queue."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from kdlab.errors import BadInput
from kdlab.storage.ledger import Entry
from sweeps.journal import failures
from sweeps.journal.events import Event, History, TaskId

DONE, DIVERGED = "done", "diverged"  # a record's own words
FAILED, RUNNING, QUEUED, WAITING = "failed", "running", "queued", "to run"
STATES = (DONE, DIVERGED, FAILED, RUNNING, QUEUED, WAITING)
# Such a name is always one folder in `studies`: it has no slash, and begins with no dot or dash.
STUDY_NAME = re.compile(r"\w[\w .,+=@()-]*")


def states(
    parents: Mapping[str, Sequence[str]],
    done: Mapping[str, Entry],
    history: History,
    live: Mapping[TaskId, str],
) -> dict[str, str]:
    """The state of each run, one of `STATES`.

    A record counts before anything else, then a failure, then what the queue says.

    Args:
        parents: each run, with the uids of its parents, which are runs of the mapping too.
        done: the index of the records.
        history: all events.
        live: the tasks that a scheduler knows of.
    """
    queued = {uid for intent, task in live for uid in history.intents[intent]["uids"][task]}
    # A `start` without an `end` is no proof, as a killed task writes nothing more: the queue must
    # still have the task.
    running = {
        uid
        for task in live
        for event in history.workers.get(task, [])
        if event["file"] in history.running and event["file"] not in history.exits
        for uid in history.running[event["file"]]["uids"]
    }
    failures_by_uid = failures.failed_by(history)

    @cache  # thousands of children ask about one teacher
    def is_failed(uid: str) -> bool:
        """Whether it has no record, and failed itself or has a parent that is failed."""
        event = failures_by_uid.get(uid)
        stands = event is not None and not _is_over(event, parents[uid], done)
        return uid not in done and (stands or any(map(is_failed, parents[uid])))

    by_uid = {}
    for uid in parents:
        if uid in done:
            by_uid[uid] = done[uid].status
        elif is_failed(uid):
            by_uid[uid] = FAILED
        else:
            by_uid[uid] = RUNNING if uid in running else QUEUED if uid in queued else WAITING
    return by_uid


def _is_over(failure: Event, parents: Sequence[str], done: Mapping[str, Entry]) -> bool:
    """Whether a run failed only because a parent had failed, and all its parents are done now."""
    are_done = all(parent in done and done[parent].status == DONE for parent in parents)
    return failure["class"] == "parent_failed" and bool(parents) and are_done


def why_failed(states: Mapping[str, str], history: History) -> dict[str, Event | None]:
    """By uid of every run in state `FAILED` the event that failed it; None if a parent's did."""
    events = failures.failed_by(history)
    return {uid: events.get(uid) for uid, state in states.items() if state == FAILED}


def study_folder(root: str | Path, study: str) -> Path:
    """Where a study's own files lie.

    Raises:
        BadInput: a name that a folder there must not have.
    """
    check_name(study)
    return Path(root) / "studies" / study


def check_name(study: str) -> None:
    """Refuse a study's name that is no name of a folder.

    Raises:
        BadInput: naming the characters that are allowed.
    """
    if not STUDY_NAME.fullmatch(study):
        raise BadInput(f"study {study!r}: a name has letters, digits and any of _ . , + = @ ( ) -")
