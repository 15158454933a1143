"""Tables from a file, from a folder of files, or from a data set of the Hugging Face hub."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kdlab.data import files
from kdlab.data.source import Source
from kdlab.data.splits import order
from kdlab.errors import BadInput
from kdlab.models.checkpoints import file_digest
from kdlab.storage import hub

PARTS = ("train", "validation")  # the splits of a single table
VALIDATION = 0.1  # the share of its rows that are validation
TWO_FILES = "several: task.path=FOLDER task.train=a.csv task.report.report=b.csv"


def source(*, path: str, revision: str | None, subset: str | None, folder: str | None) -> Source:
    """A file or a folder, if `path` is one, else the hub's data set of that name.

    In a folder a split is the file of that name (.parquet, .csv, .tsv, .jsonl or .json), any file
    in it by its whole name, or a split that `save_to_disk` left; `SUBSET/NAME` is one of another
    subset. A single file has a split `train` and a split `validation`, which is a tenth of its
    rows, the same for ever.

    Args:
        path: a file, a folder, or a hub name such as `nyu-mll/glue`.
        revision: the hub commit, all 40 digits: it is part of a run's identity.
        subset: the hub's configuration of the data set, such as `sst2`.
        folder: the subset's folder below `path`, where it is not named as `subset`.
    """
    local = Path(path).expanduser()
    if local.is_file() or (local / files.STATE).is_file():
        return _single(local.resolve())
    if local.is_dir():
        root = local.resolve()
        below = [root / name for name in (folder, subset) if name and (root / name).is_dir()]
        if not below and (folder or subset):
            raise BadInput(f"task.path: {root} has no folder {folder or subset}")
        directory = below[0] if below else root
        return Source(partial(_read, root, directory), partial(_identity, root, directory))
    # Anything else must be a name of the hub; a missing file would look like one.
    if not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", path) or local.suffix in files.READERS:
        raise BadInput(f"task.path={path}: no such file or folder")
    if not revision or not re.fullmatch("[0-9a-f]{40}", revision):
        raise BadInput(
            f"task.path={path}: no such folder; a data set of the hub needs task.revision, "
            "all 40 digits of a commit"
        )
    return Source(
        partial(_download, path, revision, subset), partial(_pinned, path, revision, subset)
    )


def _single(path: Path) -> Source:
    """A single table, split once for all by the fixed order of its rows' positions."""
    if path.is_file() and path.suffix not in files.READERS:
        raise BadInput(f"task.path={path}: not one of {', '.join(files.READERS)}")

    def read(split: str) -> pd.DataFrame:
        _check_part(path, split)
        table = files.read(path)
        shuffled, size = order(np.arange(len(table))), int(VALIDATION * len(table))
        positions = np.sort(shuffled[:size] if split == "validation" else shuffled[size:])
        part = table.iloc[positions]
        return part if "idx" in part else part.assign(idx=positions)

    def identity(splits: Sequence[str]) -> Any:
        for split in splits:
            _check_part(path, split)
        return {"file": _digests(path), "validation": VALIDATION, "splits": sorted(splits)}

    return Source(read, identity)


def _check_part(path: Path, split: str) -> None:
    if split not in PARTS:
        raise BadInput(
            f"task: {path.name} is a single table, with splits {' and '.join(PARTS)} and no "
            f"{split}; {TWO_FILES}"
        )


def _file(directory: Path, split: str) -> Path:
    """The file of a split: of that whole name, or of that name and a known ending."""
    if (directory / split).suffix in files.READERS and (directory / split).is_file():
        return directory / split
    # Local copies often say dev where the hub says validation.
    for name in (split, split.replace("validation", "dev")):
        endings = [end + kind for kind in files.READERS for end in ("", "-00000-of-00001")]
        candidates = [path for end in endings if (path := directory / f"{name}{end}").is_file()]
        candidates += [directory / name] if (directory / name / files.STATE).is_file() else []
        if len(candidates) > 1:
            names = ", ".join(path.name for path in candidates)
            raise BadInput(
                f"task: split {split} in {directory} may be any of {names}: name the file"
            )
        if candidates:
            return candidates[0]
    tables = ", ".join(sorted({p.name for p in directory.iterdir() if _is_table(p)})) or "none"
    raise BadInput(f"task: no file for split {split} in {directory}; there: {tables}")


def _is_table(path: Path) -> bool:
    return path.suffix in files.READERS or (path / files.STATE).is_file()


def _in_subset(root: Path, directory: Path, split: str) -> tuple[Path, str]:
    """The folder and the name of a split; `SUBSET/NAME` is in SUBSET's, upper case or lower."""
    subset, _, name = split.rpartition("/")
    folders = [path for path in sorted(root.iterdir()) if path.name.lower() == subset.lower()]
    if subset and not folders:
        raise BadInput(f"task.path: {root} has no folder {subset}")
    return (folders[0] if subset else directory), name


def _read(root: Path, directory: Path, split: str) -> pd.DataFrame:
    return files.read(_file(*_in_subset(root, directory, split)))


def _identity(root: Path, directory: Path, splits: Sequence[str]) -> dict[str, Any]:
    return {split: _digests(_file(*_in_subset(root, directory, split))) for split in splits}


def _digests(path: Path) -> str:
    """What names a table's content, and how it is read: the ending and digests of its files."""
    try:
        digests = [file_digest(part) for part in files.parts(path)]
    except OSError as error:
        raise BadInput(f"task: {path} cannot be read: {error.strerror}") from None
    return f"{path.suffix.lstrip('.') or 'saved'}:{'+'.join(digests)}"


def _download(path: str, revision: str, subset: str | None, split: str) -> pd.DataFrame:
    import datasets

    own_subset, _, name = split.rpartition("/")
    load = partial(datasets.load_dataset, path, own_subset or subset, split=name, revision=revision)
    table = hub.fetched(f"task.path={path} (no such folder)", load)
    return files.ordered(pd.DataFrame(table.to_pandas()), table.features)


def _pinned(path: str, revision: str, subset: str | None, splits: Sequence[str]) -> Any:
    subsets = {split: split.rpartition("/")[0] or subset for split in splits}
    return {split: f"{path}@{revision}/{own}" for split, own in subsets.items()}
