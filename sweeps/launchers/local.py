"""Tasks as processes on this machine. A pool runs them and outlives the command that started it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock, Timeout

from kdlab.errors import BadInput
from kdlab.options.schema import Count
from kdlab.record import write_whole
from sweeps.journal import events
from sweeps.journal.events import Event, Task
from sweeps.launchers.submission import Array, environment

START = 30.0  # seconds for a pool to say that it is there


def submit(array: Array, *, parallel: Count) -> str:
    """Start a pool for an array; return its process id.

    Args:
        array: the tasks, and the pools that must end before them.
        parallel: processes at a time.
    """
    page = {
        "shards": [str(path) for path in array.shards],
        "intent": array.intent,
        "root": str(array.root),
        "after": array.after,
        "parallel": parallel,
    }
    path = array.folder / "pool.json"
    write_whole(path, json.dumps(page).encode())
    inherited = os.environ.get("PYTHONPATH")
    env = os.environ | environment(array.code)
    if inherited:
        env["PYTHONPATH"] += os.pathsep + inherited
    # Through a shell, so that the pool is nobody's child here: it outlives the command.
    detach = '"$@" >>"$LOG" 2>&1 </dev/null & echo $!'
    pid = subprocess.run(
        ["sh", "-c", detach, "sh", sys.executable, "-m", "sweeps.launchers.local", str(path)],
        env=env | {"LOG": str(array.folder / "pool.log")},
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()
    end = time.monotonic() + START
    while not _is_alive(array.root, array.intent) and time.monotonic() < end:
        time.sleep(0.02)
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:  # it is done already, or could not start: its log says
            break
    return pid


def live(root: str | Path, intents: Sequence[Event], fresh: bool = True) -> dict[Task, str]:
    """The tasks that are waiting or at work, with their state."""
    return {
        (event["intent"], index): "RUNNING"
        for event in intents
        if _is_alive(Path(root), event["intent"])
        for index in range(len(event["shards"]))
    }


def adopt(root: str | Path, intents: Sequence[Event]) -> dict[str, str]:
    """The process ids of pools that nobody noted: none, as a pool notes itself."""
    return {}


def cancel(root: str | Path, event: Event) -> None:
    """Ask an intent's pool to end: its cohorts are saved."""
    if not _is_alive(Path(root), event["intent"]):
        return
    if event["host"] != socket.gethostname():
        raise BadInput(f"a pool of {event['study']} is at work on {event['host']}: cancel it there")
    os.kill(int(event["job"]), signal.SIGTERM)


def largest_array() -> int | None:
    """How many tasks a submission may have: as many as there are."""
    return None


def limits() -> str:
    """What bounds a launch here."""
    return f"{os.cpu_count()} cores"


def _lock(root: Path, intent: str) -> FileLock:
    path = root / "locks" / f"{intent}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, mode=0o666)  # colleagues share a root as far as their umask says


def _is_alive(root: Path, intent: str) -> bool:
    # The pool holds the lock for as long as it lives, however it ends.
    try:
        with _lock(root, intent).acquire(blocking=False):
            return False
    except Timeout:
        return True


def _pool(path: Path) -> None:
    page = json.loads(path.read_text())
    root, intent = Path(page["root"]), page["intent"]
    children: list[subprocess.Popen[bytes]] = []
    asked: list[int] = []

    def end(number: int, _: object) -> None:
        asked.append(number)
        for child in children:
            child.terminate()

    signal.signal(signal.SIGTERM, end)

    def run(index: int) -> None:
        if asked:
            return
        command = [
            sys.executable,
            "-m",
            "sweeps.task.worker",
            page["shards"][index],
            intent,
            str(index),
        ]
        with open(path.parent / f"{index}.log", "ab") as log:
            child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        children.append(child)
        if asked:
            child.terminate()
        child.wait()

    # Before the lock is held: whatever is alive can be found, and cancelled.
    events.append(root, "submitted", intent=intent, job=str(os.getpid()))
    with _lock(root, intent):
        while any(_is_alive(root, other) for other in page["after"]) and not asked:
            time.sleep(0.2)
        with ThreadPoolExecutor(page["parallel"]) as executor:
            list(executor.map(run, range(len(page["shards"]))))


if __name__ == "__main__":
    _pool(Path(sys.argv[1]))
