"""Runs as `kdlab.compose` gives them, sooner: what was composed once for a process is kept.

For tests whose subject is not composition. That the two give the same runs, and refuse the same,
is tested in tests/kdlab/config/test_compose_many.py. Files must not change under a path that was
read.
"""

from typing import Any

from kdlab.config import compose_many
from kdlab.options.memo import files_unchanged
from kdlab.run import Run

KEPT: dict[str, Any] = {}


def compose(*overrides: str) -> Run:
    """The run of overrides; a wrong one is refused by Hydra, in its words."""
    with files_unchanged(KEPT):
        run = compose_many._assembled(overrides)
        return run if isinstance(run, Run) else compose_many._parent_by_hydra(*overrides)
