"""What a run leaves behind, written once, durably, and read back.

Under `root`:

    records/<worker>.jsonl     the ledger: one record a line, appended and synced; one writer a file
    records/<worker>.index     where each record lies, so that asking what is done reads none;
                               made anew from the ledger whenever the two disagree
    outputs/<worker>.f16       per-example outputs, addressed by a record's artifacts: float16,
                               but float32 those of test splits
    examples/<digest>.npz      ids and labels of a split's rows, once for all runs
    models/<uid>/              parents, and students saved on request (Hugging Face folders)
    checkpoints/<uid>.pt       unfinished runs, for resuming
    locks/<uid>.lock           held while a process trains the run
    latency/<digest>.json      what an architecture takes on a kind of machine, measured once
    wandb/                     W&B's own files

`sweeps.journal.events` says what a sweep keeps beside these, and `kdlab.durable` how files are
written and checked. A line of a ledger that is torn or damaged is no record: its run is due again.
"""

import io
import os
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from kdlab import durable
from kdlab.durable import Damaged as Damaged
from kdlab.durable import addressed_lines as addressed_lines
from kdlab.durable import append_line as append_line
from kdlab.durable import short_digest as short_digest
from kdlab.durable import whole_lines as whole_lines
from kdlab.durable import worker as worker
from kdlab.durable import write_whole as write_whole
from kdlab.record_schema import DIVERGED as DIVERGED
from kdlab.record_schema import DONE as DONE
from kdlab.record_schema import SCHEMA as SCHEMA
from kdlab.record_schema import Record as Record
from kdlab.record_schema import Result as Result

SHORT, EXACT = "<f2", "<f4"  # how outputs are kept
NO_RECORD = "-"  # in an index, in place of a uid: a stretch that holds no record


class Entry(NamedTuple):
    """A record in short: status, training seconds, and the bytes of `file` where it lies."""

    status: str
    seconds: float
    file: str
    start: int
    end: int


def append(root: str | Path, record: Record) -> None:
    """Write a record as one line and sync it to disk."""
    path = Path(root) / "records" / f"{worker()}.jsonl"
    page = asdict(record)
    content = durable.line(page)
    state = durable.append(path, b"\n" + content)
    entry = _entry(page, path.name, state.st_size - len(content), state.st_size)
    # Not synced: what the index lacks is read from the ledger.
    with open(_index(path), "ab") as file:
        file.write(_index_line(record.uid, entry, state.st_mtime_ns))


def index(root: str | Path) -> dict[str, Entry]:
    """What is recorded under a root, by uid, without reading the records themselves."""
    return {uid: each[0] for uid, each in entries(root).items()}


def entries(root: str | Path) -> dict[str, list[Entry]]:
    """As `index`, with every record of a run that was recorded several times."""
    recorded: dict[str, list[Entry]] = {}
    for path in _ledgers(root):
        for uid, entry in _indexed(path):
            if uid != NO_RECORD:
                recorded.setdefault(uid, []).append(entry)
    return recorded


def damaged(root: str | Path) -> list[str]:
    """Where lines of ledgers are torn or damaged, to print."""
    return [
        f"records/{entry.file}: no record in bytes {entry.start} to {entry.end}: torn or damaged"
        for path in _ledgers(root)
        for uid, entry in _indexed(path)
        if uid == NO_RECORD
    ]


def heal(root: str | Path, uids: Collection[str] | None = None) -> None:
    """Hold the index to the ledgers: what cannot be read there is no record any more.

    An index is believed as long as its ledger keeps size and time, which a disk that loses a bit
    does not change. This reads the lines themselves, of all runs or of some.
    """
    for path in _ledgers(root):
        own = [e for uid, e in _indexed(path) if uid != NO_RECORD and (uids is None or uid in uids)]
        if own and not all(map(durable.is_whole, _lines(path, own))):
            _reindex(path)
            _remembered.pop(path)


def _ledgers(root: str | Path) -> list[Path]:
    return sorted((Path(root) / "records").glob("*.jsonl"))


def _lines(path: Path, of: Sequence[Entry]) -> list[bytes]:
    lines = []
    with open(path, "rb") as file:
        for entry in of:
            file.seek(entry.start)
            lines.append(file.read(entry.end - entry.start))
    return lines


