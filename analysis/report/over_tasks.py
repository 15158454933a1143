"""Each arm over a table's tasks: interquartile mean of its differences, and how often it wins."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np

from analysis.report.forest import Line, Scale, scale_of
from analysis.statistics.aggregates import Aggregate, improvement, interquartile_mean
from analysis.statistics.contrasts import mean_of
from analysis.tables.averages import Tasks, name_of, tasks_of_groups
from analysis.tables.model import Table


class Arm(NamedTuple):
    """An arm over tasks: how many, its runs, and the two aggregates."""

    row: str
    control: str
    runs: int
    mean: Aggregate
    improvement: Aggregate
    line: Line


class OverTasks(NamedTuple):
    """The arms of a table, or of a group of its columns, that have every run of every task.

    Attributes:
        place: of the table among all.
        group: of its columns; "" where all are one.
        column: the table's average over the same tasks.
        scale: of the arms' lines.
    """

    table: str
    place: int
    group: str
    column: str
    tasks: list[str]
    arms: list[Arm]
    scale: Scale


def over_tasks(tables: Sequence[Table], margin: float) -> list[OverTasks]:
    """Each group of columns that is of several tasks and has an arm with all of its runs.

    Args:
        tables: as `analysis.tables.papers.of_study` gives them.
        margin: points within which a difference counts as none; a scale always holds them.
    """
    groups = []
    for place, table in enumerate(tables):
        for group, tasks in tasks_of_groups(table.runs).items():
            arms = list(_arms(table, tasks)) if len(tasks) > 1 else []
            if arms:
                scale = scale_of([arm.line for arm in arms], margin)
                groups.append(
                    OverTasks(table.name, place, group, name_of(group), list(tasks), arms, scale)
                )
    return groups


def _arms(table: Table, tasks: Tasks) -> Iterator[Arm]:
    """The arms that have a control and every run of every task."""
    scores = _scores(table)
    for row in dict.fromkeys(row for row, _ in table.samples):
        keys = {task: [(row, column) for column in columns] for task, columns in tasks.items()}
        every = [key for of_task in keys.values() for key in of_task]
        if not all(key in table.samples and table.cells[key].is_complete for key in every):
            continue
        first = table.runs[every[0]][0]
        of_control = [scores.get((first.control, task)) for task in tasks]
        # One metric's differences, or the mean of several, so that each task has the same weight.
        samples = [mean_of([table.samples[key] for key in of_task]) for of_task in keys.values()]
        differences = [sample.values for sample in samples if sample]
        if len(differences) < len(tasks) or not all(values is not None for values in of_control):
            continue
        mean = interquartile_mean(differences)
        better = improvement(
            [scores[first.row, task] for task in tasks],
            [values for values in of_control if values is not None],
        )
        # Hollow in the drawing: these are no tests, and belong to no family.
        line = Line(row, "untold", *mean, dots=[], text="")
        yield Arm(row, first.control, sum(map(len, differences)), mean, better, line)


def _scores(table: Table) -> Mapping[tuple[str, str], np.ndarray]:
    """By arm, as the study labels it, and task the score of each run, the mean of its metrics."""
    by_run: dict[tuple[str, str], dict[str, dict[tuple[str, str], float]]] = {}
    for runs in table.runs.values():
        for run in runs:
            if run.has_score:
                of_run = by_run.setdefault((run.row, run.task), {}).setdefault(run.uid, {})
                of_run[run.split, run.metric] = run.score
    return {
        key: np.array([fmean(of_run.values()) for of_run in of_arm.values()])
        for key, of_arm in by_run.items()
    }
