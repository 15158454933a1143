"""What a run leaves behind, written once, durably, and read back.

Under `root`:

    records/<worker>.jsonl     one record a line, appended and synced; one writer a file
    records/<worker>.index     where each record lies, so that asking what is done reads none
    outputs/<worker>.f16       per-example outputs, addressed by a record's artifacts: float16,
                               but float32 those of test splits
    examples/<digest>.npz      ids and labels of a split's rows, once for all runs
    models/<uid>/              parents, and students saved on request (Hugging Face folders)
    checkpoints/<uid>.pt       unfinished runs, for resuming
    locks/<uid>.lock           held while a process trains the run
    wandb/                     W&B's own files

`sweeps.events` says what a sweep keeps beside these.
"""

import hashlib
import io
import json
import os
import socket
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kdlab.schema import BadInput

SCHEMA = 1
SHORT, EXACT = "<f2", "<f4"  # how outputs are kept
LATER = ("examples_seen",)  # keys of a result that earlier records lack


@dataclass(frozen=True)
class Record:
    """One finished run.

    Attributes:
        result: deterministic: status, scores, losses, shares, digests.
        cost: measured: parameters, FLOPs, seconds, memory, provenance.
        artifacts: where its `outputs` are; with test splits also the digests of their `examples`.
    """

    uid: str
    choices: dict[str, str]
    overrides: list[str]
    result: dict[str, Any]
    cost: dict[str, Any]
    artifacts: dict[str, Any]
    schema: int = SCHEMA


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
    start, end = append_line(path, page)
    entry = _entry(page, path.name, start, end)
    # Not synced: what the index lacks is read from the records.
    with open(path.with_suffix(".index"), "a") as file:
        file.write(f"{record.uid} {entry.status} {entry.seconds} {start} {end}\n")


def index(root: str | Path) -> dict[str, Entry]:
    """What is recorded under a root, by uid, without reading the records themselves."""
    return {uid: found[0] for uid, found in entries(root).items()}


def entries(root: str | Path) -> dict[str, list[Entry]]:
    """As `index`, with every record of a run that was recorded several times."""
    found: dict[str, list[Entry]] = {}
    for path in sorted((Path(root) / "records").glob("*.jsonl")):
        for uid, entry in _indexed(path):
            found.setdefault(uid, []).append(entry)
    return found


def _indexed(path: Path) -> Iterator[tuple[str, Entry]]:
    """The entries of one file: those of its index, and the records between and after them."""
    end, beside = 0, path.with_suffix(".index")
    for line in beside.read_text().splitlines() if beside.exists() else ():
        parts = line.split()
        if len(parts) != 5:  # torn
            continue
        uid, status, seconds, first, last = parts
        if int(first) > end + 1:  # the newline before a record is not its own
            yield from _unindexed(path, end, int(first))
        end = int(last)
        yield uid, Entry(status, float(seconds), path.name, int(first), end)
    if path.stat().st_size > end + 1:
        yield from _unindexed(path, end, path.stat().st_size)


def _unindexed(path: Path, start: int, end: int) -> Iterator[tuple[str, Entry]]:
    for page, first, last in addressed_lines(path, start, end):
        yield page["uid"], _entry(page, path.name, first, last)


def _entry(page: Mapping[str, Any], file: str, start: int, end: int) -> Entry:
    seconds = float(page["cost"].get("seconds", 0.0))
    return Entry(page["result"]["status"], seconds, file, start, end)


def read(root: str | Path, entry: Entry) -> Record:
    """The record that an entry of the index points to."""
    with open(Path(root) / "records" / entry.file, "rb") as file:
        file.seek(entry.start)
        return Record(**json.loads(file.read(entry.end - entry.start)))


def best(root: str | Path, found: Sequence[Entry]) -> Record:
    """Of a run's records that with the outputs of most splits, the first of equals."""
    if len(found) == 1:
        return read(root, found[0])
    return max((read(root, entry) for entry in found), key=lambda each: len(kept(root, each)))


