"""What happened to a sweep's runs and tasks, as append-only events, and what it adds up to.

Under `root`, beside what `kdlab.record` keeps:

    events/<worker>.jsonl            one event a line, appended and synced; one writer a file
    studies/<study>/study.yaml       the study as it was launched, command-line overrides included
    studies/<study>/wandb.jsonl      what was pushed to Weights & Biases
    studies/<study>/plan.parquet     every cell and its run: all that `analysis` reads
    studies/<study>/shards/          the frozen runs of each task
    studies/<study>/STOP             there once a sweep has stopped itself, with the reason
    code/<tree hash>/                the code that tasks run
    logs/<intent>/                   what tasks printed

An intent is one submission: a job array, or a pool of processes here. A task is one of its parts,
and has as many incarnations as it was started. The events:

    intent    what is about to be submitted    submitted  it has a job id    refused  it has none
    worker    a task begins                    exit       it ends by itself
    start     a cohort begins                  end        it is recorded     stopped  it will resume
    trouble   a cohort did not end, and why    retry      trouble that is forgiven, by count
"""

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from kdlab.record import append_line, whole_lines, worker

Event = dict[str, Any]
Task = tuple[str, int]  # an intent and the index in it


@dataclass
class State:
    """All events added up.

    Attributes:
        intents: intent to its event; `job` joins it once it is submitted.
        refused: intents that the scheduler did not take.
        workers: task to the `worker` events of its incarnations, oldest first.
        exits: the files of incarnations that ended by themselves, and why they did.
        running: file to the `start` of a cohort that has not ended.
        trouble: uid to what is held against it, oldest first.
        forgiven: uid to how much trouble was forgiven.
        ends: cohorts that ended well.
    """

    intents: dict[str, Event] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    workers: dict[Task, list[Event]] = field(default_factory=dict)
    exits: dict[str, str] = field(default_factory=dict)
    running: dict[str, Event] = field(default_factory=dict)
    trouble: dict[str, list[Event]] = field(default_factory=dict)
    forgiven: dict[str, int] = field(default_factory=dict)
    ends: list[Event] = field(default_factory=list)


def append(root: str | Path, kind: str, **fields: Any) -> None:
    """Write one event and sync it to disk."""
    event = {"event": kind, "time": round(time.time(), 3), "host": socket.gethostname()} | fields
    append_line(Path(root) / "events" / f"{worker()}.jsonl", event)


def read(root: str | Path) -> Iterator[Event]:
    """Every event under a root, with the `file` it is from; in order within a file."""
    for path in sorted((Path(root) / "events").glob("*.jsonl")):
        yield from _file(path, path.stat().st_size)


@cache
def _file(path: Path, size: int) -> list[Event]:
    # Files only grow, and most have ended: one that is as long as before is not read again.
    return [event | {"file": path.stem} for event in whole_lines(path)]


def fold(root: str | Path) -> State:
    """What the events under a root add up to."""
    state = State()
    for event in sorted(read(root), key=lambda event: event["time"]):
        _add(state, event)
    for uid, count in state.forgiven.items():
        state.trouble[uid] = state.trouble.get(uid, [])[count:]
    return state


def _add(state: State, event: Event) -> None:
    kind, file = event["event"], event["file"]
    if kind in ("intent", "submitted", "refused"):
        _add_submission(state, event)
    elif kind in ("trouble", "retry"):
        _add_trouble(state, event)
    elif kind == "worker":
        state.workers.setdefault((event["intent"], event["index"]), []).append(event)
    elif kind == "exit":
        state.exits[file] = event["why"]
    elif kind == "start":
        state.running[file] = event
    else:  # end, stopped
        state.running.pop(file, None)
        if kind == "end":
            state.ends.append(event)


def _add_submission(state: State, event: Event) -> None:
    if event["event"] == "intent":
        state.intents[event["intent"]] = dict(event)
    elif event["event"] == "submitted":
        state.intents[event["intent"]]["job"] = event["job"]
    else:
        state.refused.add(event["intent"])


def _add_trouble(state: State, event: Event) -> None:
    if event["event"] == "retry":
        for uid, count in event["uids"].items():
            state.forgiven[uid] = max(count, state.forgiven.get(uid, 0))
        return
    # Whoever finds that a task is gone says `of` which incarnation it was.
    state.running.pop(event.get("of") or event["file"], None)
    for uid in event["uids"]:
        state.trouble.setdefault(uid, []).append(event)
