"""Runs as `kdlab.compose` gives them, sooner: what was composed once for a process is kept.

For tests whose subject is not composition. That the two give the same runs, and refuse the same,
is tested in tests/kdlab/config/test_compose_many.py. Files must not change under a path that was
read.
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from kdlab.config import compose_many
from kdlab.config.compose import compose as by_hydra
from kdlab.errors import NotApplicable
from kdlab.options.memo import files_unchanged
from kdlab.run import Run

KEPT: dict[str, Any] = {}
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


def _compose_each(runs: Sequence[tuple[str, ...]]) -> Iterator[Run | NotApplicable]:
    kept = KEPT_OF_PLANS[os.getcwd(), os.environ.get("KDLAB_GLUE")]
    for overrides in runs:
        with files_unchanged(kept):
            run = compose_many._assembled(overrides)
            run = compose_many._run_or_refusal(overrides) if run is None else run
        yield run