Indexed = list[tuple[str, Entry]]


def _index(ledger: Path) -> Path:
    return ledger.with_suffix(".index")


def _indexed(path: Path) -> Indexed:
    """What lies where in a ledger: by its index, if that is of the ledger as it is now."""
    state = path.stat()
    key = (state.st_size, state.st_mtime_ns)
    if _remembered.get(path, (None, []))[0] != key:
        _remembered[path] = key, _from_index(path, state)
    return _remembered[path][1]


_remembered: dict[Path, tuple[tuple[int, int], Indexed]] = {}  # by size and time of a ledger


def _from_index(path: Path, state: os.stat_result) -> Indexed:
    said = _index(path)
    believed = _believed(path, said.read_bytes(), state.st_mtime_ns) if said.exists() else None
    end = believed[-1][1].end if believed else 0
    if believed is not None and end <= state.st_size <= end + 1:  # the newline before a line
        return believed
    return _reindex(path)


def _believed(path: Path, content: bytes, time: int) -> Indexed | None:
    """The entries of an index; None if it is not whole, without a gap, and of this time."""
    indexed: Indexed = []
    end, at = 0, str(time)
    for written in content.splitlines():
        body, _, check = written.rpartition(b" ")
        if durable.check(body) != check:
            return None
        uid, status, seconds, start, last, at = body.decode().split()
        if not end <= int(start) <= end + 1:  # the newline before a line is not its own
            return None
        end = int(last)
        indexed.append((uid, Entry(status, float(seconds), path.name, int(start), end)))
    return indexed if at == str(time) else None


def _reindex(path: Path) -> Indexed:
    """Read a ledger, and write its index."""
    with open(path, "rb") as file:
        state = os.fstat(file.fileno())
    indexed: Indexed = []
    for page, start, end in durable.stretches(path, 0, state.st_size):
        if page is not None and is_record(page):
            indexed.append((page["uid"], _entry(page, path.name, start, end)))
        else:
            indexed.append((NO_RECORD, Entry("-", 0.0, path.name, start, end)))
    lines = b"".join(_index_line(uid, entry, state.st_mtime_ns) for uid, entry in indexed)
    with suppress(OSError):  # somebody else's folder, or a full disk
        write_whole(_index(path), lines)
    return indexed


def _index_line(uid: str, entry: Entry, time: int) -> bytes:
    body = f"{uid} {entry.status} {entry.seconds} {entry.start} {entry.end} {time}".encode()
    return body + b" " + durable.check(body) + b"\n"


def _entry(page: Mapping[str, Any], file: str, start: int, end: int) -> Entry:
    seconds = float(page["cost"].get("seconds", 0.0))
    return Entry(page["result"]["status"], seconds, file, start, end)


def read(root: str | Path, entry: Entry) -> Record:
    """The record that an entry of the index points to.

    Raises:
        Damaged: if it cannot be read; `heal` takes it out of the index.
    """
    (written,) = _lines(Path(root) / "records" / entry.file, [entry])
    page = durable.page_of(written)
    if page is None:
        raise Damaged(f"records/{entry.file}: damaged at byte {entry.start}; launch heals it")
    return Record(**page)


def read_all(root: str | Path, of: Sequence[Entry]) -> list[Record]:
    """The records of one run, in the order of their ledgers."""
    return [read(root, entry) for entry in of]


def best(root: str | Path, of: Sequence[Entry]) -> Record:
    """Of a run's records that with the outputs of most splits, the first of equals."""
    several = read_all(root, of)
    return max(several, key=lambda each: len(kept(root, each))) if of[1:] else several[0]


def pages(root: str | Path) -> Iterator[tuple[dict[str, Any], Path, int, int]]:
    """The page of every record under a root, its ledger, and the bytes where it lies."""
    for path in _ledgers(root):
        for page, start, end in addressed_lines(path, 0, path.stat().st_size):
            if is_record(page):
                yield page, path, start, end


def is_record(page: Mapping[str, Any]) -> bool:
    """Whether a line's page is that of a record, not something that came there otherwise."""
    return {each.name for each in fields(Record)} == page.keys()


