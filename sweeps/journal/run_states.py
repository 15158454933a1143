"""Where every run of a study stands."""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from kdlab.config import option_files
from kdlab.errors import BadInput
from kdlab.record import Entry
from sweeps.journal import failures
from sweeps.journal.events import Event, State, Task

DONE, DIVERGED = "done", "diverged"
FAILED, RUNNING, QUEUED, WAITING = "failed", "running", "queued", "to run"
STUDY = re.compile(r"\w[\w .,+=@()-]*")
ASKED = "asked to stop"  # the exit of a task that the scheduler may start again
STATES = (DONE, DIVERGED, FAILED, RUNNING, QUEUED, WAITING)


def states(
    uids: Mapping[str, Sequence[str]],
    done: Mapping[str, Entry],
    state: State,
    live: Mapping[Task, str],
) -> dict[str, str]:
    """The state of each run.

    Args:
        uids: each run, with the uids of its parents, which are among them.
        done: the index of the records.
        state: all events.
        live: the tasks that a scheduler knows of.
    """
    waiting = {uid for task in live for uid in _uids(state, task)}
    running = {
        uid
        for task in live
        for event in state.workers.get(task, [])
        if event["file"] in state.running and event["file"] not in state.exits
        for uid in state.running[event["file"]]["uids"]
    }
    failed = {uid for uid, events in state.trouble.items() if failures.failure(events)}
    lost: dict[str, bool] = {}

    def is_failed(uid: str) -> bool:
        """Whether it cannot be done: it failed itself, or a parent did that has no record."""
        if uid not in lost:
            stands = uid in failed and _stands(uid, uids[uid], done, state)
            lost[uid] = uid not in done and (stands or any(map(is_failed, uids[uid])))
        return lost[uid]

    found = {}
    for uid in uids:
        if uid in done:
            found[uid] = done[uid].status
        elif is_failed(uid):
            found[uid] = FAILED
        else:
            found[uid] = RUNNING if uid in running else QUEUED if uid in waiting else WAITING
    return found


def _stands(uid: str, parents: Sequence[str], done: Mapping[str, Entry], state: State) -> bool:
    """Whether a failure stands: parents that were brought home since clear their children."""
    found = failures.failure(state.trouble[uid])
    home = [parent for parent in parents if parent in done and done[parent].status == DONE]
    is_clear = bool(parents) and len(home) == len(parents)
    return not (found and found["class"] == "parent_failed" and is_clear)


def _uids(state: State, task: Task) -> list[str]:
    intent, index = task
    return list(state.intents[intent]["uids"][index])


def live(root: str | Path, state: State, fresh: bool = True) -> dict[Task, str]:
    """The tasks of all intents that their launchers still know of, by their word for it."""
    found: dict[Task, str] = {}
    for name, intents in by_launcher(state).items():
        found |= module(name).live(root, intents, fresh)
    return {task: word for task, word in found.items() if not _has_ended(state, task)}


def module(launcher: str) -> ModuleType:
    """Where a launcher's `live`, `adopt`, `cancel` and limits are.

    Events name it: no other code is loaded at their word than that of this package, of an option
    of `conf/launcher`, or what the command line has loaded.

    Raises:
        BadInput: naming the launcher.
    """
    path = _options().get(launcher, launcher)
    if path in sys.modules or path in _options().values():
        loaded = import_module(path)
        if all(hasattr(loaded, name) for name in ("live", "adopt", "cancel", "largest_array")):
            return loaded
    raise BadInput(f"an event under this root is of launcher {launcher!r}, which is not here")


def launcher_name(target: str) -> str:
    """What events call a launcher, by its function: `slurm`, where that is a file of this package.

    Such a file may move to another folder; a launcher of anyone else has its module's whole path.
    """
    module = target.rpartition(".")[0]
    return module.rpartition(".")[2] if module.startswith("sweeps.") else module


@cache
def _options() -> dict[str, str]:
    """The modules of the launchers that there are options of, by their names in events."""

    pages = (option_files.option("launcher", name) for name in option_files.options("launcher"))
    targets = [str(page["_target_"]) for page in pages if "_target_" in page]
    return {launcher_name(target): target.rpartition(".")[0] for target in targets}


def by_launcher(state: State) -> dict[str, list[Event]]:
    """Intents that may have tasks, by the module that submitted them."""
    found: dict[str, list[Event]] = {}
    for intent, event in state.intents.items():
        tasks = [(intent, index) for index in range(len(event["uids"]))]
        if intent not in state.refused and not all(_has_ended(state, task) for task in tasks):
            found.setdefault(event["launcher"], []).append(event)
    return found


def _has_ended(state: State, task: Task) -> bool:
    """Whether the task's last incarnation said that it had nothing more to do."""
    incarnations = state.workers.get(task, [])
    return bool(incarnations) and state.exits.get(incarnations[-1]["file"], ASKED) != ASKED


def recorded(done: Mapping[str, Entry], uids: Iterable[str]) -> int:
    """How many of these runs have a record."""
    return sum(1 for uid in uids if uid in done)


def hours(done: Mapping[str, Entry], uids: Iterable[str]) -> float:
    """Hours that the recorded ones of these runs took."""
    return sum(done[uid].seconds for uid in uids if uid in done) / 3600


def study_folder(root: str | Path, study: str) -> Path:
    """Where a study's own files lie.

    Raises:
        BadInput: a name that is none of a folder there.
    """
    check_name(study)
    return Path(root) / "studies" / study


def check_name(study: str) -> None:
    """Refuse a study's name that is none of a folder.

    Raises:
        BadInput: naming the characters that are allowed.
    """
    if not STUDY.fullmatch(study):
        raise BadInput(f"study {study!r}: a name has letters, digits and any of _ . , + = @ ( ) -")
