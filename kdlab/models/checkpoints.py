"""Where a model's files are, what they are, and a digest that names them.

A checkpoint is written as a folder, or as `name@commit` of the Hugging Face hub, with all 40
digits of the commit so that a run means the same files for ever.
"""

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from kdlab.architecture import Architecture
from kdlab.errors import BadInput
from kdlab.models.families import FAMILIES
from kdlab.options.memo import of_files

PINNED = re.compile(r"[^@]+@[0-9a-f]{40}")
FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]


def is_folder(checkpoint: str) -> bool:
    """Whether it is a folder here; otherwise it must be a pinned hub name."""
    if Path(checkpoint).expanduser().is_dir():
        return True
    if not PINNED.fullmatch(checkpoint):
        raise BadInput(
            f"checkpoint {checkpoint!r}: neither a folder nor a hub name pinned as name@commit "
            "(40 hexadecimal digits, from the model page's list of commits)"
        )
    return False


def locate(checkpoint: str) -> Path:
    """The folder with a checkpoint's files, fetched from the hub if they are not here yet."""
    if is_folder(checkpoint):
        return Path(checkpoint).expanduser().resolve()
    from huggingface_hub import snapshot_download

    name, _, commit = checkpoint.rpartition("@")
    try:
        return Path(snapshot_download(name, revision=commit, allow_patterns=FILES))
    except Exception as error:
        raise BadInput(
            f"checkpoint {checkpoint}: not in the cache and not fetched: {error}"
        ) from None


@of_files
def identity(checkpoint: str) -> str:
    """What names the content: `name@commit`, or a SHA-256 over a folder's files."""
    if not is_folder(checkpoint):
        return checkpoint
    folder = locate(checkpoint)
    files = sorted(path for pattern in FILES for path in folder.glob(pattern))
    if not any(path.suffix == ".safetensors" for path in files):
        raise BadInput(
            f"checkpoint {checkpoint}: no .safetensors file (pickled weights are refused)"
        )
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}:{file_digest(path)}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def file_digest(path: Path) -> str:
    """SHA-256 of a file, remembered for as long as its size and time stay the same."""
    state = path.stat()
    return _digest(str(path), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest(path: str, size: int, time: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@of_files
def architecture(checkpoint: str) -> Architecture:
    """The dimensions that a checkpoint's config.json states."""
    page = config(checkpoint)
    try:
        family = page["model_type"]
        if family not in FAMILIES:
            known = ", ".join(FAMILIES)
            raise BadInput(f"checkpoint {checkpoint}: model_type {family}; known: {known}")
        return Architecture(family, *(page[name] for name in FAMILIES[family].names))
    except KeyError as error:
        raise BadInput(f"checkpoint {checkpoint}: config.json has no {error}") from None


def outputs(checkpoint: str) -> int:
    """Outputs of a classifier, as its config.json states them; unstated it has two."""
    page = config(checkpoint)
    return len(page.get("id2label") or ()) or int(page.get("num_labels", 2))


def names(checkpoint: str) -> list[str] | None:
    """What a classifier's outputs are called, in their order; None where config.json is silent."""
    page = config(checkpoint).get("id2label")
    if not isinstance(page, dict):
        return None
    try:
        return [str(page[key]) for key in sorted(page, key=int)]
    except ValueError:
        raise BadInput(
            f"checkpoint {checkpoint}: id2label in config.json is not numbered"
        ) from None


def _config_file(checkpoint: str) -> Path:
    if is_folder(checkpoint):
        return locate(checkpoint) / "config.json"
    from huggingface_hub import hf_hub_download

    name, _, commit = checkpoint.rpartition("@")
    try:  # planning needs no weights
        return Path(hf_hub_download(name, "config.json", revision=commit))
    except Exception as error:
        raise BadInput(
            f"checkpoint {checkpoint}: not in the cache and not fetched: {error}"
        ) from None


def config(checkpoint: str) -> dict[str, Any]:
    """What a checkpoint's config.json says."""
    path = _config_file(checkpoint)
    if not path.is_file():
        raise BadInput(f"checkpoint {checkpoint}: no config.json")
    page = json.loads(path.read_text())
    return page if isinstance(page, dict) else {}