def records(root: str | Path) -> dict[str, Record]:
    """Every record under a root by uid.

    A run that was recorded several times is read once: where the outputs of most splits are, the
    first of equals, whether or not the results are equal (`kdlab.repeats` says which are).
    """
    read: dict[str, Record] = {}
    for page, _, _, _ in pages(root):
        record = Record(**page)
        first = read.setdefault(record.uid, record)
        if first is not record and len(kept(root, record)) > len(kept(root, first)):
            read[record.uid] = record
    return read


def kept(root: str | Path, record: Record) -> list[str]:
    """The splits whose per-example outputs a record names, if they are there as they were left."""
    named = [split for split in record.artifacts.get("outputs", {}) if split != "file"]
    return [split for split in named if _stored(root, record, split) is not None]


def write_outputs(
    root: str | Path, found: Mapping[str, np.ndarray], exact: Collection[str] = ()
) -> dict[str, Any]:
    """Append outputs [n, classes] by split as float16; return their address for `artifacts`.

    The splits `exact` are written as float32, in which no two classes become equal.
    """
    path = Path(root) / "outputs" / f"{worker()}.f16"
    offset = path.stat().st_size if path.exists() else 0
    address: dict[str, Any] = {"file": path.name}
    packed = b""
    for split, array in found.items():
        kind = EXACT if split in exact else SHORT
        content = array.astype(kind).tobytes()
        address[split] = [offset + len(packed), *array.shape, kind, short_digest(content)]
        packed += content
    durable.append(path, packed)
    return address


def read_outputs(root: str | Path, record: Record, split: str) -> np.ndarray:
    """A record's outputs on a split [n, classes] in the order of its examples.

    They are float16, on a test split float32.

    Raises:
        Damaged: if they are not there as they were left.
    """
    content = _stored(root, record, split)
    if content is None:
        raise Damaged(
            f"outputs of run {record.uid} on {split} are damaged or gone; "
            f"python -m sweeps rerun {record.uid} --root {root} brings them back"
        )
    _, rows, columns, kind, _ = record.artifacts["outputs"][split]
    return np.frombuffer(bytearray(content), dtype=kind).reshape(rows, columns)


def _stored(root: str | Path, record: Record, split: str) -> bytes | None:
    """The bytes of a record's outputs on a split; None if they are not what was written."""
    offset, rows, columns, kind, digest = record.artifacts["outputs"][split]
    try:
        with open(Path(root) / "outputs" / record.artifacts["outputs"]["file"], "rb") as file:
            file.seek(offset)
            content = file.read(rows * columns * np.dtype(kind).itemsize)
    except OSError:
        return None
    return content if short_digest(content) == digest else None


def write_examples(root: str | Path, ids: np.ndarray, labels: np.ndarray) -> str:
    """Keep the ids and labels of a split's rows once; return the digest that names them."""
    digest = _examples_digest(ids, labels)
    path = _examples(root, digest)
    if _read_examples(path) is None:
        buffer = io.BytesIO()
        np.savez(buffer, ids=ids.astype(np.int64), labels=labels.astype(np.float64))
        write_whole(path, buffer.getvalue())
    return digest


def read_examples(root: str | Path, record: Record, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The ids [n] and labels [n] of a record's rows of a split; on a test split NaN.

    Raises:
        Damaged: if they are not there as they were left.
    """
    digests = record.result["examples"] | record.artifacts.get("examples", {})
    path = _examples(root, digests[split])
    stored = _read_examples(path)
    if stored is None:
        raise Damaged(
            f"{path} is damaged or gone; "
            f"python -m sweeps rerun {record.uid} --root {root} brings it back"
        )
    return stored


def _examples(root: str | Path, digest: str) -> Path:
    return Path(root) / "examples" / f"{digest}.npz"


def _examples_digest(ids: np.ndarray, labels: np.ndarray) -> str:
    return short_digest(ids.astype("<i8").tobytes() + labels.astype("<f8").tobytes())


def _read_examples(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Ids and labels; None if they are not those that name the file."""
    try:
        with np.load(path) as stored:
            ids, labels = stored["ids"], stored["labels"]
    except (OSError, ValueError, KeyError, EOFError, SyntaxError, zlib.error, BadZipFile):
        return None
    return (ids, labels) if _examples_digest(ids, labels) == path.stem else None
