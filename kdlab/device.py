"""What depends on the device of tensors: its choice, random state, determinism, time, memory.

A GPU works asynchronously: an operation is queued and done later. Nothing here waits for it except
reading a clock, so that times are of the work itself and measuring costs no time.
"""

import os
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdlab.errors import BadInput
from kdlab.options.schema import Execution

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
WORKSPACE = ":4096:8"  # 24 MB with which cuBLAS adds in one order (NVIDIA's documentation)
MAX_LAPS = 512  # after so many, the earlier half is added up: by then a GPU has done their work


def chosen(execution: Execution) -> torch.device:
    """The device that an execution names; `auto` is a GPU if there is one.

    Raises:
        BadInput: a GPU is asked for and there is none.
    """
    if execution.device == "cuda" and not torch.cuda.is_available():
        raise BadInput("device=cuda: there is no such device here")
    if execution.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    # With its index: tensors are on `cuda:0`, which is another device than `cuda` when compared.
    return torch.device("cuda", torch.cuda.current_device())


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """On a GPU, use algorithms that give the same bits each time, where there are such.

    An operation without one warns and runs nevertheless: `kdlab.storage.repeats` says what is
    promised.
    On a CPU operations are deterministic anyway, at an equal number of threads.
    """
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault(CUBLAS, WORKSPACE)  # read when CUDA's first matrix product is made
    enabled = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic  # a module whose attributes are properties
    filled = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False  # costs time, and finds other bugs
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warned)
        memory.fill_uninitialized_memory = filled


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device; a copy from the CPU to a GPU is queued, and nobody waits for it."""
    if device.type != "cuda" or tensor.device == device:
        return tensor.to(device)
    # Only out of page-locked memory does a copy not wait; PyTorch keeps that until it is done.
    return tensor.pin_memory().to(device, non_blocking=True)


# ---- random state ------------------------------------------------------------------------------


def seeded(device: torch.device, seed: int) -> list[Tensor]:
    """The random state after a seed, of the CPU and of the device if that is a GPU."""
    # The CPU's too, for what a model draws there though it is on a GPU.
    kinds = [torch.device("cpu"), *([device] if device.type == "cuda" else [])]
    return [torch.Generator(kind).manual_seed(seed).get_state() for kind in kinds]


@contextmanager
def random_state(states: list[Tensor], device: torch.device) -> Iterator[None]:
    """Inside, draw from these states; afterwards the process has its own random state again.

    The list is changed in place, so that the next use goes on where this one ended. Only the
    device's own state is touched, no other GPU's.
    """
    outer = _random_state(device)
    _set_random_state(states, device)
    try:
        yield
    finally:
        states[:] = _random_state(device)
        _set_random_state(outer, device)


def _random_state(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def _set_random_state(states: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)


# ---- time and memory ---------------------------------------------------------------------------


@dataclass
class Clock:
    """Seconds that a device spends on something, added up over laps.

    On a GPU a lap is the time between two events in its stream of work, so that work which others
    queued is not counted.

    Attributes:
        device: that works.
        earlier: seconds of the laps that are added up.
        laps: first and last event of each lap that is not, on a GPU.
    """

    device: torch.device
    earlier: float = 0.0
    laps: list[tuple[Any, Any]] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        """One lap: count the work inside."""
        began = self._now()
        try:
            yield
        finally:
            ended = self._now()
            if self.device.type == "cuda":
                self.laps.append((began, ended))
                if len(self.laps) > MAX_LAPS:
                    self._add(MAX_LAPS // 2)
            else:
                self.earlier += ended - began

    def seconds(self) -> float:
        """Seconds of all laps; on a GPU this waits for the last one's work."""
        self._add(len(self.laps))
        return self.earlier

    def _now(self) -> Any:
        if self.device.type != "cuda":
            return time.monotonic()
        # An event is queued like work, so that it has the time at which the GPU comes to it.
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def _add(self, laps: int) -> None:
        done, self.laps = self.laps[:laps], self.laps[laps:]
        if done:  # the last one ends after all others
            done[-1][1].synchronize()
        self.earlier += sum(began.elapsed_time(ended) for began, ended in done) / 1000


def settle(device: torch.device) -> None:
    """Wait until a GPU has done all its queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forget_peak(device: torch.device) -> None:
    """Measure `peak_memory` from here on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):  # no Linux, or not allowed: the peak stays the process's
        Path("/proc/self/clear_refs").write_text("5")  # 5 resets VmHWM, the peak (man 5 proc)


def peak_memory(device: torch.device) -> int:
    """The most bytes held at once since `forget_peak`: on a GPU by tensors, else by the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    unit = 1 if platform.system() == "Darwin" else 1024  # of ru_maxrss: bytes there, else KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
