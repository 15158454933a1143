"""What makes the CPU wait for a GPU: whatever brings it the values of a tensor."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from kdlab.models import attention_heads
from kdlab.training import student_state

# Operations whose result, or the size of it, is known only when its input is computed.
SIZES = {"_local_scalar_dense", "equal", "masked_select", "nonzero", "unique_dim", "_unique2"}
# Of a tensor on a CPU these are no operations: they read its memory.
METHODS = {"tolist", "numpy", "item", "cpu", "__bool__", "__float__", "__int__", "__array__"}


@contextmanager
def in_updates() -> Iterator[dict[str, set[str]]]:
    """By uid, what the second update of a run reads, outside of the reads that are meant to be."""
    waits: dict[str, set[str]] = {}
    update, read, asked = student_state.update, student_state._read, attention_heads.ASKED
    paused = False

    def watched(student: Any, *arguments: Any) -> None:
        if student.step != 1:  # one is enough, and watching takes longer than the update
            update(student, *arguments)
            return
        of_run = waits.setdefault(student.run.uid, set())
        with (
            _Methods(lambda name: paused or of_run.add(name)),
            _Operations(lambda name: paused or of_run.add(name)),
        ):
            update(student, *arguments)

    def meant(*arguments: Any) -> None:
        nonlocal paused
        paused = True
        try:
            read(*arguments)
        finally:
            paused = False

    # As on a GPU, where no mask is asked.
    student_state.update, student_state._read, attention_heads.ASKED = watched, meant, ()
    try:
        yield waits
    finally:
        student_state.update, student_state._read, attention_heads.ASKED = update, read, asked


class _Methods(TorchFunctionMode):
    def __init__(self, note: Any) -> None:
        super().__init__()
        self.note = note

    def __torch_function__(self, function, types, arguments=(), keywords=None):
        name = getattr(function, "__name__", "")
        if name in METHODS and isinstance(arguments[0], Tensor):
            self.note(name)
        return function(*arguments, **(keywords or {}))


class _Operations(TorchDispatchMode):
    def __init__(self, note: Any) -> None:
        super().__init__()
        self.note = note

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        name = function.overloadpacket.__name__
        if name in SIZES or (name in ("index", "index_put", "index_put_") and _by_mask(arguments)):
            self.note(name)
        return function(*arguments, **(keywords or {}))


def _by_mask(arguments: Any) -> bool:
    """Whether a tensor is indexed by one of truth values, which has to be counted."""
    return any(index is not None and index.dtype == torch.bool for index in arguments[1])
