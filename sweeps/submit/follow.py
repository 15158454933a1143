"""Waiting for submitted runs, and saying meanwhile what is at work."""

import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.live import Live

from kdlab.storage import ledger, life_signs
from kdlab.storage.life_signs import LifeSign
from sweeps.journal import events
from sweeps.launchers import contract

LOG_SECONDS = 15.0  # between two lines in a log file
SHOWN = 8  # cohorts at work that a screen has lines for


@dataclass(frozen=True)
class Awaited:
    """The runs that are waited for.

    Attributes:
        uids: of the study's runs.
        seconds: by uid what each of them, and of their ancestors, takes by estimate.
        parents: uids of those whose models others need.
    """

    uids: Collection[str]
    seconds: Mapping[str, float]
    parents: Collection[str]


def wait(root: str | Path, awaited: Awaited, every: float) -> None:
    """Wait until no task is left that was given one of these runs, whoever submitted it.

    On a terminal a few lines show what is at work; elsewhere one is printed now and then.

    Args:
        root: where records are.
        awaited: the runs.
        every: seconds between two questions to the scheduler, which may be shared by thousands.
    """
    console = Console(stderr=True)
    with Live(console=console, auto_refresh=False, transient=True) as screen:
        last_asked = last_printed = -max(every, LOG_SECONDS)
        while True:
            done = ledger.index(root)
            said = lines(awaited, done, life_signs.read(root))
            if console.is_terminal:
                screen.update("\n".join(said), refresh=True)
            elif time.monotonic() - last_printed >= LOG_SECONDS:
                last_printed = time.monotonic()
                print("; ".join(said), file=sys.stderr, flush=True)
            history = events.fold(root)
            intents = _open_intents(history, set(awaited.uids))
            if not intents:
                return
            # Files are read every second; the scheduler is asked more rarely. It has to be asked at
            # all because a task that was killed writes no last event.
            if time.monotonic() - last_asked >= every:
                last_asked = time.monotonic()
                if not any(task[0] in intents for task in contract.live(root, history)):
                    return
            time.sleep(1.0)


def _open_intents(history: events.History, uids: set[str]) -> set[str]:
    """The submissions that are not over and have some of the runs."""
    return {
        event["intent"]
        for of_launcher in contract.open_intents(history).values()
        for event in of_launcher
        if any(uids & set(task) for task in event["uids"])
    }


def lines(awaited: Awaited, done: Collection[str], signs: Sequence[LifeSign]) -> list[str]:
    """What there is to say: how many runs are done and when all will be, then what is at work.

    Example:
        ["12 of 30 runs, about 25 min left", "cola seed 2, 6 side by side: 117 of 375 steps, ..."]
    """
    at_work = [sign for sign in signs if awaited.seconds.keys() & set(sign.uids)]
    count = sum(1 for uid in awaited.uids if uid in done)
    first = f"{count} of {len(awaited.uids)} runs"
    if at_work:
        first += f", about {life_signs.duration(_seconds_left(awaited, done, at_work))} left"
    return [
        first,
        *(_line(awaited, sign) for sign in at_work[:SHOWN]),
        *([f"{len(at_work) - SHOWN} more cohorts"] if len(at_work) > SHOWN else []),
    ]


def _line(awaited: Awaited, sign: LifeSign) -> str:
    is_parent = set(sign.uids) <= {*awaited.parents}
    return f"{'teacher or earlier run: ' if is_parent else ''}{life_signs.line(sign)}"


def _seconds_left(awaited: Awaited, done: Collection[str], at_work: Sequence[LifeSign]) -> float:
    """Until all runs are done, if as many processes go on at their present speed.

    By estimates alone it would be as wrong as they are: what is at work tells by how much.
    """
    left = sum(seconds for uid, seconds in awaited.seconds.items() if uid not in done)
    ratios = []
    for sign in at_work:
        estimate = sum(awaited.seconds.get(uid, 0.0) for uid in sign.uids)
        left -= estimate * sign.step / sign.steps
        if estimate and sign.rate:
            ratios.append(sign.steps / sign.rate / estimate)
    return max(0.0, left) * (median(ratios) if ratios else 1.0) / len(at_work)
