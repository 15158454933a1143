"""What each process trains right now, for whoever waits or looks: one small file a process.

    life/<worker>.json     under the root; written anew every few seconds, gone when training ends

A file is whole but not synced: it is for people, no result depends on it, and one that a killed
process left behind is old after some minutes. A process that asks teachers, or scores, gives none.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from kdlab.storage.durable import PARTIAL, worker

FOLDER = "life"
EVERY = 5.0  # seconds between two signs
OLD = 180.0  # seconds after which a process is taken for dead: clocks of machines may differ


@dataclass(frozen=True)
class LifeSign:
    """How far a cohort is.

    Attributes:
        what: the cohort, for people.
        uids: of its runs.
        step, steps: the updates that were made, of all.
        rate: updates a second since this process began with the cohort.
    """

    what: str
    uids: tuple[str, ...]
    step: int
    steps: int
    rate: float


@contextmanager
def telling(
    root: str | Path, what: str, uids: Sequence[str], first: int, steps: int
) -> Iterator[Callable[[int], None]]:
    """Give a function that takes the number of updates made, and tells it every few seconds.

    Args:
        root: where records are.
        what: the cohort, for people.
        uids: of its runs.
        first: updates that earlier processes made.
        steps: updates in all.
    """
    path = Path(root) / FOLDER / f"{worker()}.json"
    began = time.monotonic()
    last_told = began

    def tell(step: int) -> None:
        nonlocal last_told
        now = time.monotonic()
        if now - last_told < EVERY:
            return
        last_told = now
        _write(path, LifeSign(what, tuple(uids), step, steps, (step - first) / (now - began)))

    try:
        yield tell
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _write(path: Path, sign: LifeSign) -> None:
    partial = path.with_suffix(PARTIAL)
    with suppress(OSError):  # a full disk is told by those whose files matter
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(asdict(sign)))
        partial.replace(path)


def read(root: str | Path) -> list[LifeSign]:
    """The signs that are not old, in the order of their files."""
    signs = []
    for path in sorted(Path(root, FOLDER).glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):  # gone, or no file of ours
            if time.time() - path.stat().st_mtime < OLD:
                content = json.loads(path.read_text())
                signs.append(LifeSign(**content | {"uids": tuple(content["uids"])}))
    return signs


def line(sign: LifeSign) -> str:
    """A sign as people read it: `sst2 seed 1, 6 side by side: 117 of 375 steps, 12 min left`."""
    left = (sign.steps - sign.step) / sign.rate if sign.rate else 0.0
    return f"{sign.what}: {sign.step} of {sign.steps} steps, {duration(left)} left"


def duration(seconds: float) -> str:
    """Such as 40 s, 12 min or 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
