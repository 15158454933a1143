"""What happened to a sweep's runs and tasks: append-only events, and what they add up to.

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

An *intent* is one submission: a job array, or a pool of processes on this machine. It is written
before the scheduler is called, so that a launch that dies in between leaves a trace. A *task* is
one element of the array, and has one *incarnation* for each time that it was started (SLURM
requeues tasks). The kinds of events, and what each says:

    intent     a submission is about to be made
    submitted  the scheduler took it, with this job id
    refused    the scheduler did not take it
    worker     an incarnation of a task begins
    exit       an incarnation ends by itself
    start      a cohort of runs begins
    end        the cohort's runs are recorded
    stopped    the cohort was saved and will go on later
    trouble    the cohort did not end, and why
    retry      earlier trouble is forgiven; it is named by file and number

Clocks differ between machines and are set back, so that what events add up to does not depend on
their times. Events of one file are in order; between files, each event names what it is about: the
intent, the task, the incarnation (by its `file`) and the number `n` of another event in that file.
Times only order what people read.
"""

import itertools
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, create_model

from kdlab.storage.durable import append_line, worker
from sweeps.journal import event_files

Event = dict[str, Any]
TaskId = tuple[str, int]  # an intent, and the index of a task in it
EventId = tuple[str, int]  # the file of an event, and its number `n` there
EventNumbers = dict[str, list[int]]  # events by file, as a `retry` names them

ASKED_TO_STOP = "asked to stop"  # the `why` of an `exit` after which SLURM may start a task again

Uids = list[str]
Count = Annotated[int, Field(ge=0)]
_TASK: dict[str, Any] = {"study": (str, ""), "intent": (str, ""), "index": (Count, 0)}
# A level is the number of generations of parents before a run.
_COHORT: dict[str, Any] = {**_TASK, "node": (str, ""), "uids": Uids, "level": (int, 0)}
# The fields of each kind of event: a type, or a type and a default where the event may lack it.
FIELDS: dict[str, dict[str, Any]] = {
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
    "retry": {"uids": Uids, "trouble": (EventNumbers, {}), "hosts": (EventNumbers, {})},
}  # fmt: skip
_EVERY_EVENT: dict[str, Any] = {"time": FiniteFloat, "host": (str, ""), "file": str, "n": int}


def _model(kind: str) -> type[BaseModel]:
    """The pydantic model of a kind of event; further keys are allowed and kept."""
    fields: dict[str, Any] = {
        name: spec if isinstance(spec, tuple) else (spec, ...)
        for name, spec in (_EVERY_EVENT | FIELDS[kind]).items()
    }
    return create_model(kind, __config__=ConfigDict(strict=True, extra="allow"), **fields)


_MODELS = {kind: _model(kind) for kind in FIELDS}
_event_numbers = itertools.count()


@dataclass
class History:
    """All events under a root, added up.

    Attributes:
        intents: by intent its event; with the key `job` once it is submitted.
        refused: intents that the scheduler did not take, and why.
        workers: by task the `worker` events of its incarnations, oldest first.
        exits: by file of an incarnation that ended by itself, why it did.
        running: by file of an incarnation the `start` of its cohort that has not ended.
        trouble: by uid the events that are held against a run, oldest first.
        forgiven: by uid the events that were held against it before a `retry`, oldest first.
        pardoned: events that are held against their host no more.
        ends: the `end` events: cohorts whose runs are recorded.
        skipped: lines that are no valid event: file, line and why.
    """

    intents: dict[str, Event] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    workers: dict[TaskId, list[Event]] = field(default_factory=dict)
    exits: dict[str, str] = field(default_factory=dict)
    running: dict[str, Event] = field(default_factory=dict)
    trouble: dict[str, list[Event]] = field(default_factory=dict)
    forgiven: dict[str, list[Event]] = field(default_factory=dict)
    pardoned: set[EventId] = field(default_factory=set)
    ends: list[Event] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def append(root: str | Path, kind: str, **fields: Any) -> None:
    """Write one event to this process's own file, and sync it to disk."""
    # A file of its own: over NFS the appends of two machines to one file overwrite each other.
    name = worker()
    event = {"event": kind, "time": round(time.time(), 3), "host": socket.gethostname()}
    event |= {"file": name, "n": next(_event_numbers)} | fields
    append_line(Path(root) / "events" / f"{name}.jsonl", event)


def read(root: str | Path) -> Iterator[Event]:
    """Yield every valid event under a root; in order within a file."""
    for journal in event_files.read(Path(root) / "events", _checked):
        yield from journal.events


