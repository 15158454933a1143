"""Incarnations of a task that ended without an `exit` event: killed, or gone with their node."""

from collections.abc import Mapping
from typing import Any

from sweeps.journal import events
from sweeps.task import allocation


def record_predecessors(root: str, intent: str, index: int) -> int:
    """Record as trouble the earlier incarnations of this task that died in a cohort.

    Returns:
        How many earlier incarnations there were.
    """
    history = events.fold(root)
    earlier = history.workers.get((intent, index), [])
    for event in earlier:
        if event["file"] not in history.exits and event["file"] in history.running:
            # If its node is up, the task was killed by a limit or a person: `lost` fails no run.
            kind = "node_failure" if allocation.is_down(event["node"]) else "lost"
            record_lost(root, event, history.running[event["file"]], kind)
    return len(earlier)


def record_lost(root: str, worker: Mapping[str, Any], start: Mapping[str, Any], kind: str) -> None:
    """Record that an incarnation died, with the cohort that it was training.

    Args:
        root: where events are.
        worker: the incarnation's `worker` event.
        start: the `start` event of the cohort.
        kind: the class of trouble.
    """
    fields = {key: worker[key] for key in ("study", "intent", "index", "node")}
    error = f"task {worker['job']} on {worker['node']} ended without a word"
    trouble = {"class": kind, "error": error, "fingerprint": kind}
    trouble |= {"of": worker["file"], "at": start["n"], "log": worker["log"]}
    events.append(root, "trouble", **fields, **trouble, uids=start["uids"])
