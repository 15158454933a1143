"""What the file of a launcher has, and how the file is found by the launcher's name.

A new launcher is one Python file and one YAML in `conf/launcher`. The YAML's `_target_` names the
file's function that submits, and gives a value to each of its options:

    def submit(submission: Submission, *, parallel: Count, ...) -> str:
        '''Submit tasks; return the scheduler's job id.'''

`parallel`, how many tasks run at a time, is an option of every launcher; the others are its own.
`submit` raises BadInput for what the scheduler will never take, `controller.Crowded` for what is
too large now, and RuntimeError where it is not known whether the scheduler took it. The file's
other functions are those of `LauncherFile`.
"""

import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Protocol, runtime_checkable

from kdlab.config import option_files
from kdlab.errors import BadInput
from sweeps.journal.events import ASKED_TO_STOP, Event, History, TaskId


@runtime_checkable
class LauncherFile(Protocol):
    """The functions beside `submit`: what becomes of submissions later.

    `intents` are `intent` events of this launcher. Each function raises RuntimeError if the
    scheduler does not answer.
    """

    def live(self, root: Path, intents: Sequence[Event], fresh: bool) -> dict[TaskId, str]:
        """The tasks that wait or run, with the scheduler's word for their state.

        Unless `fresh`, an answer that is a minute old will do.
        """

    def adopt(self, root: Path, intents: Sequence[Event]) -> dict[str, str]:
        """By intent the job id of those intents that have a job although no event says so."""

    def cancel(self, root: Path, intent: Event) -> None:
        """End an intent's tasks; those at work save their cohorts first."""

    def largest_array(self) -> int | None:
        """How many tasks one submission may have; None without a limit."""

    def limits(self) -> str:
        """What bounds a launch, in words for the user."""


def find(name: str) -> LauncherFile:
    """The file of a launcher by its name in events.

    Events may come from anybody who can write under the root. No code is imported because they
    name it: only what an option of `conf/launcher` names, or what is imported already.

    Raises:
        BadInput: naming the launcher.
    """
    module = _modules().get(name, name)
    if module in sys.modules or module in _modules().values():
        file = import_module(module)
        # For a module this asks whether it has functions of these names, no more.
        if isinstance(file, LauncherFile):
            return file
    raise BadInput(f"an event under this root is of launcher {name!r}, which is not here")


def name_of(target: str) -> str:
    """What events call a launcher whose function is `target`.

    Of a file of this package the file's name, so that it may move to another folder:
    `sweeps.launchers.slurm.submit` is `slurm`. Of any other file the whole path of its module.
    """
    module = target.rpartition(".")[0]
    package = __name__.partition(".launchers")[0]  # in a wheel it is kdlab.sweeps
    return module.rpartition(".")[2] if module.startswith(f"{package}.") else module


@cache
def _modules() -> dict[str, str]:
    """By name the modules of the launchers that there are options of."""
    options = (option_files.option("launcher", name) for name in option_files.options("launcher"))
    targets = [str(option["_target_"]) for option in options if "_target_" in option]
    return {name_of(target): target.rpartition(".")[0] for target in targets}


def live(root: str | Path, history: History, fresh: bool = True) -> dict[TaskId, str]:
    """The tasks that the schedulers of all open intents still know of, with their word for it.

    Raises:
        RuntimeError: a scheduler does not answer.
    """
    tasks: dict[TaskId, str] = {}
    for name, intents in open_intents(history).items():
        tasks |= find(name).live(Path(root), intents, fresh)
    # SLURM shows a task for some seconds after it has ended by itself.
    return {task: word for task, word in tasks.items() if not _has_ended(history, task)}


def open_intents(history: History) -> dict[str, list[Event]]:
    """By launcher the intents that may have tasks in a queue or at work."""
    by_launcher: dict[str, list[Event]] = {}
    for intent, event in history.intents.items():
        tasks = [(intent, index) for index in range(len(event["uids"]))]
        if intent not in history.refused and not all(_has_ended(history, task) for task in tasks):
            by_launcher.setdefault(event["launcher"], []).append(event)
    return by_launcher


def _has_ended(history: History, task: TaskId) -> bool:
    """Whether the task's last incarnation ended because it had nothing more to do."""
    incarnations = history.workers.get(task, [])
    why = history.exits.get(incarnations[-1]["file"]) if incarnations else None
    return why not in (None, ASKED_TO_STOP)
