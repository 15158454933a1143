"""Models that are saved under a root, whole, with digests of what they are."""

import shutil
import sys
from typing import Any

from torch import nn

from kdlab.models.heads import quiet
from kdlab.models.saved_files import flaw, folder, recorded_weights, write_digests
from kdlab.storage.durable import PARTIAL, short_digest


def digest(model: nn.Module) -> str:
    """A digest of a model's weights: equal if and only if all names, shapes and bits are."""
    parts = [
        f"{name} {list(tensor.shape)}".encode()
        + tensor.detach().cpu().contiguous().numpy().tobytes()
        for name, tensor in sorted(model.state_dict().items())
    ]
    return short_digest(b"".join(parts))


def save(model: Any, tokenizer: Any, root: str, uid: str) -> None:
    """Write a model folder that transformers' Auto classes read, whole or not at all.

    A folder that is there stays, unless it is damaged.
    """
    target = folder(root, uid)
    weights = digest(model)
    # The model of an earlier record is as good: a repeat may have other weights.
    why = flaw(root, uid, recorded_weights(root, uid) | {weights})
    if why is None:
        return
    partial = target.with_name(f"{uid}{PARTIAL}")
    shutil.rmtree(partial, ignore_errors=True)
    with quiet():
        model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    write_digests(partial, weights)
    if target.exists():
        print(f"run {uid}: {why}; it is written anew", file=sys.stderr, flush=True)
        shutil.rmtree(target)
    partial.rename(target)
