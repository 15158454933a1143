"""Random streams, keyed by (seed, name) and by nothing else.

Equal seeds mean the same order of rows, the same classifier and the same dropout in every arm of a
study, and adding a term never shifts another term's numbers.
"""

import hashlib
from random import Random


def key(seed: int, name: str) -> int:
    """A 63-bit seed for any generator, such as PyTorch's or NumPy's."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    # Not `hash`, which differs between processes; nor a number added to the seed, by which one
    # stream's seed 1 would be the next one's seed 0.
    return int.from_bytes(digest, "big") >> 1  # PyTorch takes seeds below 2^63


def stream(seed: int, name: str) -> Random:
    """A generator of Python's `random`, for what needs no tensors."""
    return Random(key(seed, name))
