"""The mean over a table's tasks, of the rows that have them all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from analysis.statistics import seed_tests
from analysis.statistics.cells import PERCENT, Cell
from analysis.statistics.contrasts import Sample, contrast, mean_of
from analysis.tables.layout import GROUP, HEAD, LABEL

WITHOUT = ("wnli",)  # its dev rows contradict its train rows: it says nothing
OWN = [LABEL, HEAD, "uid", "seed", "teacher_seed", "score", "degenerate"]
Cells = dict[tuple[str, str], Cell]


@dataclass(frozen=True)
class Average:
    """Columns of averages with their cells, and what each is over."""

    columns: list[str] = field(default_factory=list)
    cells: Cells = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def over(
    frame: pd.DataFrame,
    cells: Cells,
    paired: Mapping[tuple[str, str], Sample],
    rows: Sequence[str],
    margin: float,
) -> Average:
    """One average for each group of columns that has several tasks.

    A task with two metrics or splits counts once, with their mean, as on GLUE. A row has an average
    only if every run of every task is there. Its difference is over the seeds that all tasks have,
    with an interval, and is no part of the table's family of tests.
    """
    columns, found, notes = [], {}, []
    for group, part in frame.groupby(GROUP, sort=False):
        heads = part[~part["task"].isin(WITHOUT)].groupby("task", sort=False)[HEAD].unique()
        if len(heads) < 2:
            continue
        name = ": ".join(filter(None, [str(group), "average"]))
        columns.append(name)
        listed = [[str(head) for head in of_task] for of_task in heads]
        by_row = dict(list(part.loc[~part["task"].isin(WITHOUT), OWN].groupby(LABEL)))
        for row in rows:
            inside = [(row, head) for of_task in listed for head in of_task]
            if all(key in cells and cells[key].is_complete for key in inside):
                # Whatever teachers it is paired with.
                own = by_row[row].drop_duplicates([HEAD, "uid"])
                found[row, name] = _cell(row, own, listed, paired, margin)
        said = " and ".join(heads.index) if len(heads) == 2 else ", ".join(heads.index)
        notes.append(f"{name}: the mean over {said}, of rows that have every run of them")
    return Average(columns, found, notes)


def _cell(
    row: str,
    own: pd.DataFrame,
    listed: Sequence[Sequence[str]],
    paired: Mapping[tuple[str, str], Sample],
    margin: float,
) -> Cell:
    """The mean over tasks, its spread over the seeds that all tasks have, and its difference."""
    scores = own.groupby([HEAD, "seed", "teacher_seed"])["score"].mean().unstack(HEAD)
    by_task = pd.DataFrame({i: scores[list(heads)].mean(axis=1) for i, heads in enumerate(listed)})
    seeds = list(PERCENT * by_task.dropna().mean(axis=1))
    of_tasks = [float(scores[list(heads)].mean().mean()) for heads in listed]
    runs = own.groupby(HEAD)["uid"].nunique()
    counts = [int(runs[heads[0]]) for heads in listed]
    mean, n = PERCENT * float(np.mean(of_tasks)), min(counts)
    constant = own["uid"][own["degenerate"]].nunique()
    cell = Cell(n, n, mean, seed_tests.spread(seeds), degenerate=constant)
    keys = [[(row, head) for head in heads] for heads in listed]
    if not all(key in paired for of_task in keys for key in of_task):
        return cell
    of_task = [mean_of([paired[key] for key in own]) for own in keys]
    whole = mean_of([each for each in of_task if each])
    if whole is None:
        return cell
    told = contrast(whole, margin)  # no test: it is no part of a family
    return replace(cell, difference=told.difference, low=told.low, high=told.high)
