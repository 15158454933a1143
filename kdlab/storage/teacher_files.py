"""Files of what teachers say of rows: `teacher_outputs/<teacher>/<block>.<view>.npy`.

`kdlab.training.teacher_outputs` says what is in them. Each has a digest at its end, which is
checked at a process's first read.
"""

import io
import sys
from functools import cache
from pathlib import Path

import numpy as np

from kdlab.storage import durable

FOLDER = "teacher_outputs"


def read(path: Path) -> np.ndarray | None:
    """The values in a file, mapped into memory; None where it is not there, or damaged."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    if not _is_whole(path, state.st_size, state.st_mtime_ns):
        return None
    values: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return values


@cache
def _is_whole(path: Path, size: int, time: int) -> bool:
    """Whether a file is what was written, read once in a process for each of its states."""
    try:
        durable.read_sealed(path)
    except durable.Damaged:
        return False
    return True


def keep(root: str, path: Path, array: np.ndarray, budget: float) -> None:
    """Write values into a file, unless all such files would then have more bytes than `budget`."""
    if stored_bytes(root) + array.nbytes > budget:
        _say_full(root, budget / 1e9)
        return
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    durable.write_sealed(path, buffer.getvalue())


@cache
def _say_full(root: str, gigabytes: float) -> None:
    if gigabytes:  # zero is somebody's choice
        print(
            f"{root}/{FOLDER} is full (teacher_outputs_gb={gigabytes:g}): "
            "what does not fit is computed again by every cohort",
            file=sys.stderr,
        )


def stored_bytes(root: str | Path) -> int:
    """Bytes of all such files under a root."""
    return sum(path.stat().st_size for path in (Path(root) / FOLDER).glob("*/*.npy"))
