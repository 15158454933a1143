"""What would be reported if the best trial were chosen on the reported split, as is often done.

Of several trials the best one on dev is reported with its dev score (PKD's code does so, among
many). The maximum of noisy scores is too high, the more so the more trials an arm had, and one seed
says nothing of spread. Here the same trials' scores stand beside those of the confirming runs.
"""

import json

import pandas as pd

from analysis.read.frame import NO_SEED, PERCENT
from analysis.statistics.trials import ARM, split_score


def claims(runs: pd.DataFrame) -> pd.DataFrame:
    """Each tuned arm's claim by selection on the reported split, beside what was confirmed.

    Columns: table, row, task, `claimed` (the best trial's mean score over its seeds), `confirmed`
    (the mean of the confirming runs, NaN before there are any), `trials`. Scores are in points, the
    mean of the metrics that the task selects by, on the first split that it reports.

    Args:
        runs: as `analysis.load` gives them, all stages.
    """
    students = runs[runs["seed"] != NO_SEED]
    trial = [*ARM, "stage", "trial"]
    # A trial with a run that did not end is no claim.
    is_done = (students["state"] == "done").groupby([students[n] for n in trial]).transform("all")
    students = students[
        is_done | ((students["stage"] == "confirm") & (students["state"] == "done"))
    ]
    scores = [
        PERCENT * split_score(run, json.loads(run["reports"])[0])
        for run in students.to_dict("records")
    ]
    scored = students.assign(score=scores).dropna(subset="score")
    rows = []
    for key, arm in scored[scored["stage"] != ""].groupby(ARM, sort=False):
        tried = arm[arm["stage"] == "tune"].groupby("trial")["score"].mean()
        if len(tried):
            confirmed = arm["score"][arm["stage"] == "confirm"].mean()
            rows.append((*key, tried.max(), confirmed, len(tried)))  # type: ignore[misc]
    return pd.DataFrame(rows, columns=[*ARM, "claimed", "confirmed", "trials"])


def notes(runs: pd.DataFrame, table: str) -> list[str]:
    """A line for each task of a tuned table: its rows as selection on what is reported has them."""
    of_table = claims(runs[runs["table"] == table]).dropna(subset="confirmed")
    lines = []
    for task, part in of_table.groupby("task", sort=False):
        rows = zip(part["row"], part["claimed"], strict=True)
        read = ", ".join(f"{row} {score:.1f}" for row, score in rows)
        how = "chosen by the best trial on the split that is reported, as is often done"
        lines.append(f"{task}, {how}, would read: {read}")
    return lines
