"""What is missing in a table, and the commands that fill it."""

import json
import shlex

import pandas as pd

from analysis.frame import NO_SEED
from analysis.layout import HEAD, LABEL

SHOWN = 5  # cells, in print
OPEN = ("missing", "failed")


def notes(frame: pd.DataFrame, study: str, root: str) -> list[str]:
    """A line for each cell with a run to do, the first few of them, and what does them all."""
    students = frame[frame["seed"] != NO_SEED]
    todo = students[students["state"].isin(OPEN)]
    if todo.empty:
        return []
    cells = [
        _cell(str(row), str(head), part, root)
        for (row, head), part in todo.groupby([LABEL, HEAD], sort=False)
    ]
    found = cells[:SHOWN]
    if len(cells) > SHOWN:
        found.append(f"and {len(cells) - SHOWN} more cells with runs to do")
    again = "python -m sweeps retry {0} && " if (todo["state"] == "failed").any() else ""
    command = (again + "python -m sweeps launch {0} --wait").format(shlex.quote(study))
    return [*found, f"all of them: `{command}`"]


def _cell(row: str, head: str, part: pd.DataFrame, root: str) -> str:
    runs = part.drop_duplicates("uid")
    first = runs.iloc[0]
    command = shlex.join(["python", "-m", "kdlab", *json.loads(first["overrides"]), f"root={root}"])
    states = ", ".join(f"{n} {state}" for state, n in runs["state"].value_counts().items())
    return f"to do: {row}, {head} ({states}), first: `{command}`"
