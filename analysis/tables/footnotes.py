"""What stands under a table: what its rows are, and what a reader must know of them."""

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.published import seen
from analysis.read.frame import NO_SEED
from analysis.tables.layout import GROUP, LABEL, value_text

MOST = 6  # values of a key, in print


def legend(frame: pd.DataFrame) -> dict[str, str]:
    """What makes a row what it is: overrides by arm, and by task, without those that all share.

    An override that all arms have on one task is said once, of the task. Where an arm's own ones
    are the same on all tasks it has one entry, `ARM`, else one each, `ARM (TASK)`. Settings that
    trials chose stand behind them as `(tuned: ...)`.
    """
    students = _students(frame).drop_duplicates(["arm", "task"]).to_dict("records")
    overrides = {(str(run["arm"]), str(run["task"])): _overrides(run) for run in students}
    everywhere = set.intersection(*(set(texts) for texts, _ in overrides.values()))
    by_task: dict[str, set[str]] = {}
    arms: dict[str, dict[str, tuple[list[str], list[str]]]] = {}
    for (arm, task), (in_order, tuned) in overrides.items():
        of_all_arms = by_task.get(task, set(in_order)) & set(in_order)
        by_task[task] = of_all_arms - everywhere
        arms.setdefault(arm, {})[task] = in_order, tuned
    texts = {task: " ".join(sorted(shared)) for task, shared in by_task.items() if shared}
    for arm, tasks in arms.items():
        of_arm = {
            task: " ".join([*(o for o in in_order if o not in everywhere | by_task[task]), *tuned])
            for task, (in_order, tuned) in tasks.items()
        }
        if len(set(of_arm.values())) == 1:
            texts[arm] = next(iter(of_arm.values()))
        else:
            texts |= {f"{arm} ({task})": text for task, text in of_arm.items()}
    return {name: text for name, text in texts.items() if text}


def notes(frame: pd.DataFrame) -> list[str]:
    """Notes on seeds, trials, and what is missing, diverged or degenerate."""
    students = _students(frame)
    notes = [f"seeds {_listed(students['seed'])}"]
    if len(paired := students["teacher_seed"][students["teacher_seed"] != NO_SEED]):
        notes.append(f"teacher seeds {_listed(paired)}")
    notes += _trials(students)
    states = students.drop_duplicates("uid")["state"].value_counts()
    for state in ("missing", "failed", "diverged"):
        if states.get(state, 0):
            notes.append(f"{states[state]} runs {state}")
    if "report" in set(students["select_on"]):
        why = "weights were chosen on the split that is reported"
        notes.append(f"{why} (protocol.select_on=report)")
    notes += seen.notes(students)
    if students["degenerate"].any():
        notes.append("† among the runs are some that predict the same for every row")
    return notes


def differing(frame: pd.DataFrame, axes: Sequence[str], layout_axes: Sequence[str]) -> list[str]:
    """Notes on what the rows of a column differ in, on updates, and on examples seen.

    Args:
        frame: scores as `layout.placed` gives them.
        axes: columns in which students differ.
        layout_axes: those that the layout names rows and columns by; none where rows are as the
            study labels them, whose values are in the legend.
    """
    students = _students(frame)
    values = {axis: _values(students, axis) for axis in axes if axis not in layout_axes}
    named = [f"{axis} ({'; '.join(v)})" if layout_axes else axis for axis, v in values.items() if v]
    beyond = "beyond its own axes " if layout_axes else ""
    notes = [f"{beyond}rows differ in: {', '.join(named)}"]
    if not named:  # with the study's labels the legend says that much
        notes = [f"{beyond}rows differ in nothing"] if layout_axes else []
    for name, title in (("steps", "updates"), ("examples_seen", "examples seen")):
        recorded = students[students[name].notna() & (students["state"] == "done")]
        if len(recorded):
            # Rows of one task usually have as many: then they differ by task, if at all.
            counts = _values(recorded, name) or _values(recorded, name, "task")
            notes.append(f"{title}: {'; '.join(counts)}")
    return notes


def _values(students: pd.DataFrame, name: str, by: str = LABEL) -> list[str]:
    """The values of a key, each with the rows, or tasks, that have it; none if rows share one."""
    texts = students[name].map(value_text).replace("", "none")
    columns = [students["task"], students[GROUP]]
    if by == LABEL and texts.groupby(columns).nunique().max() <= 1:
        return []
    count = students[by].nunique()
    values = []
    for value in dict.fromkeys(texts):
        having = list(dict.fromkeys(students[by][texts == value]))
        # A value that all rows have, on some task, is not named with each of them.
        values.append(value if len(having) == count else f"{value}: {_few(having)}")
    more = [f"and {len(values) - MOST} more values"] if len(values) > MOST else []
    return values[:MOST] + more


def _few(names: Sequence[str], most: int = 3) -> str:
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return " and ".join([*names[:most], *more])


def excluded(frame: pd.DataFrame) -> list[str]:
    """Notes on how many runs each rule left out."""
    counts = frame["excluded"].value_counts(sort=False)
    return [f"{n} runs left out by {why}" for why, n in counts.items()]


def _overrides(run: dict[Any, Any]) -> tuple[list[str], list[str]]:
    """A run's overrides without task, seeds and tuned settings; and beside these the tuned ones."""
    # A teacher's seed that the study does not vary is a setting like any other.
    seeds = ["seed="] + ["teacher.seed="] * (run["teacher_seed"] != NO_SEED)
    texts = [
        text
        for text in json.loads(run["overrides"])
        # Between spaces, as `train.lr=0.1` is also the beginning of `train.lr=0.15`.
        if not text.startswith(("task=", *seeds)) and f" {text} " not in f" {run['trial']} "
    ]
    # A trial's row says its settings; a winner's does not.
    return texts, [f"(tuned: {run['trial']})"] if run["stage"] == "confirm" else []


def _trials(students: pd.DataFrame) -> list[str]:
    """How many trials each arm had, if any had some; and why, if not as many as the others."""
    if not students["trials"].any():
        return []
    if students["trials"].nunique() == 1:
        return [f"trials of each arm: {students['trials'].iloc[0]}"]
    by_arm = students.groupby("arm", sort=False)["trials"].unique()
    counts = [f"{arm} {' or '.join(map(str, sorted(n)))}" for arm, n in by_arm.items()]
    reasons = [reason for reason in students["unequal"].unique() if reason]
    return [f"trials: {', '.join(counts)}", *(f"unequal trials: {reason}" for reason in reasons)]


def _students(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["seed"] != NO_SEED]


def _listed(values: Sequence[object] | pd.Series) -> str:
    return ", ".join(str(value) for value in sorted(set(values)))
