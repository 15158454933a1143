"""Live views of runs. The record is the truth; a tracker only watches, and never stops a run.

A tracker is a function `(run, root, *, knobs) -> Watch` that opens a view of one run.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from tqdm import tqdm

from kdlab.errors import BadInput
from kdlab.options.callables import call
from kdlab.options.function_keys import TrackerKeys
from kdlab.options.schema import Execution
from kdlab.record import Record
from kdlab.run import Run


@dataclass(frozen=True)
class Watch:
    """An open view of one run.

    Attributes:
        evaluated: called with every evaluation: `step`, `select`, `select_degenerate` (1: every row
            got the same prediction), and each loss's mean since the last evaluation.
        ended: called once with the record, or with None if the run was cut short.
    """

    evaluated: Callable[[Mapping[str, float]], None]
    ended: Callable[[Record | None], None]


def none(run: Run, root: str) -> Watch:
    """Watch nothing."""
    return Watch(lambda event: None, lambda record: None)


@contextmanager
def watching(runs: Sequence[Run], execution: Execution) -> Iterator[Mapping[str, Watch]]:
    """Views of runs that train side by side, by uid; the ones not ended by then end here.

    A view that fails is given up with a warning; its run goes on.
    """
    tracker = call(execution.tracker, TrackerKeys, "tracker", "run", "root")[0].bind()
    watches = {run.uid: none(run, execution.root) for run in runs}
    try:
        _open(watches, runs, lambda run: tracker(run, execution.root))
        yield watches
    finally:
        for watch in watches.values():  # those that have ended already do nothing
            watch.ended(None)


def _open(watches: dict[str, Watch], runs: Sequence[Run], tracker: Callable[[Run], Watch]) -> None:
    """Open a view of every run, until one fails."""
    try:
        for run in runs:
            watches[run.uid] = _guarded(tracker(run))
    except Exception as error:  # the rest of the cohort would only wait for the same time-out
        _report(error)


def _guarded(watch: Watch) -> Watch:
    """A view that is closed for good when it fails or ends, whichever is first."""
    still_open = [watch]  # empty once it is closed

    def evaluated(event: Mapping[str, float]) -> None:
        if still_open and not _works(watch.evaluated, event):
            ended(None)

    def ended(record: Record | None) -> None:
        if still_open:
            _works(still_open.pop().ended, record)

    return Watch(evaluated, ended)


def _works(function: Callable[[Any], None], argument: Any) -> bool:
    """Call a function of a view; false, with a warning, if it fails."""
    try:
        function(argument)
    except Exception as error:  # whatever it is: no view is worth a run
        _report(error)
        return False
    return True


def _report(error: Exception) -> None:
    text = " ".join(str(error).split()).rstrip(".")
    # Of an error that kdlab does not word itself, its type is often the better half.
    _warn(text if isinstance(error, BadInput) else f"{type(error).__name__}: {text}")


@cache
def _warn(message: str) -> None:
    """Print each message once in a process: a sweep would repeat it for every run."""
    tqdm.write(f"tracker: {message}; the run goes on without this view", file=sys.stderr)
