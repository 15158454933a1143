"""Locks between processes, as files under a root."""

from pathlib import Path
from typing import Any

from filelock import FileLock


def lock(root: str | Path, name: str, **mode: Any) -> FileLock:
    """The lock of a name, not yet taken: `locks/<name>.lock` under a root.

    Args:
        root: whose processes exclude each other.
        name: of what only one of them may do at a time, such as a run's uid.
        mode: of the file, where it is another than filelock's own.
    """
    path = Path(root) / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, **mode)
