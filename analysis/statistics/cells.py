"""Cells of a table: the scores of an arm's runs, and their difference to its control."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.read.frame import NO_SEED, PERCENT
from analysis.statistics import seed_tests
from analysis.statistics.contrasts import mark
from analysis.statistics.pairs import OTHER, SEEDS

# The columns that a cell is made of: of a wider frame pandas would copy all for every cell.
COLUMNS = [
    *("row", "control", "task", "state", "degenerate", "teachers", "knowledge", *SEEDS),
    *("uid", "score", "split", "metric"),
    *("transformer", "parameters", "flops", "latency"),
]
NOTHING = float("nan")


@dataclass(frozen=True)
class Cell:
    """Mean, spread over seeds and paired difference to the control, in points (0 to 100).

    NaN stands for what there is not. The fields are the columns of a table's CSV file.

    Attributes:
        n: runs with a score, of the `expected` ones.
        spread: standard deviation over the runs.
        difference: mean paired difference to the control; with `low`, `high`, `detectable`, `p`
            and `seeds` as of `contrasts.Contrast`.
        adjusted: Holm's p of the difference, and `equivalence` Holm's p of its lying within the
            margin.
        family: in which they are corrected; empty where nothing is compared.
        contrast: key of the comparison: cells that compare the same runs share it.
        mark: what the two claim: `*` (0.05), `**` (0.01), `≈` (none beyond the margin).
        headroom: mean of the row's teachers minus that of its arm without knowledge.
        headroom_spread: standard deviation of that difference between two runs.
        share: of the headroom closed, in percent; NaN where headroom is within its spread.
        diverged: runs that diverged, and `degenerate` those that predict one class for every row.
        transformer: parameters of the model's layers, and `parameters` of all of it.
        flops: of one row of 128 tokens.
        latency: milliseconds of one row, the median over runs, which may have several machines.
        of_teacher: the mean in percent of the teachers' mean.
    """

    n: int
    expected: int
    mean: float
    spread: float
    difference: float = NOTHING
    low: float = NOTHING
    high: float = NOTHING
    detectable: float = NOTHING
    p: float = NOTHING
    adjusted: float = NOTHING
    equivalence: float = NOTHING
    seeds: int = 0
    family: tuple[str, ...] = ()
    contrast: str = ""
    mark: str = ""
    headroom: float = NOTHING
    headroom_spread: float = NOTHING
    share: float = NOTHING
    diverged: int = 0
    degenerate: int = 0
    transformer: float = NOTHING
    parameters: float = NOTHING
    flops: float = NOTHING
    latency: float = NOTHING
    of_teacher: float = NOTHING

    @property
    def is_complete(self) -> bool:
        """Whether every run that should be there is."""
        return 0 < self.n == self.expected


class Scored(NamedTuple):
    """A run and its score, a fraction."""

    uid: str
    score: float
    degenerate: bool


@dataclass(frozen=True)
class Column:
    """All arms' runs of one task, split and metric.

    Attributes:
        rows: the runs of each row of the table.
        teachers: the runs of teachers.
        without_knowledge: the students' runs that learn from no teacher.
    """

    rows: Mapping[str, pd.DataFrame]
    teachers: pd.DataFrame
    without_knowledge: pd.DataFrame


def column(frame: pd.DataFrame) -> Column:
    """A column of its runs, rows of `analysis.read.frame.scores`."""
    is_teacher = frame["seed"] == NO_SEED
    rows = {str(row): runs for row, runs in frame.groupby("row", sort=False)}
    has_none = (frame["knowledge"] == "none") & ~is_teacher
    return Column(rows, frame[is_teacher], frame[has_none])


def build(arm: pd.DataFrame, column: Column, verdict: Mapping[str, Any] | None) -> Cell:
    """The cell of an arm.

    Args:
        arm: its runs of one task, split and metric.
        column: of all arms.
        verdict: the arm's contrast with its control, as of `contrasts.judged`; None if it is
            compared with nothing.
    """
    runs = arm.drop_duplicates("uid")  # with crossed teachers a run stands once for each of them
    done = runs[runs["score"].notna()]
    scores = [PERCENT * score for score in done["score"]]
    cell = Cell(
        n=len(done),
        expected=len(runs),
        mean=float(np.mean(scores)) if scores else NOTHING,
        spread=seed_tests.spread(scores),
        diverged=int((runs["state"] == "diverged").sum()),
        degenerate=int(done["degenerate"].sum()),
        transformer=float(runs["transformer"].max()),
        parameters=float(runs["parameters"].max()),
        flops=float(runs["flops"].max()),
        latency=float(runs["latency"].median()),
    )
    if arm["seed"].iloc[0] == NO_SEED:  # a teacher is compared with nothing
        return cell
    if verdict is not None:
        names = ("difference", "low", "high", "seeds", "detectable", "p", "adjusted", "family")
        cell = replace(
            cell,
            **{name: verdict[name] for name in names},
            equivalence=verdict["equivalent"],
            contrast=verdict["key"],
            mark=mark(verdict),
        )
    return _with_headroom(cell, arm, column)


def with_control(arm: pd.DataFrame, column: Column) -> pd.DataFrame:
    """An arm's runs paired with its control's of the same seeds, as `statistics.pairs` has them.

    Empty if the control has no run of these seeds, or the arm is its own control.
    """
    control = arm["control"].iloc[0]
    is_control = arm["row"].iloc[0] == control
    others = arm.iloc[:0] if is_control else column.rows.get(control, arm.iloc[:0])
    names = [*Scored._fields, *(name + OTHER for name in Scored._fields)]
    rows = [(*seeds, *run, *other) for seeds, run, other in _same_seeds(arm, others)]
    pairs = pd.DataFrame(rows, columns=[*SEEDS, *names])
    return pairs.assign(difference=PERCENT * (pairs["score"] - pairs["score" + OTHER]))


def _same_seeds(
    runs: pd.DataFrame, others: pd.DataFrame
) -> list[tuple[tuple[int, int], Scored, Scored]]:
    """Of each seed and teacher's seed that both have, the scored run of the one and the other."""
    first, second = _by_seeds(runs), _by_seeds(others)
    return [(seeds, first[seeds], second[seeds]) for seeds in first if seeds in second]