def records(root: str | Path) -> dict[str, Record]:
    """Every record under a root by uid.

    A line torn by a kill or a full disk is passed over. A run that was recorded twice is read
    once: where the outputs of most splits are.

    Raises:
        ValueError: if two records of a run have unequal results.
    """
    found: dict[str, Record] = {}
    for path in sorted((Path(root) / "records").glob("*.jsonl")):
        for page, _, _ in addressed_lines(path, 0, path.stat().st_size):
            record = Record(**page)
            first = found.setdefault(record.uid, record)
            if not is_same(first.result, record.result):
                raise ValueError(f"two unequal results of run {record.uid}, the second in {path}")
            if first is not record and len(kept(root, record)) > len(kept(root, first)):
                found[record.uid] = record
    return found


def is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two results are equal, but for what one of them was recorded too early to have."""
    lacking = {key for key in LATER if key not in one or key not in other}
    return all(one.get(key) == other.get(key) for key in (one.keys() | other.keys()) - lacking)


def kept(root: str | Path, record: Record) -> list[str]:
    """The splits whose per-example outputs a record names, if they still are there."""
    named = record.artifacts.get("outputs", {})
    if not named or not (Path(root) / "outputs" / named["file"]).is_file():
        return []
    return [split for split in named if split != "file"]


def append_line(path: Path, page: Mapping[str, Any]) -> tuple[int, int]:
    """Append one line of JSON and sync it; return the bytes where it begins and ends."""
    line = json.dumps(page, separators=(",", ":")).encode() + b"\n"
    # The newline before ends a line that an earlier, failed write may have torn.
    end = _append(path, b"\n" + line)
    return end - len(line), end


def whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Every whole line of a file that `append_line` wrote."""
    return (page for page, _, _ in addressed_lines(path, 0, path.stat().st_size))


def addressed_lines(path: Path, start: int, end: int) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Every whole line within some bytes of a file, and the bytes where it begins and ends."""
    with open(path, "rb") as file:
        file.seek(start)
        for line in file.read(end - start).splitlines(keepends=True):
            first, start = start, start + len(line)
            if line == b"\n":
                continue
            try:
                page = json.loads(line)
            except ValueError:  # torn by a kill or a full disk: its run is not recorded
                continue
            yield page, first, start


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
        is_exact = split in exact
        address[split] = [offset + len(packed), *array.shape, *([EXACT] if is_exact else [])]
        packed += array.astype(EXACT if is_exact else SHORT).tobytes()
    _append(path, packed)
    return address


def read_outputs(root: str | Path, record: Record, split: str) -> np.ndarray:
    """A record's outputs on a split [n, classes] in the order of its examples.

    They are float16, on a test split float32.
    """
    offset, rows, columns, *kind = record.artifacts["outputs"][split]
    path = Path(root) / "outputs" / record.artifacts["outputs"]["file"]
    flat = np.fromfile(path, dtype=kind[0] if kind else SHORT, count=rows * columns, offset=offset)
    return flat.reshape(rows, columns)


def write_examples(root: str | Path, ids: np.ndarray, labels: np.ndarray) -> str:
    """Keep the ids and labels of a split's rows once; return the digest that names them."""
    digest = short_digest(ids.astype("<i8").tobytes() + labels.astype("<f8").tobytes())
    path = Path(root) / "examples" / f"{digest}.npz"
    if not path.exists():
        buffer = io.BytesIO()
        np.savez(buffer, ids=ids.astype(np.int64), labels=labels.astype(np.float64))
        write_whole(path, buffer.getvalue())
    return digest


def read_examples(root: str | Path, record: Record, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The ids [n] and labels [n] of a record's rows of a split; on a test split NaN."""
    digests = record.result["examples"] | record.artifacts.get("examples", {})
    with np.load(Path(root) / "examples" / f"{digests[split]}.npz") as stored:
        return stored["ids"], stored["labels"]


def short_digest(content: bytes) -> str:
    """A 128-bit digest of bytes."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def check_root(root: str | Path) -> None:
    """Refuse a root under which no file can be written, before any work; leaves nothing behind.

    Raises:
        BadInput: naming the root and what the system says.
    """
    try:
        place = Path(root).absolute()
        while not place.exists():
            place = place.parent
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise BadInput(f"root={root}: no files can be written there: {error.strerror}") from None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:  # a full disk is not made fuller
        partial.unlink(missing_ok=True)
        raise


@cache
def _worker(process: int) -> str:
    return f"{socket.gethostname()}-{process}-{time.time_ns():x}"


def worker() -> str:
    """This process's name in file names: host, process id and start."""
    return _worker(os.getpid())


def _append(path: Path, content: bytes) -> int:
    """Append and sync; return the file's size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()
