"""What records and events say of runs, one flat row a run; no per-example output is read."""

from collections.abc import Iterator, Mapping, Set
from typing import Any

import pandas as pd

from kdlab import record, repeats
from kdlab.record import Entry, Record, kept
from sweeps.journal import events, run_states
from sweeps.study import launched

Row = dict[str, Any]
SEP = "/"  # between split and metric in a column's name
CHOICE = "choice" + SEP  # before a group in a row, until columns are named
COUNTS = ("steps", "examples_seen")
NUMBERS = ("flops", "latency", "seconds", "teacher_seconds", "cohort", "peak_memory", "threads")
WORDS = ("commit", "host", "device", "torch")
COUNTED = {"embeddings": "embeddings", "transformer": "transformer", "total": "parameters"}


def rows(root: str, wanted: Set[str]) -> Iterator[Row]:
    """One row for each of the wanted runs that has a record, with the number of its `copies`, and
    what these are to each other at the worst (`repeats`).
    """
    found: dict[str, Row] = {}
    for page, path, start, end in record.pages(root):
        if page["uid"] not in wanted:
            continue
        row = _row(page, path.name, start, end)
        first = found.setdefault(page["uid"], row)
        if first is not row:
            found[page["uid"]] = _chosen(root, first, row, page)
    yield from found.values()


def _chosen(root: str, first: Row, row: Row, page: Row) -> Row:
    """Of two records of a run that with the outputs of more splits, the first of equals."""
    earlier, later = record.read(root, entry(first)), Record(**page)
    is_first = len(kept(root, earlier)) >= len(kept(root, later))
    worst = max(first["repeats"], repeats.kind(earlier, later), key=repeats.KINDS.index)
    return {
        **(first if is_first else row),
        "copies": first["copies"] + 1,
        "repeats": worst,
    }


def entry(row: Mapping[Any, Any]) -> Entry:
    """Where the record of a row lies."""
    where = (row["file"], int(row["start"]), int(row["end"]))
    return Entry(row["state"], float(row["seconds"] or 0), *where)


def _row(page: Row, file: str, start: int, end: int) -> Row:
    result, cost = page["result"], page["cost"]
    counted = cost.get("parameters", {})
    return {
        "uid": page["uid"],
        "state": result["status"],
        "copies": 1,
        "repeats": repeats.EQUAL,
        **{name: result.get(name) for name in COUNTS},
        "degenerate": " ".join(result.get("degenerate", ())),
        **{name: counted.get(key) for key, name in COUNTED.items()},
        **{name: cost.get(name) for name in NUMBERS + WORDS},
        **{CHOICE + group: option for group, option in page["choices"].items()},
        **{
            f"{split}{SEP}{metric}": score
            for split, scores in result.get("scores", {}).items()
            for metric, score in scores.items()
        },
        "file": file,
        "start": start,
        "end": end,
    }


def failed(root: str, plan: pd.DataFrame) -> dict[str, str]:
    """By uid the class of what failed a run of a plan, or an ancestor of one.

    A run has failed as `python -m sweeps status` says it: what is held against it is too much to
    try it again unasked, or a parent of it failed.
    """
    history, links = events.fold(root), launched.family(plan[plan["uid"].notna()])
    states = run_states.states(links, record.index(root), history, {})
    by_uid = run_states.why_failed(states, history)
    return {uid: event["class"] if event else "parent_failed" for uid, event in by_uid.items()}
