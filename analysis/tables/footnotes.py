"""What stands under a table: what its rows are, and what a reader must know of them."""

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.read.frame import NO_SEED
from analysis.tables.layout import GROUP, LABEL, shown

Place = tuple[str, str]  # an arm and a task


def legend(frame: pd.DataFrame) -> dict[str, str]:
    """What each arm and each task is: the overrides that not all runs share, and tuned values."""
    said = _said(frame)
    everywhere = set.intersection(*(set(own) for own, _ in said.values()))
    by_task = {
        task: set.intersection(*(set(said[key][0]) for key in said if key[1] == task)) - everywhere
        for _, task in said
    }
    found = {task: " ".join(sorted(own)) for task, own in by_task.items() if own}
    for arm in dict.fromkeys(arm for arm, _ in said):
        texts = {
            key[1]: " ".join([*(o for o in own if o not in everywhere | by_task[key[1]]), *tuned])
            for key, (own, tuned) in said.items()
            if key[0] == arm
        }
        if len(set(texts.values())) == 1:
            found[arm] = next(iter(texts.values()))
        else:
            found |= {f"{arm} ({task})": text for task, text in texts.items()}
    return {name: text for name, text in found.items() if text}


def notes(frame: pd.DataFrame) -> list[str]:
    """Seeds, trials, and what is missing, diverged or degenerate."""
    students = _students(frame)
    found = [f"seeds {_listed(students['seed'])}"]
    if len(paired := students["teacher_seed"][students["teacher_seed"] != NO_SEED]):
        found.append(f"teacher seeds {_listed(paired)}")
    found += _trials(students)
    states = students.drop_duplicates("uid")["state"].value_counts()
    for state in ("missing", "failed", "diverged"):
        if states.get(state, 0):
            found.append(f"{states[state]} runs {state}")
    if "report" in set(students["select_on"]):
        found.append(
            "weights were chosen on the split that is reported (protocol.select_on=report)"
        )
    if students["degenerate"].any():
        found.append("† among the runs are some that predict the same for every row")
    return found


def differing(frame: pd.DataFrame, axes: Sequence[str], own: Sequence[str]) -> list[str]:
    """What rows of a column differ in beyond the table's own axes, updates, and examples seen.

    Of rows as the study labels them the names of the keys: the legend has their values.
    """
    students = _students(frame)
    values = {axis: _values(students, axis) for axis in axes if axis not in own}
    told = [f"{axis} ({'; '.join(v)})" if own else axis for axis, v in values.items() if v]
    found = [f"{'beyond its own axes ' if own else ''}rows differ in: {', '.join(told)}"]
    found = found if told else ["beyond its own axes rows differ in nothing"] if own else []
    for name, title in (("steps", "updates"), ("examples_seen", "examples seen")):
        recorded = students[students[name].notna() & (students["state"] == "done")]
        if len(recorded):
            counts = _values(recorded, name) or _values(recorded, name, "task")
            found.append(f"{title}: {'; '.join(counts)}")
    return found


MOST = 6  # values of a key, in print


def _values(students: pd.DataFrame, name: str, place: str = LABEL) -> list[str]:
    """The values of a key, each with the rows that have it; none if a column's rows share one."""
    texts = students[name].map(shown).replace("", "none")
    columns = [students["task"], students[GROUP]]
    if place == LABEL and texts.groupby(columns).nunique().max() <= 1:
        return []
    every = students[place].nunique()
    found = []
    for value in dict.fromkeys(texts):
        having = list(dict.fromkeys(students[place][texts == value]))
        found.append(value if len(having) == every else f"{value}: {_few(having)}")
    more = [f"and {len(found) - MOST} more values"] if len(found) > MOST else []
    return found[:MOST] + more


def _few(names: Sequence[str], most: int = 3) -> str:
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return " and ".join([*names[:most], *more])


def excluded(frame: pd.DataFrame) -> list[str]:
    """What was left out, and why."""
    counts = frame["excluded"].value_counts(sort=False)
    return [f"{n} runs left out by {why}" for why, n in counts.items()]


def _said(frame: pd.DataFrame) -> dict[Place, tuple[list[str], list[str]]]:
    """The overrides of each arm and task but for task and seeds, and apart the tuned ones."""
    students = _students(frame).drop_duplicates(["arm", "task"])
    return {
        (str(entry["arm"]), str(entry["task"])): _overrides(entry)
        for entry in students.to_dict("records")
    }


def _overrides(entry: dict[Any, Any]) -> tuple[list[str], list[str]]:
    seeds = ["seed="] + ["teacher.seed="] * (entry["teacher_seed"] != NO_SEED)
    own = [
        text
        for text in json.loads(entry["overrides"])
        if not text.startswith(("task=", *seeds)) and f" {text} " not in f" {entry['trial']} "
    ]
    # A trial's row says its settings; a winner's does not.
    return own, [f"(tuned: {entry['trial']})"] if entry["stage"] == "confirm" else []


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
