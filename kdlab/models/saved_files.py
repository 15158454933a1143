"""Saved models as folders of files, and whether those are what was saved. Loads no torch."""

import json
from collections.abc import Collection
from pathlib import Path

from kdlab import record
from kdlab.durable import Damaged, write_whole
from kdlab.models.checkpoints import file_digest

DIGESTS = "digests.json"  # in a model's folder: of its files, and of its weights as in its record


def folder(root: str | Path, uid: str) -> Path:
    """Where a run's model is saved."""
    return Path(root) / "models" / uid


def sign(room: Path, weights: str) -> None:
    """Write the digests of a model's files beside them.

    Args:
        room: the model's folder.
        weights: the digest of its weights that its record has.
    """
    files = {path.name: file_digest(path) for path in _files(room)}
    write_whole(room / DIGESTS, json.dumps({"weights": weights, "files": files}).encode())


def flaw(root: str | Path, uid: str, weights: Collection[str] = ()) -> str | None:
    """Why a run has no model that could be used; None if it has.

    Files are read once in a process, for as long as they keep size and time.

    Args:
        root, uid: where models are, and whose.
        weights: digests of which the model's must be one, if any: those of the run's records.
    """
    room = folder(root, uid)
    if not room.is_dir():
        return f"{room} is not there"
    try:
        page = json.loads((room / DIGESTS).read_bytes())
        said, files = page["weights"], dict(page["files"])
        for name, digest in files.items():
            if file_digest(room / name) != digest:
                return f"{room / name} is damaged"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{room}: {DIGESTS} is damaged, or a file is missing ({error})"
    if weights and said not in weights:
        return f"{room} is not the model of a record"
    return None


def recorded(root: str | Path, uid: str) -> set[str]:
    """The digests of a run's weights that its records have."""
    records = record.read_all(root, record.entries(root).get(uid, ()))
    return {each.result["weights"] for each in records if "weights" in each.result}


def is_whole(root: str | Path, uid: str) -> bool:
    """Whether the model of a run is there, as it was saved and recorded."""
    return flaw(root, uid, recorded(root, uid)) is None


def checked(root: str | Path, uid: str) -> Path:
    """The folder of a run's model.

    Raises:
        Damaged: if its files are not what was saved, or its weights those of none of its records.
    """
    if why := flaw(root, uid, recorded(root, uid)):
        raise Damaged(f"model of run {uid}: {why}")
    return folder(root, uid)


def _files(room: Path) -> list[Path]:
    return sorted(path for path in room.iterdir() if path.name != DIGESTS)
