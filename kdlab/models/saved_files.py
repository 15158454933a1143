"""Saved models as folders of files, and whether those are what was saved. Loads no torch."""

import json
from collections.abc import Collection
from pathlib import Path

from kdlab.models.checkpoints import file_digest
from kdlab.storage import ledger
from kdlab.storage.durable import Damaged, write_whole

DIGESTS = "digests.json"  # in a model's folder: digests of its files, and of its weights


def folder(root: str | Path, uid: str) -> Path:
    """Where a run's model is saved."""
    return Path(root) / "models" / uid


def write_digests(directory: Path, weights: str) -> None:
    """Write the digests of a model's files beside them.

    Args:
        directory: the model's folder.
        weights: the digest of its weights, as its record has it.
    """
    files = {p.name: file_digest(p) for p in sorted(directory.iterdir()) if p.name != DIGESTS}
    write_whole(directory / DIGESTS, json.dumps({"weights": weights, "files": files}).encode())


def signed_weights(root: str | Path, uid: str) -> str:
    """The digest of the weights of a run's model, as its folder says it."""
    return str(json.loads((folder(root, uid) / DIGESTS).read_bytes())["weights"])


def flaw(root: str | Path, uid: str, weights: Collection[str] = ()) -> str | None:
    """Why a run has no model that could be used; None if it has one.

    Files are read once in a process, for as long as they keep size and time.

    Args:
        root: where models are.
        uid: of the run.
        weights: of the run's records the digests of weights, one of which the model's must be; if
            there are none, any will do.
    """
    directory = folder(root, uid)
    if not directory.is_dir():
        return f"{directory} is not there"
    try:
        digests = json.loads((directory / DIGESTS).read_bytes())
        signed_weights, files = digests["weights"], dict(digests["files"])
        for name, digest in files.items():
            if file_digest(directory / name) != digest:
                return f"{directory / name} is damaged"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{directory}: {DIGESTS} is damaged, or a file is missing ({error})"
    if weights and signed_weights not in weights:
        return f"{directory} is not the model of a record"
    return None


def recorded_weights(root: str | Path, uid: str) -> set[str]:
    """The digests of weights in a run's records."""
    records = ledger.read_all(root, ledger.entries(root).get(uid, ()))
    return {each.result["weights"] for each in records if "weights" in each.result}


def is_whole(root: str | Path, uid: str) -> bool:
    """Whether a run's model is there, as it was saved and recorded."""
    return flaw(root, uid, recorded_weights(root, uid)) is None


def checked(root: str | Path, uid: str) -> Path:
    """The folder of a run's model.

    Raises:
        Damaged: its files are not what was saved, or its weights are in none of the run's records.
    """
    if why := flaw(root, uid, recorded_weights(root, uid)):
        raise Damaged(f"model of run {uid}: {why}")
    return folder(root, uid)
