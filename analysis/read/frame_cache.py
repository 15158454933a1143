"""A study's frame, kept in a file until one of the files that it was made from changes."""

import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd

from kdlab.storage.durable import Damaged, read_sealed, short_digest, write_sealed
from sweeps.journal.run_states import study_folder

NAME = "frame.sealed"
KEY = "made of"  # attribute of the frame in the file
# Code that makes the frame: another version of it makes the kept frame stale.
CODE = (
    "analysis/read/frame.py",
    "analysis/read/record_rows.py",
    "sweeps/journal/events.py",
    "sweeps/journal/failures.py",
    "sweeps/journal/run_states.py",
)


def kept_or_made(study: str, root: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """The frame of a study: the one in its file if records, events, plan and code are the same.

    Where the file cannot be read or written the frame is made anew.

    Args:
        study: its name.
        root: where its runs are.
        make: reads everything and makes the frame anew.
    """
    # Taken before anything is read: a record that is added meanwhile makes the file stale.
    path = study_folder(root, study) / NAME
    key = _key(path.parent, Path(root))
    # Sealed as a whole, as Parquet has checksums of its pages and none of its names and types.
    with suppress(OSError, Damaged):
        frame = pd.read_parquet(io.BytesIO(read_sealed(path)))
        if frame.attrs.pop(KEY, None) == key:
            return frame
    frame = make()
    frame.attrs[KEY] = key
    content = frame.to_parquet(index=False)
    with suppress(OSError):  # a folder that belongs to somebody else
        write_sealed(path, content)
    frame = pd.read_parquet(io.BytesIO(content))  # the same types as from the file
    del frame.attrs[KEY]
    return frame


def _key(folder: Path, root: Path) -> str:
    """A digest of all that a frame depends on; of big files their size and time."""
    files = [
        (path.name, path.stat().st_size, path.stat().st_mtime_ns)
        for kind in ("records", "events")
        for path in sorted((root / kind).glob("*.jsonl"))
    ]
    # Of two records of a run the frame takes that whose outputs are there: files may be deleted.
    outputs = sorted(path.name for path in (root / "outputs").glob("*.f16"))
    plan = short_digest((folder / "plan.parquet").read_bytes())
    return short_digest(json.dumps([files, outputs, plan, _code(), pd.__version__]).encode())


def _code() -> str:
    """A digest of the code that makes the frame."""
    project = Path(__file__).parents[2]
    return short_digest(b"".join((project / name).read_bytes() for name in CODE))
