"""The part of a study's frame that comes from records and events: a flat row for each run.

Per-example outputs are not read.
"""

import json
from collections.abc import Iterator, Mapping, Set
from typing import Any

import pandas as pd

from kdlab.record import Record
from kdlab.storage import ledger, repeats
from kdlab.storage.example_outputs import kept
from kdlab.storage.ledger import Entry
from sweeps.journal import events, run_states
from sweeps.study import launched

Row = dict[str, Any]
SEP = "/"  # between split and metric in a column's name: report/accuracy
CHOICE = "choice" + SEP  # before a group's name in a row: a task of that name is a column already
COUNTS = ("steps", "examples_seen")
NUMBERS = ("flops", "latency", "seconds", "teacher_seconds", "cohort", "peak_memory", "threads")
WORDS = ("commit", "host", "device", "torch")
# By key of a cost's parameters the column of the frame.
PARAMETERS = {"embeddings": "embeddings", "transformer": "transformer", "total": "parameters"}


def rows(root: str, uids: Set[str]) -> Iterator[Row]:
    """One row for each of the runs that has a record.

    Of a run that was recorded several times `copies` counts the records, and `repeats` is the worst
    that two of them are to each other (`kdlab.storage.repeats`).
    """
    by_uid: dict[str, Row] = {}
    for content, path, start, end in ledger.pages(root):
        if content["uid"] not in uids:  # a root holds the runs of many studies
            continue
        row = _row(content, path.name, start, end)
        first = by_uid.setdefault(content["uid"], row)
        if first is not row:
            by_uid[content["uid"]] = _better(root, first, row, content)
    yield from by_uid.values()


def _better(root: str, first: Row, row: Row, content: Row) -> Row:
    """The row of a run's better record: that with outputs of more splits, of equals the first."""
    earlier, later = ledger.read(root, entry(first)), Record(**content)
    is_first = len(kept(root, earlier)) >= len(kept(root, later))
    worst = max(first["repeats"], repeats.kind(earlier, later), key=repeats.KINDS.index)
    return {**(first if is_first else row), "copies": first["copies"] + 1, "repeats": worst}


def entry(row: Mapping[Any, Any]) -> Entry:
    """The entry of the index that points to the record of a row."""
    address = (row["file"], int(row["start"]), int(row["end"]))
    return Entry(row["state"], float(row["seconds"] or 0), *address)


def _row(content: Row, file: str, start: int, end: int) -> Row:
    """The flat row of one record, with the bytes of the file where it lies."""
    result, cost = content["result"], content["cost"]
    parameters = cost.get("parameters", {})
    return {
        "uid": content["uid"],
        "state": result["status"],
        "copies": 1,
        "repeats": repeats.EQUAL,
        **{name: result.get(name) for name in COUNTS},
        "degenerate": " ".join(result.get("degenerate", ())),
        **{name: parameters.get(key) for key, name in PARAMETERS.items()},
        **{name: cost.get(name) for name in NUMBERS + WORDS},
        **{CHOICE + group: option for group, option in content["choices"].items()},
        **{
            f"{split}{SEP}{metric}": score
            for split, scores in result.get("scores", {}).items()
            for metric, score in scores.items()
        },
        **_addresses(content),
        "file": file,
        "start": start,
        "end": end,
    }


def _addresses(content: Row) -> Row:
    """Where the outputs of a record are, and which examples they are of, as JSON."""
    outputs = content["artifacts"].get("outputs")
    if not outputs:
        return {}
    examples = content["result"]["examples"]
    return {"outputs": json.dumps(outputs), "examples": json.dumps(examples)}


def failed(root: str, plan: pd.DataFrame) -> dict[str, str]:
    """By uid the class of failure of each run of a plan that failed, or of an ancestor of one.

    A run has failed as `python -m sweeps status` says it: it failed so often that only `retry` has
    it tried again, or a parent of it failed (`parent_failed`).
    """
    history, links = events.fold(root), launched.family(plan[plan["uid"].notna()])
    # No run is asked of SLURM here ({}): queued, running or not begun are all `missing`.
    states = run_states.states(links, ledger.index(root), history, {})
    by_uid = run_states.why_failed(states, history)
    return {uid: event["class"] if event else "parent_failed" for uid, event in by_uid.items()}
