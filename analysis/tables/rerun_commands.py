"""The commands that do what is missing in a table."""

import json
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from analysis.read.frame import NO_SEED
from analysis.tables.layout import GROUP, HEAD, LABEL
from kdlab.errors import BadInput
from sweeps.study import launched

LISTED = 5  # cells, in print
OPEN = ("missing", "failed")  # states of runs that a launch would do


def notes(frame: pd.DataFrame, study: str, root: str) -> list[str]:
    """Notes on the first few cells with runs to do, and the command that does them all."""
    students = frame[frame["seed"] != NO_SEED]
    todo = students[students["state"].isin(OPEN)]
    if todo.empty:
        return []
    lines = [
        _cell(str(row), part, root)
        for (row, _, _), part in todo.groupby([LABEL, GROUP, "task"], sort=False)
    ]
    more = [f"and {len(lines) - LISTED} more cells with runs to do"] if lines[LISTED:] else []
    try:
        everything = f"`{command(study, root, set(todo['state']))}`"
    except BadInput as damaged:  # the scores are none the worse for it
        everything = str(damaged)
    return [*lines[:LISTED], *more, f"all of them: {everything}"]


def command(study: str, root: str, states: Collection[str]) -> str:
    """The command that does a study's runs in some states of `OPEN`."""
    words = ["python", "-m", "sweeps", "launch", study, *launched_with(study, root), "--wait"]
    launch = shlex.join([*words, f"root={root}"])
    retry = shlex.join(["python", "-m", "sweeps", "retry", study, "--all", "--root", root])
    return f"{retry} && {launch}" if "failed" in states else launch


def single(overrides: Sequence[str], root: str) -> str:
    """The command that does one run."""
    return shlex.join(["python", "-m", "kdlab", *overrides, f"root={root}"])


def launched_with(study: str, root: str) -> list[str]:
    """The overrides that a study was launched with on the command line, its root aside."""
    overrides = launched.command_line(Path(root) / "studies" / study)
    return [text for text in overrides if not text.startswith("root=")]


def _cell(row: str, part: pd.DataFrame, root: str) -> str:
    """A line on a row's runs of one task, which may stand in several columns."""
    runs = part.drop_duplicates("uid")
    first = runs.iloc[0]
    first_command = single(json.loads(first["overrides"]), root)
    states = ", ".join(f"{n} {state}" for state, n in runs["state"].value_counts().items())
    heads = " and ".join(dict.fromkeys(part[HEAD]))
    return f"to do: {row}, {heads} ({states}), first: `{first_command}`"
