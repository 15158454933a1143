"""Where a model's files are, what they are, and a digest that names them.

A checkpoint is written as a folder, or as `name@commit` of the Hugging Face hub, with all 40
digits of the commit so that a run means the same files for ever.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from kdlab.encoders.architecture import Architecture
from kdlab.encoders.families import FAMILIES
from kdlab.errors import BadInput
from kdlab.options.memo import of_files
from kdlab.storage import hub

PINNED = re.compile(r"[^@]+@[0-9a-f]{40}")
FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]


def is_folder(checkpoint: str) -> bool:
    """Whether a checkpoint is a folder on this machine; if not, it is a pinned name of the hub.

    Raises:
        BadInput: it is neither.
    """
    if Path(checkpoint).expanduser().is_dir():
        return True
    if not PINNED.fullmatch(checkpoint):
        raise BadInput(
            f"checkpoint {checkpoint!r}: neither a folder nor a hub name pinned as name@commit "
            "(40 hexadecimal digits, from the model page's list of commits)"
        )
    return False


def locate(checkpoint: str) -> Path:
    """The folder with a checkpoint's files, downloaded from the hub if its cache lacks them."""
    if is_folder(checkpoint):
        return Path(checkpoint).expanduser().resolve()
    from huggingface_hub import snapshot_download

    name, _, commit = checkpoint.rpartition("@")
    fetch = partial(snapshot_download, name, revision=commit, allow_patterns=FILES)
    return Path(hub.fetched(f"checkpoint {checkpoint}", fetch))


@of_files
def identity(checkpoint: str) -> str:
    """What names a checkpoint's content: `name@commit`, or a SHA-256 over a folder's files."""
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
    """SHA-256 of a file, computed once in a process while its size and time stay the same."""
    state = path.stat()
    return _digest(str(path), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest(path: str, size: int, time: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@of_files
def architecture(checkpoint: str) -> Architecture:
    """The dimensions of a checkpoint."""
    stated = dimensions(checkpoint)
    try:
        family = stated["model_type"]
        if family not in FAMILIES:
            known = ", ".join(FAMILIES)
            raise BadInput(f"checkpoint {checkpoint}: model_type {family}; known: {known}")
        return Architecture(family, *(stated[name] for name in FAMILIES[family].names))
    except KeyError as error:
        raise BadInput(f"checkpoint {checkpoint}: config.json has no {error}") from None


def dimensions(checkpoint: str) -> Mapping[str, Any]:
    """What a checkpoint's config.json says of its dimensions and its vocabulary, at least.

    Of a pinned checkpoint that is known here it is not downloaded: a plan needs no network.
    """
    return _known().get(checkpoint) or config(checkpoint)


def stated(checkpoint: str) -> Mapping[str, Any]:
    """What a checkpoint's config.json says, as `dimensions`; nothing of a tokenizer's folder."""
    if is_folder(checkpoint) and not (locate(checkpoint) / "config.json").is_file():
        return {}
    return dimensions(checkpoint)


@cache
def _known() -> Mapping[str, Mapping[str, Any]]:
    known = OmegaConf.load(Path(__file__).with_name("known_checkpoints.yaml"))
    content: Any = OmegaConf.to_container(known)
    return dict(content)


def output_count(checkpoint: str) -> int:
    """The outputs of a classifier, as its config.json states them; two where it does not."""
    stated = config(checkpoint)
    return len(stated.get("id2label") or ()) or int(stated.get("num_labels", 2))


def output_names(checkpoint: str) -> list[str] | None:
    """What a classifier's outputs are called, in order; None where config.json has no names."""
    names = config(checkpoint).get("id2label")
    if not isinstance(names, dict):
        return None
    try:
        return [str(names[key]) for key in sorted(names, key=int)]
    except ValueError:
        raise BadInput(
            f"checkpoint {checkpoint}: id2label in config.json is not numbered"
        ) from None


def _config_file(checkpoint: str) -> Path:
    if is_folder(checkpoint):
        return locate(checkpoint) / "config.json"
    from huggingface_hub import hf_hub_download

    name, _, commit = checkpoint.rpartition("@")
    # This file alone: planning needs no weights.
    fetch = partial(hf_hub_download, name, "config.json", revision=commit)
    return Path(hub.fetched(f"checkpoint {checkpoint}", fetch))


def config(checkpoint: str) -> dict[str, Any]:
    """The config.json of a checkpoint."""
    path = _config_file(checkpoint)
    if not path.is_file():
        raise BadInput(f"checkpoint {checkpoint}: no config.json")
    content = json.loads(path.read_text())
    return content if isinstance(content, dict) else {}
