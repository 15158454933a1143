"""Processes of this machine as /proc shows them, found by what their environment says."""

import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path


def wait_until(
    check: Callable[[], object], what: str, seconds: float = 30, every: float = 0.03
) -> None:
    """Return once `check()` is true; after `seconds` raise TimeoutError, which names `what`."""
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            raise TimeoutError(f"not after {seconds} s: {what}")
        time.sleep(every)


def pids() -> list[int]:
    """Every process, the dead that nobody has waited for included."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def environment(pid: int) -> dict[str, str]:
    """What the process was started with; empty when it is gone, dead or somebody else's."""
    pairs = (pair.partition("=") for pair in _read(pid, "environ").split("\0"))
    return {key: value for key, _, value in pairs}


def program(pid: int) -> str:
    """What the process runs, such as slurmd; empty when that cannot be read."""
    try:  # Debian's files are called slurmd-wlm and so on
        return Path(os.readlink(f"/proc/{pid}/exe")).name.removesuffix("-wlm")
    except OSError:
        return ""


def command_line(pid: int) -> str:
    """The words of the process's command; empty when it is gone."""
    return _read(pid, "cmdline").replace("\0", " ")


def with_descendants(roots: Iterable[int]) -> set[int]:
    """The processes and all that they started and that still hang below them."""
    children: dict[int, list[int]] = {}
    for pid in pids():
        children.setdefault(_parent(pid), []).append(pid)
    found, todo = set(), list(roots)
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.add(pid)
            todo += children.get(pid, [])
    return found


def children(pid: int) -> list[int]:
    """The processes that a process started and that still hang below it."""
    return [child for child in pids() if _parent(child) == pid]


def kill_all(find: Callable[[], set[int]], seconds: float = 10) -> None:
    """SIGKILL what `find()` returns until it returns nothing: what dies may have just forked."""

    def none_left() -> bool:
        found = {pid for pid in find() if alive(pid)}
        for pid in found:
            send(pid, signal.SIGKILL)
        return not found

    wait_until(none_left, "processes killed", seconds)


def alive(pid: int) -> bool:
    """Whether the process still runs; one that is dead but not waited for does not."""
    return _status(pid)[0] not in ("", "Z", "X")


def is_stopped(pid: int) -> bool:
    """Whether the process was told to stop and did."""
    return _status(pid)[0] == "T"


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process that may have ended meanwhile."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _parent(pid: int) -> int:
    return int(_status(pid)[1])


def _status(pid: int) -> tuple[str, str]:
    # The second field is the program's name in brackets and may itself hold blanks and brackets.
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return (fields[0], fields[1]) if fields else ("", "0")


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""
