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
from kdlab.storage import locks
from kdlab.storage.durable import write_whole
from sweeps.journal import events
from sweeps.launchers.submission import Submission, environment

POOL_START = 30.0  # seconds for a pool to take its lock


def submit(submission: Submission, *, parallel: Count) -> str:
    """Start a pool for a submission; return its process id.

    Args:
        submission: the tasks, and the pools that must end before them.
        parallel: processes at a time.
    """
    pool = {
        "shards": [str(path) for path in submission.shards],
        "intent": submission.intent,
        "root": str(submission.root),
        "after": submission.after,
        "parallel": parallel,
    }
    path = submission.folder / "pool.json"
    write_whole(path, json.dumps(pool).encode())
    inherited = os.environ.get("PYTHONPATH")
    env = os.environ | environment(submission.code)
    if inherited:
        env["PYTHONPATH"] += os.pathsep + inherited
    pid = _start_detached(path, env | {"LOG": str(submission.folder / "pool.log")})
    # Until the pool holds its lock, another launch would take its tasks for lost.
    end = time.monotonic() + POOL_START
    while not _is_alive(submission.root, submission.intent) and time.monotonic() < end:
        time.sleep(0.02)
        try:
            os.kill(pid, 0)  # sends nothing, but fails where there is no such process
        except ProcessLookupError:  # it is done already, or could not start: its log says
            break
    return str(pid)


def _start_detached(pool: Path, env: dict[str, str]) -> int:
    """Start a pool through a shell, so that it is no child of this process and outlives it."""
    detach = '"$@" >>"$LOG" 2>&1 </dev/null & echo $!'
    printed = subprocess.run(
        ["sh", "-c", detach, "sh", sys.executable, "-m", "sweeps.launchers.local", str(pool)],
        env=env,
        start_new_session=True,  # a Ctrl-C in the terminal is not for the pool
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    return int(printed)


def live(root: Path, intents: Sequence[events.Event], fresh: bool) -> dict[events.TaskId, str]:
    """The tasks of pools that are alive."""
    return {
        (event["intent"], index): "RUNNING"
        for event in intents
        if _is_alive(root, event["intent"])
        for index in range(len(event["shards"]))
    }


def adopt(root: Path, intents: Sequence[events.Event]) -> dict[str, str]:
    """Nothing: a pool writes its own `submitted` event."""
    return {}


def cancel(root: Path, intent: events.Event) -> None:
    """Ask an intent's pool to end: its cohorts are saved.

    Raises:
        BadInput: the pool is on another machine.
    """
    if not _is_alive(root, intent["intent"]):
        return
    if intent["host"] != socket.gethostname():
        raise BadInput(
            f"a pool of {intent['study']} is at work on {intent['host']}: cancel it there"
        )
    os.kill(int(intent["job"]), signal.SIGTERM)


def largest_array() -> int | None:
    """None: a pool takes any number of tasks."""
    return None


def limits() -> str:
    """The cores of this machine."""
    return f"{os.cpu_count()} cores"


def _lock(root: Path, intent: str) -> FileLock:
    # Colleagues share a root as far as their umask says.
    return locks.lock(root, intent, mode=0o666)


def _is_alive(root: Path, intent: str) -> bool:
    """Whether a pool holds its lock, which the kernel takes away however the pool ends."""
    try:
        with _lock(root, intent).acquire(blocking=False):
            return False
    except Timeout:
        return True


def _run_pool(path: Path) -> None:
    """Run a pool's tasks, `parallel` at a time; on SIGTERM hand the signal on and start no more."""
    pool = json.loads(path.read_text())
    root, intent = Path(pool["root"]), pool["intent"]
    children: list[subprocess.Popen[bytes]] = []
    signals: list[int] = []

    def end(number: int, _: object) -> None:
        signals.append(number)
        for child in children:
            child.terminate()

    signal.signal(signal.SIGTERM, end)

    def run(index: int) -> None:
        if signals:
            return
        shard = pool["shards"][index]
        command = [sys.executable, "-m", "sweeps.task.worker", shard, intent, str(index)]
        with open(path.parent / f"{index}.log", "ab") as log:
            child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        children.append(child)
        if signals:  # the signal came after the test above, before the child was in the list
            child.terminate()
        child.wait()

    # Before the lock is held: whatever is alive can be found, and cancelled.
    events.append(root, "submitted", intent=intent, job=str(os.getpid()))
    with _lock(root, intent):
        while any(_is_alive(root, other) for other in pool["after"]) and not signals:
            time.sleep(0.2)
        with ThreadPoolExecutor(pool["parallel"]) as executor:
            list(executor.map(run, range(len(pool["shards"]))))  # list: reading raises errors


if __name__ == "__main__":
    _run_pool(Path(sys.argv[1]))