def _by_seeds(runs: pd.DataFrame) -> dict[tuple[int, int], Scored]:
    """By seed and teacher's seed the first run that has a score."""
    scored: dict[tuple[int, int], Scored] = {}
    # Lists, not rows of a frame: this is done for every cell, and pandas takes a hundred times
    # as long for a few values.
    columns = (runs[name].tolist() for name in (*SEEDS, *Scored._fields))
    for seed, teacher_seed, uid, score, degenerate in zip(*columns, strict=True):
        if not math.isnan(score):
            scored.setdefault((seed, teacher_seed), Scored(uid, score, degenerate))
    return scored


def _with_headroom(cell: Cell, arm: pd.DataFrame, column: Column) -> Cell:
    """The cell with the gap between its teachers and its arm without knowledge, and how much of it
    the arm closes.
    """
    uids = [uid for text in arm["teachers"].dropna() for uid in json.loads(text)]
    own = column.teachers[column.teachers["uid"].isin(uids)]
    teachers = PERCENT * own.drop_duplicates("uid")["score"].dropna()
    if not teachers.empty and teachers.mean() > 0:
        cell = replace(cell, of_teacher=PERCENT * cell.mean / float(teachers.mean()))
    pairs = _same_seeds(arm, _without_knowledge(arm, column.without_knowledge))
    if not pairs or teachers.empty:
        return cell
    # With crossed teachers one run without knowledge is in several pairs: it counts once.
    baselines = list({none.uid: PERCENT * none.score for _, _, none in pairs}.values())
    headroom = float(teachers.mean() - np.mean(baselines))
    deviations = [seed_tests.spread(list(scores)) for scores in (teachers, baselines)]
    spread = math.hypot(*(deviation for deviation in deviations if not math.isnan(deviation)))
    cell = replace(cell, headroom=headroom, headroom_spread=spread)
    is_baseline = all(run.uid == none.uid for _, run, none in pairs)
    # A share of a gap that noise alone could make would be any number.
    if len(baselines) < 2 or headroom <= spread or is_baseline:
        return cell
    gain = float(np.mean([run.score - none.score for _, run, none in pairs]))
    return replace(cell, share=PERCENT * PERCENT * gain / headroom)


def _without_knowledge(arm: pd.DataFrame, students: pd.DataFrame) -> pd.DataFrame:
    """Of the students without knowledge those of the arm's control, else of the only such row."""
    if arm["control"].iloc[0] in set(students["row"]):
        return students[students["row"] == arm["control"].iloc[0]]
    return students if students["row"].nunique() == 1 else students.iloc[:0]
