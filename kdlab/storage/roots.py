"""The root where nothing else says it."""

import os


def default_root() -> str:
    """Where runs are unless a command line says it: `KDLAB_ROOT`, or `runs`."""
    return os.environ.get("KDLAB_ROOT", "runs")