def _checked(line: Event, path: Path, number: int) -> Event:
    """The event that a line holds, with the defaults of what it lacks.

    Raises:
        ValueError: it is not a valid event.
    """
    kind = line.get("event")
    if not isinstance(kind, str) or kind not in FIELDS:
        raise ValueError("no event of a known kind")
    # A line without a number gets a negative one, which no event of `append` has.
    fields = {"file": path.stem, "n": -number, **line}
    try:
        event = _MODELS[kind].model_validate(fields).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{kind}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if kind == "intent" and len(event["shards"]) != len(event["uids"]):
        raise ValueError("intent: not as many shards as tasks")
    return event


def fold(root: str | Path) -> History:
    """Add up the events under a root.

    `sweeps.journal.run_states` says what state a run is in by them, and `sweeps.journal.failures`
    which trouble fails a run.
    """
    journals = event_files.read(Path(root) / "events", _checked)
    history = History(skipped=[line for journal in journals for line in journal.skipped])
    by_kind: dict[str, list[Event]] = {kind: [] for kind in FIELDS}
    ids: set[EventId] = set()
    distinct = []
    for event in (event for journal in journals for event in journal.events):
        # A copied file must not count twice: three crashes fail a run that one does not.
        if event_id(event) in ids:
            history.skipped.append(
                f"events/{event['file']}.jsonl: event {event['n']} is there twice"
            )
            continue
        ids.add(event_id(event))
        distinct.append(event)
        by_kind[event["event"]].append(event)
    _add_submissions(history, by_kind)
    for event in by_kind["worker"]:
        history.workers.setdefault((event["intent"], event["index"]), []).append(event)
    for incarnations in history.workers.values():
        # The scheduler counts its restarts, and an incarnation notes how many came before it:
        # both are safer than the clocks of two machines.
        incarnations.sort(key=lambda e: (e["restart"], e["before"], e["time"], e["file"]))
    history.exits = {event["file"]: event["why"] for event in by_kind["exit"]}
    history.running = _running(distinct)
    history.ends = by_kind["end"]
    _add_trouble(history, by_kind["trouble"], by_kind["retry"])
    return history


def event_id(event: Event) -> EventId:
    """What names an event: its file, and its number there."""
    return event["file"], event["n"]


def _add_submissions(history: History, by_kind: dict[str, list[Event]]) -> None:
    """Fill `intents` and `refused`."""
    # Copies, as a job is put into them, and the events themselves are kept for the next fold.
    for event in by_kind["intent"]:
        history.intents.setdefault(event["intent"], dict(event))
    for event in by_kind["submitted"]:
        if event["intent"] in history.intents:
            # `cancel` and a launch may both adopt a job: the second event adds nothing.
            history.intents[event["intent"]].setdefault("job", event["job"])
        else:
            history.skipped.append(f"events/{event['file']}.jsonl: job {event['job']} of no intent")
    for event in by_kind["refused"]:
        # A launch may have given an intent up whose job appeared in the queue later.
        if "job" not in history.intents.get(event["intent"], ()):
            history.refused[event["intent"]] = event["why"]


def _running(distinct: Iterable[Event]) -> dict[str, Event]:
    """By file the `start` of cohorts that have not ended; each file's events come in order."""
    running: dict[str, Event] = {}
    reported_dead = []
    for event in distinct:
        if event["event"] == "start":
            running[event["file"]] = event
        elif event["event"] == "trouble" and event["of"] is not None:
            # Written by another process, about the incarnation `of` in its cohort `at`.
            reported_dead.append((event["of"], event["at"]))
        elif event["event"] in ("end", "stopped", "trouble"):
            running.pop(event["file"], None)
    # At the end, as the reporter's file may come before that of the dead. Another cohort than the
    # reported one is at work: SLURM had started the task again under the same name.
    for file, start in reported_dead:
        if file in running and start in (None, running[file]["n"]):
            del running[file]
    return running


def _add_trouble(history: History, trouble: list[Event], retries: list[Event]) -> None:
    """Fill `trouble`, `forgiven` and `pardoned`."""
    forgiven_uids: dict[EventId, set[str]] = {}
    for event in retries:
        for file, numbers in event["trouble"].items():
            for number in numbers:
                forgiven_uids.setdefault((file, number), set()).update(event["uids"])
    history.pardoned = {
        (file, n) for event in retries for file, numbers in event["hosts"].items() for n in numbers
    }
    for event in sorted(trouble, key=lambda event: event["time"]):
        for uid in dict.fromkeys(event["uids"]):
            # A cohort's trouble is forgiven run by run: `retry --uid` names some of them.
            is_forgiven = uid in forgiven_uids.get(event_id(event), ())
            by_uid = history.forgiven if is_forgiven else history.trouble
            by_uid.setdefault(uid, []).append(event)


def numbers_by_file(events: Iterable[Event]) -> EventNumbers:
    """Events in the form in which a `retry` names them."""
    numbers: dict[str, set[int]] = {}
    for file, number in map(event_id, events):
        numbers.setdefault(file, set()).add(number)
    return {file: sorted(of_file) for file, of_file in numbers.items()}
