"""What depends on the device of tensors: its choice, random state, determinism, time, memory.

A GPU works asynchronously: an operation is queued and done later. Nothing here waits for it except
reading a clock, so that times are of the work itself and measuring costs no time.
"""

import os
import platform
import resource
import time
import warnings
from collections.abc import Iterator, Sequence
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
        with warnings.catch_warnings():
            # One warning for everybody who trains with a mask is none.
            warnings.filterwarnings("ignore", message="Memory Efficient attention defaults to")
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


@dataclass
class RandomState:
    """A random state of its own, of the CPU and, on a GPU, of that.

    Attributes:
        cpu: what the CPU's generator is set to.
        gpu: a generator whose state is drawn from in place of the GPU's own: it is shared, not
            copied, so that a CUDA graph that was recorded with it goes on drawing from it.
    """

    cpu: Tensor
    gpu: torch.Generator | None = None

    def copy(self) -> "RandomState":
        """The same states, drawn from by themselves."""
        copied = RandomState(self.cpu)
        if self.gpu:
            copied.gpu = torch.Generator(self.gpu.device)
            copied.gpu.set_state(self.gpu.get_state())
        return copied

    def state_dict(self) -> dict[str, Tensor]:
        """Both states, on the CPU."""
        return {"cpu": self.cpu} | ({"gpu": self.gpu.get_state()} if self.gpu else {})

    def load_state_dict(self, states: dict[str, Tensor]) -> None:
        """Go on from states that `state_dict` gave."""
        self.cpu = states["cpu"]
        if self.gpu:
            self.gpu.set_state(states["gpu"])


def seeded(device: torch.device, seed: int) -> RandomState:
    """The random state after a seed, of the CPU and of the device if that is a GPU."""
    # The CPU's too, for what a model draws there though it is on a GPU.
    gpu = torch.Generator(device).manual_seed(seed) if device.type == "cuda" else None
    return RandomState(torch.Generator().manual_seed(seed).get_state(), gpu)


@contextmanager
def random_state(state: RandomState) -> Iterator[None]:
    """Inside, draw from this state; afterwards the process has its own random state again.

    The state is changed in place, so that the next use goes on where this one ended. Only the
    device's own state is touched, no other GPU's.
    """
    outer = torch.get_rng_state()
    torch.set_rng_state(state.cpu)
    try:
        with _drawn_from(state.gpu):
            yield
    finally:
        state.cpu = torch.get_rng_state()
        torch.set_rng_state(outer)


@contextmanager
def _drawn_from(generator: torch.Generator | None) -> Iterator[None]:
    """Let a GPU's operations draw from a generator's state; nothing is copied through the CPU."""
    if generator is None:
        yield
        return
    default = torch.cuda.default_generators[generator.device.index]
    # Not `set_state`, which copies numbers, and is refused while a graph is recorded.
    outer = default.graphsafe_get_state()
    default.graphsafe_set_state(generator)
    try:
        yield
    finally:
        default.graphsafe_set_state(outer)


# ---- time and memory ---------------------------------------------------------------------------


@dataclass
class Clock:
    """Seconds that a device spends on something, added up over laps.

    On a GPU a lap is the time between two events in its stream of work, so that work which others
    queued is not counted.

    Attributes:
        device: that works.
        earlier: seconds of the laps that are added up.
        laps: first and last event of each lap that is not, on a GPU, and the share of it that
            counts.
    """

    device: torch.device
    earlier: float = 0.0
    laps: list[tuple[Any, Any, float]] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        """One lap: count the work inside."""
        with running_together([self]):
            yield

    def seconds(self) -> float:
        """Seconds of all laps; on a GPU this waits for the last one's work."""
        self._add(len(self.laps))
        return self.earlier

    def _count(self, began: Any, ended: Any, share: float) -> None:
        if self.device.type != "cuda":
            self.earlier += share * (ended - began)
            return
        self.laps.append((began, ended, share))
        if len(self.laps) > MAX_LAPS:
            self._add(MAX_LAPS // 2)

    def _add(self, laps: int) -> None:
        done, self.laps = self.laps[:laps], self.laps[laps:]
        if done:  # the last one ends after all others
            done[-1][1].synchronize()
        self.earlier += sum(share * began.elapsed_time(ended) for began, ended, share in done) / 1e3


@contextmanager
def running_together(clocks: Sequence[Clock]) -> Iterator[None]:
    """One lap of several clocks of a device: each counts an equal share of the work inside."""
    began = _now(clocks[0].device)
    try:
        yield
    finally:
        ended = _now(clocks[0].device)
        for clock in clocks:
            clock._count(began, ended, 1 / len(clocks))


def _now(device: torch.device) -> Any:
    if device.type != "cuda":
        return time.monotonic()
    # An event is queued like work, so that it has the time at which the GPU comes to it.
    event = torch.cuda.Event(enable_timing=True)
    event.record(torch.cuda.current_stream(device))
    return event


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
