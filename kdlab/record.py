"""What a run leaves behind, written once, durably, and read back.

Under `root`:

    records/<worker>.jsonl     one event a line, appended and synced; one writer a file
    outputs/<worker>.f16       per-example outputs, addressed by a record's artifacts
    examples/<digest>.npz      ids and labels of a split's rows, once for all runs
    models/<uid>/              teachers, and students saved on request (Hugging Face folders)
    checkpoints/<uid>.pt       unfinished runs, for resuming
    locks/<uid>.lock           held while a process trains the run
    studies/<study>/           plan.parquet, tables, and what was pushed to W&B
    wandb/                     W&B's own files
"""

import hashlib
import io
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

SCHEMA = 1


@dataclass(frozen=True)
class Record:
    """One finished run.

    Attributes:
        result: deterministic: status, scores, losses, shares, digests.
        cost: measured: parameters, FLOPs, seconds, memory, provenance.
        artifacts: where its outputs are.
    """

    uid: str
    choices: dict[str, str]
    overrides: list[str]
    result: dict[str, Any]
    cost: dict[str, Any]
    artifacts: dict[str, Any]
    schema: int = SCHEMA


def append(root: str | Path, record: Record) -> None:
    """Write a record as one line and sync it to disk."""
    append_line(Path(root) / "records" / f"{worker()}.jsonl", asdict(record))


def records(root: str | Path) -> dict[str, Record]:
    """Every record under a root by uid.

    A line torn by a kill or a full disk is passed over. A run that was recorded twice is read once.

    Raises:
        ValueError: if two records of a run have unequal results.
    """
    found: dict[str, Record] = {}
    for path in sorted((Path(root) / "records").glob("*.jsonl")):
        for page in whole_lines(path):
            record = Record(**page)
            first = found.setdefault(record.uid, record)
            if first.result != record.result:
                raise ValueError(f"two unequal results of run {record.uid}, the second in {path}")
    return found


def append_line(path: Path, page: Mapping[str, Any]) -> None:
    """Write a page as one line of JSON and sync it to disk."""
    line = json.dumps(page, separators=(",", ":")).encode() + b"\n"
    # The newline before ends a line that an earlier, failed write may have torn.
    _append(path, b"\n" + line)


def whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The pages of a file that `append_line` wrote; a torn line is passed over."""
    for line in path.read_bytes().splitlines():
        try:
            yield json.loads(line)
        except ValueError:  # torn by a kill or a full disk: its run is not recorded
            continue


def write_outputs(root: str | Path, found: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Append outputs [n, classes] by split as float16; return their address for `artifacts`."""
    path = Path(root) / "outputs" / f"{worker()}.f16"
    offset = path.stat().st_size if path.exists() else 0
    address: dict[str, Any] = {"file": path.name}
    packed = b""
    for split, array in found.items():
        address[split] = [offset + len(packed), *array.shape]
        packed += array.astype("<f2").tobytes()
    _append(path, packed)
    return address


def read_outputs(root: str | Path, record: Record, split: str) -> np.ndarray:
    """A record's outputs on a split [n, classes], float16, in the order of its examples."""
    offset, rows, columns = record.artifacts["outputs"][split]
    path = Path(root) / "outputs" / record.artifacts["outputs"]["file"]
    flat = np.fromfile(path, dtype="<f2", count=rows * columns, offset=offset)
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
    """The ids [n] and labels [n] of a record's rows of a split."""
    with np.load(Path(root) / "examples" / f"{record.result['examples'][split]}.npz") as stored:
        return stored["ids"], stored["labels"]


def short_digest(content: bytes) -> str:
    """A 128-bit digest of bytes."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with open(partial, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


@cache
def _worker(process: int) -> str:
    return f"{socket.gethostname()}-{process}-{time.time_ns():x}"


def worker() -> str:
    """This process's name in file names: host, process id and start."""
    return _worker(os.getpid())


def _append(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
