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
    queue.json                       the last answer of squeue

An intent is one submission: a job array, or a pool of processes here. A task is one of its parts,
and has as many incarnations as it was started. The events:

    intent    what is about to be submitted    submitted  it has a job id    refused  it has none
    worker    a task begins                    exit       it ends by itself
    start     a cohort begins                  end        it is recorded     stopped  it will resume
    trouble   a cohort did not end, and why    retry      trouble that is forgiven, by its number

Clocks differ between machines and are set back, so that what events add up to does not depend on
their times. Those of one file follow each other; of different files each names what it is about:
the intent, the task, the incarnation (its `file`) and the number `n` of another event in it. Times
order what people read.

A line that is no event is passed over, and listed in `State.odd`.
"""

import itertools
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, create_model

from kdlab.record import append_line, worker
from sweeps.journal import event_files

Event = dict[str, Any]
Task = tuple[str, int]  # an intent and the index in it
Trouble = dict[str, list[int]]  # the file of each event of trouble, and its numbers in it

Uids = list[str]
Count = Annotated[int, Field(ge=0)]
_TASK: dict[str, Any] = {"study": (str, ""), "intent": (str, ""), "index": (Count, 0)}
_COHORT: dict[str, Any] = {**_TASK, "node": (str, ""), "uids": Uids, "level": (int, 0)}
# What each kind of event says: a type, with a default where the event may lack it.
KINDS: dict[str, dict[str, Any]] = {
    "intent": {
        "intent": str, "study": str, "launcher": str, "shards": list[str], "uids": list[Uids],
        "level": (int, 0), "minutes": (float | None, None), "user": (str, ""),
    },
    "submitted": {"intent": str, "job": str},
    "refused": {"intent": str, "why": (str, "")},
    "worker": {
        **_TASK, "intent": str, "index": Count, "node": (str, ""), "job": (str, ""),
        "log": (str, ""), "restart": (int, 0), "before": (int, 0), "pid": (int, 0),
    },
    "exit": {**_TASK, "why": str},
    "start": _COHORT,
    "end": _COHORT,
    "stopped": _COHORT,
    "trouble": {
        **_COHORT, "class": str, "error": (str, ""), "fingerprint": (str, ""), "log": (str, ""),
        "of": (str | None, None), "at": (int | None, None),
    },
    "retry": {"uids": Uids, "trouble": (Trouble, {}), "hosts": (Trouble, {})},
}  # fmt: skip
_EACH: dict[str, Any] = {"time": FiniteFloat, "host": (str, ""), "file": str, "n": int}


def _model(kind: str) -> type[BaseModel]:
    fields: dict[str, Any] = {
        name: said if isinstance(said, tuple) else (said, ...)
        for name, said in (_EACH | KINDS[kind]).items()
    }
    return create_model(kind, __config__=ConfigDict(strict=True, extra="allow"), **fields)


_MODELS = {kind: _model(kind) for kind in KINDS}
_DEFAULTS = {
    kind: {name: said[1] for name, said in fields.items() if isinstance(said, tuple)}
    for kind, fields in KINDS.items()
}
_numbers = itertools.count()


@dataclass
class State:
    """All events added up.

    Attributes:
        intents: intent to its event; `job` joins it once it is submitted.
        refused: intents that the scheduler did not take, and why.
        workers: task to the `worker` events of its incarnations, oldest first.
        exits: the files of incarnations that ended by themselves, and why they did.
        running: file to the `start` of a cohort that has not ended.
        trouble: uid to what is held against it, oldest first.
        forgiven: uid to trouble that is held against it no more, oldest first.
        pardoned: trouble that is held against its host no more, by file and number.
        ends: cohorts that ended well.
        odd: lines that were passed over: file, line and why.
    """

    intents: dict[str, Event] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    workers: dict[Task, list[Event]] = field(default_factory=dict)
    exits: dict[str, str] = field(default_factory=dict)
    running: dict[str, Event] = field(default_factory=dict)
    trouble: dict[str, list[Event]] = field(default_factory=dict)
    forgiven: dict[str, list[Event]] = field(default_factory=dict)
    pardoned: set[tuple[str, int]] = field(default_factory=set)
    ends: list[Event] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)


def append(root: str | Path, kind: str, **fields: Any) -> None:
    """Write one event and sync it to disk."""
    name = worker()
    event = {"event": kind, "time": round(time.time(), 3), "host": socket.gethostname()}
    event |= {"file": name, "n": next(_numbers)} | fields
    append_line(Path(root) / "events" / f"{name}.jsonl", event)


def read(root: str | Path) -> Iterator[Event]:
    """Every event under a root, with the `file` it is from; in order within a file."""
    for found in event_files.read(Path(root) / "events", _checked):
        yield from found.pages


def _checked(page: Event, path: Path, line: int) -> Event:
    """An event with all that its kind says.

    Raises:
        ValueError: it is none.
    """
    kind = page.get("event")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError("no event of a known kind")
    # A line that somebody else wrote is known by its place.
    event = {"file": path.stem, "n": -line, **_DEFAULTS[kind], **page}
    try:
        _MODELS[kind].model_validate(event)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{kind}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if kind == "intent" and len(event["shards"]) != len(event["uids"]):
        raise ValueError("intent: not as many shards as tasks")
    return event


def fold(root: str | Path) -> State:
    """What the events under a root add up to."""
    journals = event_files.read(Path(root) / "events", _checked)
    state = State(odd=[line for found in journals for line in found.odd])
    told: dict[str, list[Event]] = {kind: [] for kind in KINDS}
    known: set[tuple[str, int]] = set()
    kept = []
    for event in (event for found in journals for event in found.pages):
        if identity(event) in known:
            state.odd.append(f"events/{event['file']}.jsonl: event {event['n']} is there twice")
            continue
        known.add(identity(event))
        kept.append(event)
        told[event["event"]].append(event)
    _add_submissions(state, told)
    for event in told["worker"]:
        state.workers.setdefault((event["intent"], event["index"]), []).append(event)
    for incarnations in state.workers.values():
        # An incarnation notes how many it found before it; the scheduler counts its restarts.
        incarnations.sort(key=lambda e: (e["restart"], e["before"], e["time"], e["file"]))
    state.exits = {event["file"]: event["why"] for event in told["exit"]}
    state.running = _running(kept)
    state.ends = told["end"]
    _add_trouble(state, told["trouble"], told["retry"])
    return state


def identity(event: Event) -> tuple[str, int]:
    """What an event is named by: its file, and its number there."""
    return event["file"], event["n"]


def _add_submissions(state: State, told: dict[str, list[Event]]) -> None:
    for event in told["intent"]:
        state.intents.setdefault(event["intent"], dict(event))
    for event in told["submitted"]:
        if event["intent"] in state.intents:
            state.intents[event["intent"]].setdefault("job", event["job"])
        else:
            state.odd.append(f"events/{event['file']}.jsonl: job {event['job']} of no intent")
    for event in told["refused"]:
        # A job that was found is there, whatever was thought before.
        if "job" not in state.intents.get(event["intent"], ()):
            state.refused[event["intent"]] = event["why"]


def _running(kept: Iterable[Event]) -> dict[str, Event]:
    """The cohorts that have begun and not ended, by file; each file's events in their order."""
    running: dict[str, Event] = {}
    gone = []
    for event in kept:
        if event["event"] == "start":
            running[event["file"]] = event
        elif event["event"] == "trouble" and event["of"] is not None:
            gone.append((event["of"], event["at"]))
        elif event["event"] in ("end", "stopped", "trouble"):
            running.pop(event["file"], None)
    for file, start in gone:  # whoever finds a task gone says which incarnation, in which cohort
        if file in running and start in (None, running[file]["n"]):
            del running[file]
    return running


def _add_trouble(state: State, trouble: list[Event], retries: list[Event]) -> None:
    forgiven: dict[tuple[str, int], set[str]] = {}
    for event in retries:
        for file, numbers in event["trouble"].items():
            for number in numbers:
                forgiven.setdefault((file, number), set()).update(event["uids"])
    state.pardoned = {
        (file, n) for event in retries for file, numbers in event["hosts"].items() for n in numbers
    }
    for event in sorted(trouble, key=lambda event: event["time"]):
        for uid in dict.fromkeys(event["uids"]):
            is_forgiven = uid in forgiven.get(identity(event), ())
            held = state.forgiven if is_forgiven else state.trouble
            held.setdefault(uid, []).append(event)


def numbers(events: Iterable[Event]) -> Trouble:
    """Events as a `retry` names them."""
    found: dict[str, set[int]] = {}
    for file, number in map(identity, events):
        found.setdefault(file, set()).add(number)
    return {file: sorted(those) for file, those in found.items()}
