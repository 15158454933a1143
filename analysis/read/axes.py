"""The axes of a study: columns of its frame in which students differ."""

import pandas as pd

from analysis.read.frame import planned_students

FIVE = ("knowledge", "matching", "init", "size", "shape")  # the axes that every study has
GROUPS = ("family", "teacher", "data", "train", "protocol", "recipe")
MODELS = ("size", "shape", "family")  # axes that say what a student's model is
# Keys that follow from an option of these groups, and do not stand beside them.
OF_OPTIONS = {"data": "data.", "train": "train.", "protocol": "protocol."}


def axes(runs: pd.DataFrame) -> list[str]:
    """The five axes, other groups and keys (`train.lr`) that have several values, in this order.

    Seeds and tasks are none. A group whose options only set keys, as `data` does, is left out: its
    keys are there.
    """
    students = planned_students(runs)
    keys = sorted(name for name in runs.columns if "." in name)
    names = [name for name in (*FIVE, *GROUPS, *keys) if name in runs.columns]
    varying = [name for name in names if _count(students, students[name]) > 1]
    return [
        name
        for name in varying
        if not any(key.startswith(OF_OPTIONS.get(name, ())) for key in varying)
    ]


def _count(students: pd.DataFrame, column: "pd.Series[str]") -> int:
    """The number of values of an axis among the students.

    `none` is no value of teacher or matching: it says that they do not apply. Nor is it a value of
    a key that some options lack. But where students have parents (teachers, or runs that they start
    from), a key that only some of these have makes them differ.
    """
    name = str(column.name)
    if name in ("teacher", "matching"):
        return int(column[column != "none"].nunique())
    if name == "init.weights":  # which an init implies, unless it was told another
        return int(column.groupby(students["init"]).nunique().max())
    # Where only some runs have the key, the others' NaN is a value of its own (`dropna=False`).
    if name.startswith("init.run."):
        return int(column[students["init"] == "run"].nunique(dropna=False))
    if name.startswith("teacher."):
        return int(column[students["teacher"] != "none"].nunique(dropna=False))
    return int(column.nunique())
