"""Overrides by case and task from a CSV: settings that a paper chose for each of its tasks."""

import csv
from collections.abc import Collection
from pathlib import Path

from kdlab.errors import BadInput

Settings = dict[str, dict[str, list[str]]]  # case to task to overrides
KEY_COLUMNS = ("case", "task")


def read(path: Path, cases: Collection[str]) -> Settings:
    """The settings that a file has for some cases.

    Its columns are `case` and `task`, one for each key of a run (those with a dot, such as
    `train.lr`), and any others, such as where a value is from. An empty cell leaves its key alone.

    Args:
        path: the CSV.
        cases: those of the block; others of the file are passed over.

    Returns:
        By case and task the overrides.

    Raises:
        BadInput: no such file, no such columns, a case and task twice, or none of the cases.
    """
    if not path.is_file():
        raise BadInput(f"settings: no file {path}")
    with path.open(newline="") as file:  # csv reads line breaks itself, since quotes may hold them
        lines = csv.DictReader(file)
        columns = lines.fieldnames or []
        keys = [column for column in columns if "." in column]
        if not keys or not {*KEY_COLUMNS} <= {*columns}:
            raise BadInput(f"settings: {path}: needs the columns case, task, and keys of a run")
        settings: Settings = {}
        for number, line in enumerate(lines, start=2):  # the first line names the columns
            tasks = settings.setdefault(line["case"], {})
            if line["task"] in tasks:
                raise BadInput(f"settings: {path}, line {number}: the same case and task twice")
            tasks[line["task"]] = [f"{key}={line[key]}" for key in keys if line[key]]
        of_cases = {case: tasks for case, tasks in settings.items() if case in cases}
        if not of_cases:
            raise BadInput(f"settings: {path}: none for these cases; there: {', '.join(settings)}")
    return of_cases
