"""A task stopped in the middle of a cohort, so that what hits it then hits runs half done."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kdlab.storage import ledger
from sweeps.journal import events

from .processes import alive, children, command_line, is_stopped, send, wait_until
from .sweeping import Sweep


@dataclass(frozen=True)
class Caught:
    """A task by its `worker` event, the process that trains its cohort, and the cohort."""

    worker: events.Event
    trains: int
    uids: tuple[str, ...]

    def told(self, sweep: Sweep, kind: str) -> bool:
        """Whether trouble of this class is held against this incarnation and this cohort."""
        return any(
            (event.get("class"), event.get("of") or event["file"], tuple(event.get("uids", ())))
            == (kind, self.worker["file"], self.uids)
            for event in events.read(sweep.root)
        )


@contextmanager
def caught(sweep: Sweep) -> Iterator[Caught]:
    """Stop a task whose cohort has begun and is not all recorded; in the end what is left goes on.

    The events alone say only what was: a cohort may end while they are read. Nothing ends in
    processes that are stopped.
    """
    found: list[Caught] = []

    def catch() -> bool:
        sweep.keep_busy()
        found.extend(_catch(sweep))
        return bool(found)

    wait_until(catch, "a task in the middle of a cohort", 180, every=0.1)
    (task,) = found
    try:
        yield task
    finally:
        _go_on([task.trains, task.worker["pid"]])


def _catch(sweep: Sweep) -> list[Caught]:
    state = events.fold(sweep.root)
    for worker in (incarnations[-1] for incarnations in state.workers.values()):
        pid = worker["pid"]
        # Its number may be another process's by now.
        if worker["file"] in state.running and "submitit" in command_line(pid):
            _stop(pid)
            trains = [child for child in children(pid) if "spawn_main" in command_line(child)]
            for child in trains:
                _stop(child)
            start = events.fold(sweep.root).running.get(worker["file"], {"uids": []})
            if trains and alive(pid) and set(start["uids"]) - set(ledger.index(sweep.root)):
                return [Caught(worker, trains[0], tuple(start["uids"]))]
            _go_on([*trains, pid])
    return []


def _stop(pid: int) -> None:
    send(pid, signal.SIGSTOP)
    wait_until(lambda: is_stopped(pid) or not alive(pid), f"{pid} stopped")


def _go_on(pids: Iterable[int]) -> None:
    for pid in pids:
        send(pid, signal.SIGCONT)
