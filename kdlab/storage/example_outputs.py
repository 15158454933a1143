"""The per-example outputs of runs, and the rows that they are about, written and read back."""

import io
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from kdlab.record import Record
from kdlab.storage import durable
from kdlab.storage.durable import Damaged, short_digest, worker, write_whole

SHORT, EXACT = "<f2", "<f4"  # NumPy's types of kept outputs: float16, and float32 of test splits
# What zip and NumPy raise over a file that lost a bit; RuntimeError: of one that seems encrypted.
UNREADABLE = (
    *(OSError, ValueError, KeyError, EOFError, SyntaxError, RuntimeError),
    *(zlib.error, BadZipFile),
)


def kept(root: str | Path, record: Record) -> list[str]:
    """The splits whose per-example outputs a record names, and which are there unchanged."""
    named = [split for split in record.artifacts.get("outputs", {}) if split != "file"]
    return [split for split in named if _stored(root, record, split) is not None]


def write_outputs(
    root: str | Path, outputs: Mapping[str, np.ndarray], exact: Collection[str] = ()
) -> dict[str, Any]:
    """Append outputs [n, classes] by split as float16; return their address for `artifacts`.

    The splits `exact` are written as float32: rounding might make two classes equal.
    """
    path = Path(root) / "outputs" / f"{worker()}.f16"
    # Nobody else appends to this process's file: its size is where the outputs will begin.
    offset = path.stat().st_size if path.exists() else 0
    address: dict[str, Any] = {"file": path.name}
    packed = b""
    for split, array in outputs.items():
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
        Damaged: they are gone, or not what was written.
    """
    content = _stored(root, record, split)
    if content is None:
        raise Damaged(
            f"outputs of run {record.uid} on {split} are damaged or gone; "
            f"python -m sweeps rerun {record.uid} --root {root} brings them back"
        )
    _, rows, columns, kind, _ = record.artifacts["outputs"][split]
    # Over bytes an array would be read-only.
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
    """Write the ids and labels of a split's rows, once for all runs; return their digest."""
    digest = examples_digest(ids, labels)
    path = _examples(root, digest)
    if _read_examples(path) is None:
        buffer = io.BytesIO()
        np.savez(buffer, ids=ids.astype(np.int64), labels=labels.astype(np.float64))
        write_whole(path, buffer.getvalue())
    return digest


def read_examples(root: str | Path, record: Record, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The ids [n] and labels [n] of a record's rows of a split; labels of a test split are NaN.

    Raises:
        Damaged: they are gone, or not what was written.
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


def examples_digest(ids: np.ndarray, labels: np.ndarray) -> str:
    """What names the rows of a split: a digest of their ids and labels."""
    # Of the numbers: the bytes of an .npz file depend on NumPy's and zlib's versions.
    return short_digest(ids.astype("<i8").tobytes() + labels.astype("<f8").tobytes())


def _read_examples(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Ids and labels in a file; None if their digest is not the file's name."""
    try:
        # From memory: NumPy leaves a file open that it cannot read.
        with np.load(io.BytesIO(path.read_bytes())) as stored:
            ids, labels = stored["ids"], stored["labels"]
    except UNREADABLE:
        return None
    return (ids, labels) if examples_digest(ids, labels) == path.stem else None
