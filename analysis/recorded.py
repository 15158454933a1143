"""What records and events say of runs, one flat row a run; no per-example output is read."""

from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from kdlab import record, repeats
from kdlab.record import Entry, Record, kept, whole_lines

Row = dict[str, Any]
SEP = "/"  # between split and metric in a column's name
CHOICE = "choice" + SEP  # before a group in a row, until columns are named
COUNTS = ("steps", "examples_seen")
NUMBERS = ("flops", "latency", "seconds", "teacher_seconds", "cohort", "peak_memory", "threads")
WORDS = ("commit", "host", "device", "torch")
COUNTED = {"embeddings": "embeddings", "transformer": "transformer", "total": "parameters"}
# Classes of trouble that are never held against a run: it goes on, or is done again, by itself.
PASSING = {"preempted", "time_limit", "disk_full", "lost", "cancelled"}


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


def trouble(root: str) -> dict[str, str]:
    """By uid the class of the last trouble that is held against a run and was not forgiven."""
    held: dict[str, list[tuple[float, str]]] = {}
    forgiven: dict[str, int] = {}
    for path in sorted((Path(root) / "events").glob("*.jsonl")):
        for event in whole_lines(path):
            if event["event"] == "trouble":
                for uid in event["uids"]:
                    held.setdefault(uid, []).append((event["time"], event["class"]))
            elif event["event"] == "retry":
                for uid, count in event["uids"].items():
                    forgiven[uid] = max(count, forgiven.get(uid, 0))
    left = {uid: sorted(events)[forgiven.get(uid, 0) :] for uid, events in held.items()}
    last = {uid: events[-1][1] for uid, events in left.items() if events}
    return {uid: kind for uid, kind in last.items() if kind not in PASSING}
