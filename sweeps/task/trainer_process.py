"""The process in which cohorts train.

It is kept from one cohort to the next, since loading torch takes seconds. It may die of a segfault
or for want of memory: the worker that started it goes on.
"""

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

TRAINED, STOPPED = "done", "stopped"  # what became of a cohort, beside the classes of trouble
GRACE = 25.0  # seconds to finish a step and save; SLURM kills after 30 (KillWait) by default


class TrainerProcess:
    """A child process that trains the cohorts of one shard; started when first needed.

    Attributes:
        shard: the shard's file.
        process: the child; None while there is none.
        connection: our end of the pipe to it: uids go out, what became of them comes back.
        oom_kills: the kernel's count of kills for want of memory when the cohort was handed over.
    """

    def __init__(self, shard: str) -> None:
        self.shard = shard
        self.process: Any = None
        self.connection: Any = None
        self.oom_kills = 0

    def start(self, uids: list[str]) -> None:
        """Hand a cohort to the process, which is started anew if it died."""
        if self.process is None or not self.process.is_alive():
            context = multiprocessing.get_context("spawn")
            self.connection, childs_end = context.Pipe()
            self.process = context.Process(target=serve, args=(childs_end, self.shard, os.getpid()))
            self.process.start()
            childs_end.close()  # so that the child's death is the end of the pipe
        self.oom_kills = _oom_kills()
        with suppress(ConnectionError):  # it died this moment: `answer` notices
            self.connection.send(uids)

    def answer(self, seconds: float) -> dict[str, Any] | None:
        """Wait for the cohort, at most so many seconds; return what became of it.

        Returns:
            None if it still trains. Else a dict with the key `class`: `TRAINED`, `STOPPED`, or a
            class of trouble, beside which are the keys that `sweeps.journal.failures` describes
            trouble by.
        """
        # A pipe whose other end died has something to read as well: its end, an EOFError.
        if not self.connection.poll(seconds):
            return None
        try:
            return dict(self.connection.recv())
        except (EOFError, ConnectionError):
            self.process.join()
            return failures.describe_death(self.process.exitcode, _oom_kills() - self.oom_kills)

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
    """Train cohorts until the pipe is closed. This is what the child process runs.

    Args:
        connection: uids come in, what became of them goes out.
        path: the shard's file.
        worker: the process id of the parent.
    """
    from kdlab.training import stopping

    signal.signal(signal.SIGTERM, lambda *_: stopping.stop.set())
    # SLURM and terminals signal whole groups of processes: the worker decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    threading.Thread(target=_die_with, args=(worker,), daemon=True).start()
    shard = shards.read(path)
    while True:
        try:
            uids = connection.recv()
        except (EOFError, ConnectionError):
            return
        try:
            connection.send(_train(shard, uids))
        except BrokenPipeError:  # the worker is gone: records and checkpoints are on disk
            return


def _train(shard: shards.Shard, uids: list[str]) -> dict[str, str]:
    """Train a cohort; return what `TrainerProcess.answer` says of it."""
    from kdlab.cohort import distill
    from kdlab.training import stopping

    cohort = set(uids)
    # A cohort trains under one execution: where one model is kept, all of the cohort's are.
    execution = replace(
        shard.execution,
        save=shard.execution.save or bool(cohort & set(shard.save)),
        predict_test=bool(cohort & set(shard.predict)),
    )
    try:
        runs = [shard.run(uid) for uid in uids]
        distill(runs, execution, again=bool(cohort & set(shard.again)))
    except stopping.Stopped:
        return {"class": STOPPED}
    except Exception as error:
        return failures.describe(error)
    return {"class": TRAINED}


def _die_with(worker: int) -> None:
    """End when the worker does, since nobody would read the answer."""
    while os.getppid() == worker:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)  # sys.exit would end this thread alone


def _oom_kills() -> int:
    """How often the kernel killed for want of memory in this process's cgroup (version 2).

    A killed process cannot say why it died; this counter can. 0 where there is no such cgroup.
    """
    try:
        with open("/proc/self/cgroup") as file:
            group = next(line for line in file if line.startswith("0::")).strip()[3:]
        with open(f"/sys/fs/cgroup{group}/memory.events") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
    except (OSError, StopIteration):
        return 0
