"""Files of what teachers say of rows: `teacher_outputs/<teacher>/<block>.<view>.npy`.

`kdlab.training.teacher_outputs` says what is in them. Each has a digest at its end, which is
checked at a process's first read.
"""

import io
import sys
from collections.abc import Collection
from functools import cache
from pathlib import Path

import numpy as np

from kdlab.storage import durable

FOLDER = "teacher_outputs"
Arrays = dict[str, np.ndarray]  # by view: [n, d], or [n, layers, d]


def read(root: str, teacher: str, block: str, views: Collection[str]) -> Arrays | None:
    """The views of a block, mapped into memory; None unless all are there and undamaged."""
    arrays = {}
    for view in views:
        path = _path(root, teacher, block, view)
        try:
            state = path.stat()
        except FileNotFoundError:
            return None
        if not _is_whole(path, state.st_size, state.st_mtime_ns):
            return None
        arrays[view] = np.load(path, mmap_mode="r", allow_pickle=False)
    return arrays


@cache
def _is_whole(path: Path, size: int, time: int) -> bool:
    """Whether a file is what was written, read once in a process for each of its states."""
    try:
        durable.read_sealed(path)
    except durable.Damaged:
        return False
    return True


def keep(root: str, teacher: str, block: str, arrays: Arrays, budget: float) -> None:
    """Write the views of a block, as far as there is room for them in all.

    Args:
        root, teacher, block: as in `read`.
        arrays: the views.
        budget: bytes of all files under the root, at most.
    """
    for view, array in arrays.items():
        if stored_bytes(root) + array.nbytes > budget:
            _say_full(root, budget / 1e9)
            return
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        durable.write_sealed(_path(root, teacher, block, view), buffer.getvalue())


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


def _path(root: str, teacher: str, block: str, view: str) -> Path:
    return Path(root) / FOLDER / teacher / f"{block}.{view}.npy"
