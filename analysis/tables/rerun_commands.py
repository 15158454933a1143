"""What is missing in a table, and the commands that fill it."""

import json
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from analysis.read.frame import NO_SEED
from analysis.tables.layout import GROUP, HEAD, LABEL

SHOWN = 5  # cells, in print
OPEN = ("missing", "failed")


def notes(frame: pd.DataFrame, study: str, root: str) -> list[str]:
    """A line for each cell with a run to do, the first few of them, and what does them all."""
    students = frame[frame["seed"] != NO_SEED]
    todo = students[students["state"].isin(OPEN)]
    if todo.empty:
        return []
    cells = [
        _cell(str(row), part, root)
        for (row, _, _), part in todo.groupby([LABEL, GROUP, "task"], sort=False)
    ]
    found = cells[:SHOWN]
    if len(cells) > SHOWN:
        found.append(f"and {len(cells) - SHOWN} more cells with runs to do")
    return [*found, f"all of them: `{command(study, root, set(todo['state']))}`"]


def command(study: str, root: str, states: Collection[str]) -> str:
    """What does the runs of a study that are in these states, of `OPEN`."""
    words = ["python", "-m", "sweeps", "launch", study, *asked(study, root), "--wait"]
    launch = shlex.join([*words, f"root={root}"])
    retry = shlex.join(["python", "-m", "sweeps", "retry", study, "--all", "--root", root])
    return f"{retry} && {launch}" if "failed" in states else launch


def one(overrides: Sequence[str], root: str) -> str:
    """What does one run."""
    return shlex.join(["python", "-m", "kdlab", *overrides, f"root={root}"])


def asked(study: str, root: str) -> list[str]:
    """What the study was launched with on the command line, its root aside."""
    path = Path(root) / "studies" / study / "study.yaml"
    if not path.is_file():
        return []
    from omegaconf import OmegaConf

    try:
        page = OmegaConf.to_container(OmegaConf.load(path))
    except Exception:  # damaged: a launch from the study's own file writes it anew
        return []
    said = page.get("asked", []) if isinstance(page, dict) else []
    return [str(text) for text in said if not str(text).startswith("root=")]


def _cell(row: str, part: pd.DataFrame, root: str) -> str:
    """A row's runs of one task, whatever columns show their scores."""
    runs = part.drop_duplicates("uid")
    first = runs.iloc[0]
    own = one(json.loads(first["overrides"]), root)
    states = ", ".join(f"{n} {state}" for state, n in runs["state"].value_counts().items())
    heads = " and ".join(dict.fromkeys(part[HEAD]))
    return f"to do: {row}, {heads} ({states}), first: `{own}`"
