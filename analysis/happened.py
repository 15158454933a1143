"""What events say of single runs: what is held against them, and where their tasks' logs are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdlab.record import whole_lines

Event = dict[str, Any]


@dataclass
class Happened:
    """Of one run.

    Attributes:
        trouble: events of what went wrong, oldest first; `forgiven` of them no longer count.
        logs: files to which its tasks printed, oldest first.
        began: the last start of a cohort with it that has no end; None if there is none.
    """

    trouble: list[Event] = field(default_factory=list)
    forgiven: int = 0
    logs: list[str] = field(default_factory=list)
    began: Event | None = None


def happened(root: str, uids: Sequence[str]) -> dict[str, Happened]:
    """What happened to each of some runs, in the order of time."""
    found = {uid: Happened() for uid in uids}
    tasks: dict[tuple[str, int], list[str]] = {}  # an intent and the index in it, to its runs
    for event in sorted(_events(root), key=lambda event: event["time"]):
        if event["event"] == "intent":
            tasks |= {(event["intent"], n): given for n, given in enumerate(event["uids"])}
        elif event["event"] == "worker":
            for uid in tasks.get((event["intent"], event["index"]), []):
                if uid in found and event["log"] not in found[uid].logs:
                    found[uid].logs.append(event["log"])
        elif event["event"] == "retry":
            for uid in found.keys() & event["uids"].keys():
                found[uid].forgiven = max(found[uid].forgiven, event["uids"][uid])
        else:
            _add(found, event)
    return found


def _add(found: dict[str, Happened], event: Event) -> None:
    """A cohort's start, its end, or its trouble."""
    for uid in found.keys() & set(event.get("uids", ())):
        found[uid].began = event if event["event"] == "start" else None
        if event["event"] == "trouble":
            found[uid].trouble.append(event)


def _events(root: str) -> Iterator[Event]:
    for path in sorted((Path(root) / "events").glob("*.jsonl")):
        yield from whole_lines(path)
