"""The ledgers of records, and where else a run leaves files.

`kdlab.record` says what a record holds. Here is where it is kept, and how it is found.

Under `root`:

    records/<worker>.jsonl     the ledger: one record a line, appended and synced; one writer a file
    records/<worker>.index     where each record lies, so that asking what is done reads none;
                               made anew from the ledger whenever the two disagree
    outputs/<worker>.f16       per-example outputs, addressed by a record's artifacts: float16,
                               but float32 those of test splits
    examples/<digest>.npz      ids and labels of a split's rows, once for all runs
    models/<uid>/              parents, and students saved on request (Hugging Face folders)
    checkpoints/<uid>.pt       unfinished runs, for resuming
    life/<worker>.json         what a process trains right now (`life_signs`)
    locks/<uid>.lock           held while a process trains the run
    latency/<digest>.json      milliseconds of an architecture on a kind of machine, measured once
    wandb/                     W&B's own files

`sweeps.journal.events` says what a sweep keeps beside these, and `durable` how files are
written and checked. A worker is a process: each appends to files of its own, so that none waits for
another. A line of a ledger that is torn or damaged is no record: its run is due again.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

from kdlab.record import Record
from kdlab.storage import durable
from kdlab.storage.durable import Damaged, append_line, worker, write_whole
from kdlab.storage.example_outputs import kept

NO_RECORD = "-"  # in an index, in place of a uid: a stretch of bytes that holds no record


class Entry(NamedTuple):
    """Where a record lies, and the little of it that planning needs.

    Attributes:
        status: `done` or `diverged`.
        seconds: of training.
        file: the name of the ledger.
        start, end: the bytes of the ledger in which the record lies.
    """

    status: str
    seconds: float
    file: str
    start: int
    end: int


def append(root: str | Path, record: Record) -> None:
    """Write a record as one line and sync it to disk."""
    path = Path(root) / "records" / f"{worker()}.jsonl"
    content = asdict(record)
    start, state = append_line(path, content)
    entry = _entry(content, path.name, start, state.st_size)
    # Not synced: what the index lacks is read from the ledger.
    with open(_index(path), "ab") as file:
        file.write(_index_line(record.uid, entry, state.st_mtime_ns))


def index(root: str | Path) -> dict[str, Entry]:
    """The first entry of every recorded run, by uid, without reading the records themselves."""
    return {uid: of_run[0] for uid, of_run in entries(root).items()}


def entries(root: str | Path) -> dict[str, list[Entry]]:
    """Every entry of every recorded run, by uid: a run may have been recorded several times."""
    recorded: dict[str, list[Entry]] = {}
    for path in _ledgers(root):
        for uid, entry in _indexed(path):
            if uid != NO_RECORD:
                recorded.setdefault(uid, []).append(entry)
    return recorded


def damaged(root: str | Path) -> list[str]:
    """A sentence for each line of a ledger that is torn or damaged."""
    return [
        f"records/{entry.file}: no record in bytes {entry.start} to {entry.end}: torn or damaged"
        for path in _ledgers(root)
        for uid, entry in _indexed(path)
        if uid == NO_RECORD
    ]


def heal(root: str | Path, uids: Collection[str] | None = None) -> None:
    """Check the index against the ledgers: a record that cannot be read there leaves the index.

    An index is trusted as long as its ledger keeps size and time, which do not change when a disk
    loses a bit. This reads the lines themselves, of all runs or of some.
    """
    for path in _ledgers(root):
        checked = [
            entry
            for uid, entry in _indexed(path)
            if uid != NO_RECORD and (uids is None or uid in uids)
        ]
        if checked and not all(map(durable.is_whole, _lines(path, checked))):
            _reindex(path)
            _cached.pop(path)


def _ledgers(root: str | Path) -> list[Path]:
    return sorted((Path(root) / "records").glob("*.jsonl"))


def _lines(path: Path, located: Sequence[Entry]) -> list[bytes]:
    """The lines of a ledger where some entries say that their records are."""
    lines = []
    with open(path, "rb") as file:
        for entry in located:
            file.seek(entry.start)
            lines.append(file.read(entry.end - entry.start))
    return lines


Indexed = list[tuple[str, Entry]]  # the entries of a ledger with their uids, in its order
_cached: dict[Path, tuple[tuple[int, int], Indexed]] = {}  # with the ledger's size and time


def _index(ledger: Path) -> Path:
    return ledger.with_suffix(".index")


def _indexed(path: Path) -> Indexed:
    """The entries of a ledger as it is now, read at most once for each of its states."""
    state = path.stat()
    key = (state.st_size, state.st_mtime_ns)
    if _cached.get(path, (None, []))[0] != key:
        indexed = _from_index(path, state)
        _cached[path] = key, _reindex(path) if indexed is None else indexed
    return _cached[path][1]


def _from_index(path: Path, state: os.stat_result) -> Indexed | None:
    """The entries in a ledger's index; None unless it is whole, without a gap, and up to date."""
    if not _index(path).exists():
        return None
    indexed: Indexed = []
    end, written_at = 0, str(state.st_mtime_ns)
    for written in _index(path).read_bytes().splitlines():
        # Any fault makes the whole index untrusted: the ledger is the truth, and is soon read.
        body, _, check = written.rpartition(b" ")
        if durable.check(body) != check:
            return None
        uid, status, seconds, start, last, written_at = body.decode().split()
        if not end <= int(start) <= end + 1:  # the newline before a line is not part of it
            return None
        end = int(last)
        indexed.append((uid, Entry(status, float(seconds), path.name, int(start), end)))
    # Every line has the ledger's time after its record: the last must have the present one.
    is_current = written_at == str(state.st_mtime_ns) and end <= state.st_size <= end + 1
    return indexed if is_current else None


