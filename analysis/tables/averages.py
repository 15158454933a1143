"""The mean over a table's tasks, of the rows that have them all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from analysis.read.frame import PERCENT
from analysis.statistics import seed_tests
from analysis.statistics.cells import Cell
from analysis.statistics.contrasts import Sample, contrast, mean_of
from analysis.statistics.pairs import SEEDS
from analysis.tables.layout import GROUP, HEAD, LABEL

WITHOUT = ("wnli",)  # its dev rows contradict its train rows: it says nothing
COLUMNS = [LABEL, HEAD, "uid", *SEEDS, "score", "degenerate"]
Cells = dict[tuple[str, str], Cell]


@dataclass(frozen=True)
class Average:
    """Columns of averages with their cells, and a note on what each is over."""

    columns: list[str] = field(default_factory=list)
    cells: Cells = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def over(
    frame: pd.DataFrame,
    cells: Cells,
    samples: Mapping[tuple[str, str], Sample],
    rows: Sequence[str],
    margin: float,
) -> Average:
    """One average for each group of columns that has several tasks.

    A task with two metrics or splits counts once, with their mean, as on GLUE. A row has an average
    only if every run of every task is there. Its difference is over the seeds that all tasks have,
    with an interval, and is no part of the table's family of tests.

    Args:
        frame: scores as `layout.placed` gives them.
        cells: by row and column.
        samples: the paired differences of cells that have a control.
        rows: those that may have an average.
        margin: points within which a difference counts as none.
    """
    columns, averages, notes = [], {}, []
    for group, part in frame.groupby(GROUP, sort=False):
        part = part[~part["task"].isin(WITHOUT)]
        heads = part.groupby("task", sort=False)[HEAD].unique()
        if len(heads) < 2:
            continue
        name = ": ".join(filter(None, [str(group), "average"]))
        columns.append(name)
        of_tasks = [[str(head) for head in of_task] for of_task in heads]
        runs_of = dict(list(part[COLUMNS].groupby(LABEL)))
        for row in rows:
            keys = [(row, head) for of_task in of_tasks for head in of_task]
            if all(key in cells and cells[key].is_complete for key in keys):
                # With crossed teachers a run stands once for each of them.
                runs = runs_of[row].drop_duplicates([HEAD, "uid"])
                averages[row, name] = _cell(row, runs, of_tasks, samples, margin)
        tasks = " and ".join(heads.index) if len(heads) == 2 else ", ".join(heads.index)
        notes.append(f"{name}: the mean over {tasks}, of rows that have every run of them")
    return Average(columns, averages, notes)


def _cell(
    row: str,
    runs: pd.DataFrame,
    of_tasks: Sequence[Sequence[str]],
    samples: Mapping[tuple[str, str], Sample],
    margin: float,
) -> Cell:
    """The mean over tasks, its spread over the seeds that all tasks have, and its difference.

    Args:
        row: its label.
        runs: its runs with the columns `COLUMNS`.
        of_tasks: each task's columns.
        samples: as of `over`.
        margin: as of `over`.
    """
    scores = runs.groupby([HEAD, *SEEDS])["score"].mean().unstack(HEAD)
    by_task = pd.DataFrame(
        {i: scores[list(heads)].mean(axis=1) for i, heads in enumerate(of_tasks)}
    )
    over_seeds = list(PERCENT * by_task.dropna().mean(axis=1))
    # The mean is over all runs of each task, also where tasks have other seeds.
    means = [float(scores[list(heads)].mean().mean()) for heads in of_tasks]
    counts = runs.groupby(HEAD)["uid"].nunique()
    n = min(int(counts[heads[0]]) for heads in of_tasks)
    constant = runs["uid"][runs["degenerate"]].nunique()
    mean = PERCENT * float(np.mean(means))
    cell = Cell(n, n, mean, seed_tests.spread(over_seeds), degenerate=constant)
    keys = [[(row, head) for head in heads] for heads in of_tasks]
    if not all(key in samples for of_task in keys for key in of_task):
        return cell
    task_samples = [mean_of([samples[key] for key in of_task]) for of_task in keys]
    overall = mean_of([sample for sample in task_samples if sample])
    if overall is None:
        return cell
    estimate = contrast(overall, margin)  # no test: it is no part of a family
    return replace(cell, difference=estimate.difference, low=estimate.low, high=estimate.high)
