"""The process in which cohorts train, kept warm from one to the next; its worker survives it."""

import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from sweeps.journal import failures
from sweeps.task import shards

DONE, STOPPED = "done", "stopped"
GRACE = 25.0  # seconds to finish a step and save; SLURM's KillWait is 30 by default


class Slot:
    """A child process that serves cohorts of one shard; started when first needed."""

    def __init__(self, shard: str) -> None:
        self.shard = shard
        self.process: Any = None
        self.connection: Any = None
        self.kills = 0

    def start(self, uids: list[str]) -> None:
        """Hand a cohort to the process."""
        if self.process is None or not self.process.is_alive():
            context = multiprocessing.get_context("spawn")
            self.connection, theirs = context.Pipe()
            self.process = context.Process(target=serve, args=(theirs, self.shard, os.getpid()))
            self.process.start()
            theirs.close()  # so that the child's death is the end of the pipe
        self.kills = _oom_kills()
        with suppress(ConnectionError):  # it died this moment: `answer` tells
            self.connection.send(uids)

    def answer(self, seconds: float) -> dict[str, Any] | None:
        """What came of the cohort; None if there is no news yet, a death if the process died."""
        if not self.connection.poll(seconds):
            return None
        try:
            return dict(self.connection.recv())
        except (EOFError, ConnectionError):
            self.process.join()
            return failures.death(self.process.exitcode, _oom_kills() - self.kills)

    def stop(self) -> None:
        """Let the process save what it trains, and end it."""
        if self.process is None:
            return
        self.connection.close()  # ends one that waits for work
        if self.process.is_alive():
            self.process.terminate()  # one that trains saves first
            self.process.join(GRACE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process = None


def serve(connection: Connection, path: str, worker: int) -> None:
    """Train cohorts until the pipe is closed."""
    from kdlab.cohort import distill
    from kdlab.training import loop

    signal.signal(signal.SIGTERM, lambda *_: loop.stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker's to handle
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    threading.Thread(target=_follow, args=(worker,), daemon=True).start()
    shard = shards.read(path)
    while True:
        try:
            uids = connection.recv()
        except (EOFError, ConnectionError):
            return
        try:
            execution = replace(
                shard.execution,
                save=shard.execution.save or bool(set(uids) & set(shard.save)),
                predict_test=bool(set(uids) & set(shard.predict)),
            )
            again = bool(set(uids) & set(shard.again))
            distill([shard.run(uid) for uid in uids], execution, again=again)
            answer = {"class": DONE}
        except loop.Stopped:
            answer = {"class": STOPPED}
        except Exception as error:
            answer = failures.describe(error)
        try:
            connection.send(answer)
        except BrokenPipeError:  # nobody asks any more: the records and checkpoints say it all
            return


def _follow(worker: int) -> None:
    """End when the worker does, as nobody would ask any more."""
    while os.getppid() == worker:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)


def _oom_kills() -> int:
    """How often the kernel killed for want of memory in this process's cgroup (version 2)."""
    try:
        with open("/proc/self/cgroup") as file:
            group = next(line for line in file if line.startswith("0::")).strip()[3:]
        with open(f"/sys/fs/cgroup{group}/memory.events") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
    except (OSError, StopIteration):
        return 0