def _reindex(path: Path) -> Indexed:
    """Read a whole ledger, and write its index."""
    # The state first: what its worker appends meanwhile makes the index old, and not wrong.
    with open(path, "rb") as file:
        state = os.fstat(file.fileno())
    indexed: Indexed = []
    for content, start, end in durable.stretches(path, 0, state.st_size):
        if content is not None and is_record(content):
            indexed.append((content["uid"], _entry(content, path.name, start, end)))
        else:
            indexed.append((NO_RECORD, Entry("-", 0.0, path.name, start, end)))
    lines = b"".join(_index_line(uid, entry, state.st_mtime_ns) for uid, entry in indexed)
    with suppress(OSError):  # a colleague's folder, or a full disk: the ledger has it all
        write_whole(_index(path), lines)
    return indexed


def _index_line(uid: str, entry: Entry, time: int) -> bytes:
    """An entry as a line of an index, with the ledger's time and a digest of the line."""
    body = f"{uid} {entry.status} {entry.seconds} {entry.start} {entry.end} {time}".encode()
    return body + b" " + durable.check(body) + b"\n"


def _entry(content: Mapping[str, Any], file: str, start: int, end: int) -> Entry:
    seconds = float(content["cost"].get("seconds", 0.0))
    return Entry(content["result"]["status"], seconds, file, start, end)


def read(root: str | Path, entry: Entry) -> Record:
    """The record that an entry of the index points to.

    Raises:
        Damaged: it cannot be read; `heal` takes it out of the index.
    """
    (record,) = read_all(root, [entry])
    return record


def read_all(root: str | Path, chosen: Sequence[Entry]) -> list[Record]:
    """The records that entries point to, in their order; each ledger is opened once.

    Raises:
        Damaged: as `read`.
    """
    in_ledger: dict[str, list[Entry]] = {}
    for entry in chosen:
        in_ledger.setdefault(entry.file, []).append(entry)
    records = {}
    for file, entries_there in in_ledger.items():
        lines = _lines(Path(root) / "records" / file, entries_there)
        for entry, written in zip(entries_there, lines, strict=True):
            content = durable.page_of(written)
            if content is None:
                raise Damaged(f"records/{file}: damaged at byte {entry.start}; launch heals it")
            records[entry] = Record(**content)
    return [records[entry] for entry in chosen]


def best(root: str | Path, of_run: Sequence[Entry]) -> Record:
    """Of a run's records the one with the outputs of most splits, of equals the first."""
    repeats = read_all(root, of_run)
    if len(repeats) == 1:  # as nearly always: its outputs need not be read
        return repeats[0]
    return max(repeats, key=lambda record: len(kept(root, record)))


def pages(root: str | Path) -> Iterator[tuple[dict[str, Any], Path, int, int]]:
    """Every record under a root as it is written, its ledger, and the bytes where it lies."""
    for path in _ledgers(root):
        for content, start, end in durable.addressed_lines(path, 0, path.stat().st_size):
            if is_record(content):
                yield content, path, start, end


def is_record(content: Mapping[str, Any]) -> bool:
    """Whether the object in a line has the keys of a record."""
    return {field.name for field in fields(Record)} == content.keys()


def records(root: str | Path) -> dict[str, Record]:
    """Every record under a root by uid.

    Of a run that was recorded several times it is the record with the outputs of most splits, of
    equals the first, whether or not the results are equal (`repeats` says which are).
    """
    by_uid: dict[str, Record] = {}
    for content, _, _, _ in pages(root):
        record = Record(**content)
        earlier = by_uid.setdefault(record.uid, record)
        # `kept` reads outputs from disk: only where a run has several records.
        if earlier is not record and len(kept(root, record)) > len(kept(root, earlier)):
            by_uid[record.uid] = record
    return by_uid
