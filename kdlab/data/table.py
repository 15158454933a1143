"""Tables from a folder of Parquet files or from a data set of the Hugging Face hub."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from kdlab.checkpoints import file_digest
from kdlab.data.source import Source
from kdlab.schema import BadInput


def source(*, path: str, revision: str | None, subset: str | None, folder: str | None) -> Source:
    """A folder, if `path` is one, else the hub's data set of that name.

    A split `SUBSET/NAME` is one of another subset.

    Args:
        path: a folder, or a hub name such as `nyu-mll/glue`.
        revision: the hub commit, all 40 digits: it is part of a run's identity.
        subset: the hub's configuration of the data set, such as `sst2`.
        folder: the subset's folder below `path`, where it is not named as `subset`.
    """
    if Path(path).expanduser().is_dir():
        root = Path(path).expanduser().resolve()
        rooms = [root / name for name in (folder, subset) if name and (root / name).is_dir()]
        if not rooms and (folder or subset):
            raise BadInput(f"task.path: {root} has no folder {folder or subset}")
        room = rooms[0] if rooms else root
        return Source(partial(_read, root, room), partial(_identity, root, room))
    if not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", path):
        raise BadInput(f"task.path={path}: no such folder")
    if not revision or not re.fullmatch("[0-9a-f]{40}", revision):
        raise BadInput(
            f"task.path={path}: no such folder; a data set of the hub needs task.revision, "
            "all 40 digits of a commit"
        )
    return Source(
        partial(_download, path, revision, subset), partial(_pinned, path, revision, subset)
    )


def _file(room: Path, split: str) -> Path:
    # Local copies often say dev where the hub says validation.
    for name in (split, split.replace("validation", "dev")):
        for path in (room / f"{name}.parquet", room / f"{name}-00000-of-00001.parquet"):
            if path.is_file():
                return path
    there = ", ".join(sorted(path.stem for path in room.glob("*.parquet"))) or "none"
    raise BadInput(f"task: no Parquet file for split {split} in {room}; there: {there}")


def _elsewhere(root: Path, room: Path, split: str) -> tuple[Path, str]:
    """The folder and the name of a split, whose subset may be written in other letters there."""
    subset, _, name = split.rpartition("/")
    rooms = [path for path in sorted(root.iterdir()) if path.name.lower() == subset.lower()]
    if subset and not rooms:
        raise BadInput(f"task.path: {root} has no folder {subset}")
    return (rooms[0] if subset else room), name


def _read(root: Path, room: Path, split: str) -> pd.DataFrame:
    return pd.read_parquet(_file(*_elsewhere(root, room, split)))


def _identity(root: Path, room: Path, splits: Sequence[str]) -> dict[str, str]:
    return {split: file_digest(_file(*_elsewhere(root, room, split))) for split in splits}


def _download(path: str, revision: str, subset: str | None, split: str) -> pd.DataFrame:
    import datasets

    other, _, name = split.rpartition("/")
    try:
        table = datasets.load_dataset(path, other or subset, split=name, revision=revision)
    except Exception as error:
        raise BadInput(f"task.path={path}: no such folder, and not fetched: {error}") from None
    return pd.DataFrame(table.to_pandas())


def _pinned(path: str, revision: str, subset: str | None, splits: Sequence[str]) -> Any:
    subsets = {split: split.rpartition("/")[0] or subset for split in splits}
    return {split: f"{path}@{revision}/{own}" for split, own in subsets.items()}
