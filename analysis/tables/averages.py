"""The mean over a table's tasks, of the rows that have them all."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from statistics import fmean

import pandas as pd

from analysis.read.frame import PERCENT
from analysis.statistics import seed_tests
from analysis.statistics.cells import Cell, CellRun
from analysis.statistics.contrasts import Sample, estimated, mean_of
from analysis.tables.layout import GROUP, HEAD, column_name
from analysis.tables.model import Cells

Tasks = dict[str, list[str]]  # by task its columns
WITHOUT = ("wnli",)  # its dev rows contradict its train rows: it says nothing


def over(
    frame: pd.DataFrame,
    arms: Mapping[tuple[str, str], Sequence[CellRun]],
    cells: Cells,
    samples: Mapping[tuple[str, str], Sample],
    rows: Sequence[str],
) -> tuple[list[str], Cells, dict[tuple[str, str], Sample], list[str]]:
    """One average for each group of columns that has several tasks.

    A task with two metrics or splits counts once, with their mean, as on GLUE. A row has an average
    only if every run of every task is there. Its difference is over the seeds that all tasks have,
    with an interval, and is no part of the table's family of tests.

    Args:
        frame: scores as `layout.placed` gives them.
        arms: their runs, by row and column.
        cells: likewise.
        samples: the paired differences of cells that have a control.
        rows: those that may have an average.

    Returns:
        The names of the columns, their cells, the paired differences of those that have a control,
        and a note on what each is over.
    """
    columns, averages, of_averages, notes = [], {}, {}, []
    for group, part in frame.groupby(GROUP, sort=False):
        part = part[~part["task"].isin(WITHOUT)]
        heads = part.groupby("task", sort=False)[HEAD].unique()
        if len(heads) < 2:
            continue
        name = name_of(str(group))
        columns.append(name)
        of_tasks = [[str(head) for head in of_task] for of_task in heads]
        for row in rows:
            keys = [[(row, head) for head in of_task] for of_task in of_tasks]
            if all(key in cells and cells[key].is_complete for key in chain.from_iterable(keys)):
                sample = _sample(keys, samples)
                averages[row, name] = _cell(row, arms, of_tasks, sample)
                if sample:
                    of_averages[row, name] = sample
        tasks = " and ".join(heads.index) if len(heads) == 2 else ", ".join(heads.index)
        notes.append(f"{name}: the mean over {tasks}, of rows that have every run of them")
    return columns, averages, of_averages, notes


def tasks_of_groups(arms: Mapping[tuple[str, str], Sequence[CellRun]]) -> dict[str, Tasks]:
    """By what stands before a column's own name, which is a group of the layout, its tasks.

    Args:
        arms: the runs of a table, by row and column.
    """
    groups: dict[str, Tasks] = {}
    for (_, column), runs in arms.items():
        first = runs[0]
        own = column_name(first.task, first.split, first.metric)
        group = groups.setdefault(column.removesuffix(own).removesuffix(": "), {})
        if first.task not in WITHOUT and column not in group.setdefault(first.task, []):
            group[first.task].append(column)
    return groups


def name_of(group: str) -> str:
    """The name of the average over a group of columns; `average` where all are one group."""
    return ": ".join(filter(None, [group, "average"]))


def _cell(
    row: str,
    arms: Mapping[tuple[str, str], Sequence[CellRun]],
    of_tasks: Sequence[Sequence[str]],
    sample: Sample | None,
) -> Cell:
    """The mean over tasks, its spread over the seeds that all tasks have, and its difference.

    Args:
        row: its label.
        arms: as of `over`.
        of_tasks: each task's columns.
        sample: its paired differences over tasks, if it has a control.
    """
    # With crossed teachers a run stands once for each of them.
    runs = [
        [list({run.uid: run for run in arms[row, head]}.values()) for head in heads]
        for heads in of_tasks
    ]
    by_task = [_means_by_seed(of_task) for of_task in runs]
    # The spread is of averages, each of one seed over all tasks: what a second seed would give.
    shared = [seeds for seeds in by_task[0] if all(seeds in of_task for of_task in by_task)]
    over_seeds = [PERCENT * fmean(of_task[seeds] for of_task in by_task) for seeds in shared]
    # The mean is over all runs of each task, also where tasks have other seeds.
    means = [fmean(fmean(run.score for run in of_head) for of_head in of_task) for of_task in runs]
    n = min(len(of_task[0]) for of_task in runs)  # columns of one task have the same runs
    every_run = (run for of_task in runs for of_head in of_task for run in of_head)
    constant = len({run.uid for run in every_run if run.degenerate})
    cell = Cell(n, n, PERCENT * fmean(means), seed_tests.spread(over_seeds), degenerate=constant)
    if sample is None:
        return cell
    estimate = estimated(sample)  # and no test: it is no part of a family
    low, high = seed_tests.interval(estimate)
    return replace(cell, difference=estimate.mean, low=low, high=high)


def _sample(
    keys: Sequence[Sequence[tuple[str, str]]], samples: Mapping[tuple[str, str], Sample]
) -> Sample | None:
    """The mean over tasks of a row's paired differences; None if it lacks those of a column.

    Args:
        keys: of each task its cells.
        samples: as of `over`.
    """
    if not all(key in samples for of_task in keys for key in of_task):
        return None
    # First within each task, so that one with two metrics weighs no more than the others.
    of_tasks = [mean_of([samples[key] for key in of_task]) for of_task in keys]
    return mean_of([sample for sample in of_tasks if sample])


def _means_by_seed(columns: Sequence[Sequence[CellRun]]) -> dict[tuple[int, int], float]:
    """The mean score of each seed and teacher's seed over a task's columns."""
    scores: dict[tuple[int, int], list[float]] = {}
    for run in chain.from_iterable(columns):
        scores.setdefault((run.seed, run.teacher_seed), []).append(run.score)
    return {seeds: fmean(of_seed) for seeds, of_seed in scores.items()}
