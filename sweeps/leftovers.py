"""What finished and dead processes left under a root, and what of it may go.

| what | goes when |
|---|---|
| checkpoint of a run | the run is recorded; or nobody touched it for `days` |
| `*.partial` file or folder | an hour old: no write takes so long |
| lock | nobody holds it, and it is a day old |
| life sign of a process | it is an hour old: the process was killed |

Nothing that belongs to a run goes while a process holds the run's lock, and no result ever does.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from filelock import FileLock, Timeout

from kdlab.storage import ledger, life_signs
from kdlab.storage.durable import PARTIAL

HOUR, DAY = 3600.0, 86400.0  # in seconds
LAUNCH_LOCK = "launch.lock"  # stays: two launches with a file each would submit everything twice


def clean(root: str, days: float, dry_run: bool) -> int:
    """Remove what may go, as `remove` does, and print what went."""
    removed = remove(root, days, dry_run)
    for path, size in removed:
        print(f"{size:>12,} {path}")
    word = "would be removed" if dry_run else "removed"
    print(f"{len(removed)} {word}, {sum(size for _, size in removed):,} bytes")
    return 0


def remove(root: str | Path, days: float, dry: bool) -> list[tuple[Path, int]]:
    """Remove what may go; return each path with its bytes.

    Args:
        root: of the runs.
        days: for which an unfinished run's checkpoint is kept.
        dry: only say what would go.
    """
    root = Path(root)
    removed = []
    for path, uid in chain(
        _checkpoints(root, set(ledger.index(root)), days),
        _partials(root),
        _life_signs(root),
        _locks(root),
    ):
        with _unused(root, uid) as is_unused:
            # Between listing and locking, whoever held the lock may have removed it.
            if is_unused and path.exists():
                removed.append((path, _size(path)))
                if not dry:
                    _remove(path)  # a lock too while it is held: whoever waits makes a new one
    return removed


def _checkpoints(root: Path, done: set[str], days: float) -> Iterator[tuple[Path, str]]:
    """Checkpoints of training that nobody needs, each with its run's uid."""
    for path in sorted((root / "checkpoints").glob("*.pt")):
        if path.stem in done or _age(path) > days * DAY:
            yield path, path.stem


def _partials(root: Path) -> Iterator[tuple[Path, str]]:
    """Unfinished files, each with what its name begins with: for a run's files that is its uid.

    For others it is no uid, so that no lock of that name exists and nothing holds them.
    """
    for path in sorted(root.rglob(f"*{PARTIAL}")):
        inside = any(parent.suffix == PARTIAL for parent in path.relative_to(root).parents)
        if not inside and _age(path) > HOUR:
            yield path, path.name.partition(".")[0]


def _life_signs(root: Path) -> Iterator[tuple[Path, str]]:
    """Old life signs, each with its process's name, which is no uid: nothing holds them."""
    for path in sorted((root / life_signs.FOLDER).glob("*.json")):
        if _age(path) > HOUR:
            yield path, path.stem


def _locks(root: Path) -> Iterator[tuple[Path, str]]:
    """Old locks, each with the uid of the run, or the name, that it is of."""
    for path in sorted((root / "locks").glob("*.lock")):
        if path.name != LAUNCH_LOCK and _age(path) >= DAY:
            yield path, path.stem


@contextmanager
def _unused(root: Path, uid: str) -> Iterator[bool]:
    """Whether no process works on a run; while the block lasts, none can begin to."""
    path = root / "locks" / f"{uid}.lock"
    # To take a lock makes its file: where there is none, nobody works, and none shall be made.
    if not path.exists():
        yield True
        return
    try:
        with FileLock(path).acquire(blocking=False):
            yield True
    except Timeout:
        yield False


def _age(path: Path) -> float:
    """Seconds since a file, or anything in a folder, was changed."""
    times = [changed.stat().st_mtime for changed in (path, *path.rglob("*"))]
    return time.time() - max(times)


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
