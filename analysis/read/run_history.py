"""What events say of single runs: what went wrong with them, and where their tasks' logs are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sweeps.journal import events

Event = dict[str, Any]


@dataclass
class RunHistory:
    """What happened to one run.

    Attributes:
        forgiven: events of what went wrong and is held against it no more, oldest first.
        trouble: events of what went wrong since, oldest first.
        logs: files to which its tasks printed, oldest first.
        began: the start of a cohort with it that has no end; None if there is none.
    """

    forgiven: list[Event] = field(default_factory=list)
    trouble: list[Event] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    began: Event | None = None


def histories(root: str, uids: Sequence[str]) -> dict[str, RunHistory]:
    """By uid what happened to each of some runs under a root."""
    state = events.fold(root)
    by_uid = {
        uid: RunHistory(state.forgiven.get(uid, []), state.trouble.get(uid, [])) for uid in uids
    }
    workers = [event for incarnations in state.workers.values() for event in incarnations]
    for event in sorted(workers, key=lambda event: event["time"]):
        # A worker does the runs that a submission meant for its index of the job array.
        tasks = state.intents.get(event["intent"], {}).get("uids", [])
        # An intent may be missing from the events: then the runs of its worker are not known.
        task_uids = tasks[event["index"]] if event["index"] < len(tasks) else []
        for uid in by_uid.keys() & set(task_uids):
            # A requeued task goes on in the log that it had.
            if event["log"] and event["log"] not in by_uid[uid].logs:
                by_uid[uid].logs.append(event["log"])
    for event in state.running.values():
        for uid in by_uid.keys() & set(event["uids"]):
            by_uid[uid].began = event
    return by_uid
