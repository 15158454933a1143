"""One bit of a file changed, as a disk or a memory may."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np


def flipped(path: Path, times: int = 20) -> Iterator[int]:
    """Change one bit of a file after another, anywhere in it; in the end it is what it was."""
    whole = path.read_bytes()
    try:
        for seed in range(times):
            path.write_bytes(whole)
            flip(path, seed)
            yield seed
    finally:
        path.write_bytes(whole)


def flip(path: Path, seed: int) -> None:
    """Change one bit of a file."""
    draw, content = np.random.default_rng(seed), bytearray(path.read_bytes())
    content[draw.integers(len(content))] ^= 1 << int(draw.integers(8))
    path.write_bytes(content)
