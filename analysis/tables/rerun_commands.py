"""The commands that run what is missing in a table."""

import json
import shlex
from collections.abc import Collection, Sequence

import pandas as pd

from analysis.read.frame import NO_SEED
from analysis.tables.layout import GROUP, HEAD, LABEL
from kdlab.errors import BadInput
from sweeps.journal.run_states import study_folder
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
        # A group of columns, as a row has other runs in each; a task, as its columns share them.
        for (row, _, _), part in todo.groupby([LABEL, GROUP, "task"], sort=False)
    ]
    more = [f"and {len(lines) - LISTED} more cells with runs to do"] if lines[LISTED:] else []
    try:
        everything = f"`{command(study, root, set(todo['state']))}`"
    except BadInput as damaged:  # the scores are none the worse for it
        everything = str(damaged)
    return [*lines[:LISTED], *more, f"all of them: {everything}"]


def command(study: str, root: str, states: Collection[str]) -> str:
    """The command that runs all runs of a study that are in some states of `OPEN`.

    Example: with failed ones among them `sweeps retry STUDY --all && sweeps launch STUDY`.
    """
    # A launch leaves alone what failed so often that it is given up: `retry` forgives that first.
    forgive = f"{retry(study, root, '--all')} && " if "failed" in states else ""
    return forgive + launch(study, root)


def launch(study: str, root: str) -> str:
    """The command that runs all that is missing of a study, which it names and nothing else.

    Raises:
        BadInput: the file of the launch is damaged.
    """
    typed = launched.command_line(study_folder(root, study))
    # The root as it is called now: the folder may have been moved since the launch.
    overrides = [text for text in typed if not text.startswith("root=")]
    return shlex.join(
        ["python", "-m", "sweeps", "launch", study, *overrides, "--wait", f"root={root}"]
    )


def retry(study: str, root: str, *which: str) -> str:
    """The command that forgives failures of a study: `--all` or `--uid UID`."""
    return shlex.join(["python", "-m", "sweeps", "retry", study, *which, "--root", root])


def single(overrides: Sequence[str], root: str) -> str:
    """The command that does one run."""
    return shlex.join(["python", "-m", "kdlab", *overrides, f"root={root}"])


def _cell(row: str, part: pd.DataFrame, root: str) -> str:
    """A line on a row's runs of one task, which may stand in several columns."""
    runs = part.drop_duplicates("uid")
    first = runs.iloc[0]
    first_command = single(json.loads(first["overrides"]), root)
    states = ", ".join(f"{n} {state}" for state, n in runs["state"].value_counts().items())
    heads = " and ".join(dict.fromkeys(part[HEAD]))
    return f"to do: {row}, {heads} ({states}), first: `{first_command}`"
