"""Runs as `kdlab.compose` gives them, sooner: what was composed once for a process is kept.

For tests whose subject is not composition. That the two give the same runs, and refuse the same,
is tested in tests/kdlab/config/test_compose_many.py. Files must not change under a path that was
read.
"""

import copy
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra

from kdlab.config import compose as composition
from kdlab.config import compose_many, option_files
from kdlab.config.compose import compose as by_hydra
from kdlab.errors import NotApplicable
from kdlab.options.memo import files_unchanged
from kdlab.run import Run

KEPT: dict[str, Any] = {}
CONF = option_files.CONF  # which no test changes: those that would have a copy
# Paths of plans may be relative, and GLUE's folder comes from the environment.
KEPT_OF_PLANS: dict[tuple[str, str | None], dict[str, Any]] = defaultdict(dict)


def compose(*overrides: str) -> Run:
    """The run of overrides; a wrong one is refused by Hydra, in its words."""
    with files_unchanged(KEPT):
        run = compose_many._assembled(overrides)
        return run if isinstance(run, Run) else by_hydra(*overrides)


@contextmanager
def plans_sooner() -> Iterator[None]:
    """Plans of studies without the sample of runs that Hydra composes as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sweeps.plan.plan.compose_each", _compose_each)
        yield


@contextmanager
def hydra_once() -> Iterator[None]:
    """Hydra composes the same overrides once, until a YAML file or the environment changes.

    Two of five compositions in these tests are of overrides that were composed before, such as
    those of a teacher; they are what takes most of the tests' time.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("composed", "files"):
            patch.setattr(composition, name, _once(getattr(composition, name)))
        yield


def _once(function: Callable[..., Any]) -> Callable[..., Any]:
    results: dict[object, Any] = {}

    @wraps(function)
    def once(*arguments: Any, **keywords: Any) -> Any:
        if GlobalHydra.instance().is_initialized():  # by a command line, with folders of its own
            return function(*arguments, **keywords)
        key = (_folders(), frozenset(os.environ.items()), repr((arguments, keywords)))
        if key not in results:
            results[key] = function(*arguments, **keywords)
        return copy.deepcopy(results[key])

    return once


def _folders() -> str:
    """The folders of options; of each but `conf/` its files, with the time of change and size."""
    return repr([folder if folder == CONF else _files(folder) for folder in option_files.folders()])


def _files(folder: Path) -> list[tuple[Path, int, int]]:
    paths = sorted(folder.rglob("*.yaml"))
    return [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in paths]


def _compose_each(runs: Sequence[tuple[str, ...]]) -> Iterator[Run | NotApplicable]:
    kept = KEPT_OF_PLANS[os.getcwd(), os.environ.get("KDLAB_GLUE")]
    for overrides in runs:
        with files_unchanged(kept):
            run = compose_many._assembled(overrides)
            run = compose_many._run_or_refusal(overrides) if run is None else run
        yield run
