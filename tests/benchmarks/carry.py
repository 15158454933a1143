"""A checkpoint in small pieces, its weights in bf16, for a machine that only takes small files.

    python tests/benchmarks/carry.py split CHECKPOINT PIECES [--mib 50]
    python tests/benchmarks/carry.py join PIECES CHECKPOINT

A bit more than a third of the bytes of float32; kdlab reads weights of either precision as float32.
The joined file is checked against the digest that `split` wrote.
"""

import argparse
import hashlib
import shutil
import zlib
from pathlib import Path

import numpy as np

WEIGHTS, DIGEST = "model.safetensors", "sha256"
SMALL = ("*.json", "*.txt", "*.model")


def split(checkpoint: Path, pieces: Path, mib: int) -> None:
    """Write the weights in bf16 as numbered pieces, and beside them the small files as they are."""
    import torch
    from safetensors.torch import load_file, save

    pieces.mkdir(parents=True)  # new, so that no piece of another split is among these
    weights = load_file(checkpoint / WEIGHTS)
    content = save(
        {name: x.to(torch.bfloat16) if x.is_floating_point() else x for name, x in weights.items()},
        metadata={"format": "pt"},
    )
    # The upper bytes of all numbers, then the lower ones: exponents are much alike.
    halves = np.frombuffer(content, dtype=np.uint8).reshape(-1, 2).T.tobytes()
    packed, size = zlib.compress(halves, 1), mib * 2**20
    for number, start in enumerate(range(0, len(packed), size)):
        (pieces / f"{WEIGHTS}.{number:04d}").write_bytes(packed[start : start + size])
    (pieces / DIGEST).write_text(hashlib.sha256(content).hexdigest())
    for path in small_files(checkpoint):
        shutil.copyfile(path, pieces / path.name)


def join(pieces: Path, checkpoint: Path) -> None:
    """Put a checkpoint together; ValueError if a piece is missing or damaged."""
    packed = b"".join(path.read_bytes() for path in sorted(pieces.glob(f"{WEIGHTS}.*")))
    try:
        halves = np.frombuffer(zlib.decompress(packed), dtype=np.uint8)
    except zlib.error:
        halves = np.empty(0, dtype=np.uint8)
    content = halves.reshape(2, -1).T.tobytes()
    if hashlib.sha256(content).hexdigest() != (pieces / DIGEST).read_text():
        raise ValueError(f"{pieces}: pieces are missing or damaged")
    checkpoint.mkdir(parents=True, exist_ok=True)
    (checkpoint / WEIGHTS).write_bytes(content)
    for path in small_files(pieces):
        shutil.copyfile(path, checkpoint / path.name)


def small_files(folder: Path) -> list[Path]:
    return [path for pattern in SMALL for path in sorted(folder.glob(pattern))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=["split", "join"])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--mib", type=int, default=50)
    given = parser.parse_args()
    if given.action == "split":
        split(given.source, given.target, given.mib)
    else:
        join(given.source, given.target)


if __name__ == "__main__":
    main()
