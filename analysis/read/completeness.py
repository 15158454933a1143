"""The runs of a study that are not as planned, by name and number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.read.frame import NO_SEED
from kdlab.storage import repeats

LISTED = 5  # runs of a kind, in print


@dataclass(frozen=True)
class Audit:
    """The runs of a study by what is wrong with them.

    Attributes:
        planned: how many runs there should be, teachers included, each once.
        done: how many have a result.
        excluded: how many cells were left out while planning.
        named: by kind (missing, failed, diverged, duplicate, close, apart, stale) its runs, each as
            a text with table, row, task, seeds and uid. A diverged run is a result, and those of
            the later kinds have one as well. Close and apart: recorded several times with other
            results, within the tolerance of `kdlab.storage.repeats` or beyond it. Stale: of other
            code than that of most records.
        commits: how many records are of each commit; `unknown` of those that do not say.
    """

    planned: int
    done: int
    excluded: int
    named: dict[str, list[str]]
    commits: dict[str, int]

    @property
    def counts(self) -> dict[str, int]:
        """The number of runs of each kind."""
        return {kind: len(runs) for kind, runs in self.named.items()}


def audit(frame: pd.DataFrame) -> Audit:
    """The audit of a frame as `analysis.load` gives it."""
    # A run that stands in several tables, or as a teacher of several, is one run.
    planned = frame[frame["state"] != "excluded"].drop_duplicates("uid")
    state, recorded = planned["state"], planned[planned["copies"] > 0]
    kinds = {
        "missing": state == "missing",
        "failed": state == "failed",
        "diverged": state == "diverged",
        "duplicate": planned["copies"] > 1,
        "close": planned["repeats"] == repeats.CLOSE,
        "apart": planned["repeats"] == repeats.APART,
        "stale": planned["stale"],
    }
    commits = recorded["commit"].fillna("unknown").value_counts().sort_index()
    return Audit(
        planned=len(planned),
        done=int((state == "done").sum()),
        excluded=int((frame["state"] == "excluded").sum()),
        named={
            kind: [_name(run) for run in planned[which].to_dict("records")]
            for kind, which in kinds.items()
        },
        commits={str(commit): int(n) for commit, n in commits.items()},
    )


def lines(audit: Audit) -> list[str]:
    """An audit to print: a line for each kind that has runs, with the first few of them."""
    lines = [f"{audit.done} of {audit.planned} runs done, {audit.excluded} cells left out"]
    for kind, runs in audit.named.items():
        if runs:
            more = f"; and {len(runs) - LISTED} more" if len(runs) > LISTED else ""
            listed = "; ".join(runs[:LISTED])
            lines.append(f"{len(runs)} {repeats.SAID.get(kind, kind)}: {listed}{more}")
    if len(audit.commits) > 1:  # numbers of two versions of the code may not be comparable
        listed = ", ".join(f"{n} of {commit}" for commit, n in audit.commits.items())
        lines.append(f"records of several versions of the code: {listed}")
    return lines


def _name(run: Mapping[Any, Any]) -> str:
    parts = [f"{run['table']}: {run['row']}", run["task"]]
    parts += [f"seed {run['seed']}"] if run["seed"] != NO_SEED else []
    parts += [f"teacher seed {run['teacher_seed']}"] if run["teacher_seed"] != NO_SEED else []
    # Of the trial and of what failed the run there may be none.
    parts += [text for text in (run["trial"], run["trouble"]) if isinstance(text, str) and text]
    return f"{', '.join(parts)} ({run['uid']})"
