"""Cells of a table: the scores of an arm's runs, and their difference to its control."""

import json
import math
import statistics
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from analysis.read.frame import NO_SEED, PERCENT
from analysis.statistics import seed_tests
from analysis.statistics.contrasts import mark
from analysis.statistics.pairs import Pairs


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
    difference: float = math.nan
    low: float = math.nan
    high: float = math.nan
    detectable: float = math.nan
    p: float = math.nan
    adjusted: float = math.nan
    equivalence: float = math.nan
    seeds: int = 0
    family: tuple[str, ...] = ()
    contrast: str = ""
    mark: str = ""
    headroom: float = math.nan
    headroom_spread: float = math.nan
    share: float = math.nan
    diverged: int = 0
    degenerate: int = 0
    transformer: float = math.nan
    parameters: float = math.nan
    flops: float = math.nan
    latency: float = math.nan
    of_teacher: float = math.nan

    @property
    def is_complete(self) -> bool:
        """Whether every run that should be there is."""
        return 0 < self.n == self.expected

    @property
    def may_be_best(self) -> bool:
        """Whether its row may be marked as the best: all its runs are there, none is degenerate."""
        return self.is_complete and not self.degenerate


Key = tuple[str, ...]
K = TypeVar("K", bound=Hashable)


class CellRun(NamedTuple):
    """A run of a cell: some columns of a row of `analysis.read.frame.scores`, by their names.

    Cells are made of these, not of frames: there are thousands of a few runs each, and pandas takes
    a hundred times as long for a few values as a list does.
    """

    table: str
    row: str
    task: str
    split: str
    metric: str
    control: str
    state: str
    knowledge: str | None
    teachers: str | None  # a JSON list of uids; a teacher has none
    uid: str
    seed: int
    teacher_seed: int
    score: float  # a fraction, NaN where the run is not done
    degenerate: bool
    transformer: float
    parameters: float
    flops: float
    latency: float

    @property
    def cell(self) -> Key:
        """The key of its cell, as the study labels it."""
        return (self.table, self.row, self.task, self.split, self.metric)

    @property
    def column(self) -> Key:
        """The key of its column, with its table."""
        return (self.table, self.task, self.split, self.metric)

    @property
    def is_teacher(self) -> bool:
        """Whether it is a teacher's."""
        return self.seed == NO_SEED

    @property
    def has_score(self) -> bool:
        """Whether it is done."""
        return not math.isnan(self.score)


def cell_runs(frame: pd.DataFrame) -> list[CellRun]:
    """The rows of a frame of scores, without what was left out while planning."""
    columns = (frame[name].tolist() for name in CellRun._fields)
    return [CellRun(*values) for values in zip(*columns, strict=True)]


def grouped(runs: Iterable[CellRun], key: Callable[[CellRun], K]) -> dict[K, list[CellRun]]:
    """Runs by a key, in the order in which the keys occur."""
    groups: dict[K, list[CellRun]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return groups


@dataclass(frozen=True)
class Column:
    """All arms' runs of one task, split and metric.

    Attributes:
        rows: the runs of each row of the table.
        teachers: the runs of teachers, by uid.
        without_knowledge: by row the students' runs that learn from no teacher.
    """

    rows: Mapping[str, Sequence[CellRun]]
    teachers: Mapping[str, CellRun]
    without_knowledge: Mapping[str, Sequence[CellRun]]


def columns(runs: Iterable[CellRun]) -> dict[Key, Column]:
    """The columns of all tables, by `CellRun.column`."""
    by_key = grouped(runs, lambda run: run.column)
    return {key: _column(of_column) for key, of_column in by_key.items()}


def _column(runs: Sequence[CellRun]) -> Column:
    """The column of some runs, which are all of one task, split and metric."""
    # A teacher learns from none, too, but is no student to compare with.
    alone = (run for run in runs if run.knowledge == "none" and not run.is_teacher)
    return Column(
        rows=grouped(runs, lambda run: run.row),
        teachers={run.uid: run for run in runs if run.is_teacher},
        without_knowledge=grouped(alone, lambda run: run.row),
    )


def build(arm: Sequence[CellRun], column: Column, verdict: Mapping[str, Any] | None) -> Cell:
    """The cell of an arm.

    Args:
        arm: its runs of one task, split and metric.
        column: of all arms.
        verdict: the arm's contrast with its control, as of `contrasts.judged`; None if it is
            compared with nothing.
    """
    # With crossed teachers a run stands once for each of them.
    runs = list({run.uid: run for run in arm}.values())
    done = [run for run in runs if run.has_score]
    scores = [PERCENT * run.score for run in done]
    cell = Cell(
        n=len(done),
        expected=len(runs),
        mean=float(np.mean(scores)) if scores else math.nan,
        spread=seed_tests.spread(scores),
        diverged=sum(run.state == "diverged" for run in runs),
        degenerate=sum(run.degenerate for run in done),
        # Equal in all runs of a row, or unknown: the largest is the one that is known.
        transformer=_largest(run.transformer for run in runs),
        parameters=_largest(run.parameters for run in runs),
        flops=_largest(run.flops for run in runs),
        # Measured, and on a busy machine far too large: the median leaves such runs out.
        latency=_median(run.latency for run in runs),
    )
    if arm[0].is_teacher:
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


def with_control(arm: Sequence[CellRun], column: Column) -> Pairs | None:
    """An arm's runs paired with its control's of the same seeds.

    None if the control has no scored run of these seeds, or the arm is its own control.
    """
    control = arm[0].control
    if control == arm[0].row or not (both := _same_seeds(arm, column.rows.get(control, ()))):
        return None
    return Pairs(
        uids=[run.uid for run, _ in both],
        others=[other.uid for _, other in both],
        seeds=[run.seed for run, _ in both],
        teachers=[run.teacher_seed for run, _ in both],
        differences=[PERCENT * (run.score - other.score) for run, other in both],
        degenerate=[run.degenerate or other.degenerate for run, other in both],
    )


def _same_seeds(
    runs: Iterable[CellRun], others: Iterable[CellRun]
) -> list[tuple[CellRun, CellRun]]:
    """Of each seed and teacher's seed that both have, the scored run of the one and the other."""
    first, second = _by_seeds(runs), _by_seeds(others)
    return [(first[seeds], second[seeds]) for seeds in first if seeds in second]


def _by_seeds(runs: Iterable[CellRun]) -> dict[tuple[int, int], CellRun]:
    """By seed and teacher's seed the first run that has a score."""
    scored: dict[tuple[int, int], CellRun] = {}
    for run in runs:
        if run.has_score:
            scored.setdefault((run.seed, run.teacher_seed), run)
    return scored


def _largest(numbers: Iterable[float]) -> float:
    return max((number for number in numbers if not math.isnan(number)), default=math.nan)


def _median(numbers: Iterable[float]) -> float:
    measured = [number for number in numbers if not math.isnan(number)]
    return statistics.median(measured) if measured else math.nan


def _with_headroom(cell: Cell, arm: Sequence[CellRun], column: Column) -> Cell:
    """The cell with the gap between its teachers and its arm without knowledge, and how much of it
    the arm closes.
    """
    teacher_runs = [column.teachers[uid] for uid in _teachers(arm) if uid in column.teachers]
    teachers = [PERCENT * run.score for run in teacher_runs if run.has_score]
    # A correlation may be 0 or negative: nothing is a percentage of that.
    if teachers and np.mean(teachers) > 0:
        cell = replace(cell, of_teacher=PERCENT * cell.mean / float(np.mean(teachers)))
    pairs = _same_seeds(arm, _without_knowledge(arm, column.without_knowledge))
    if not pairs or not teachers:
        return cell
    # With crossed teachers one run without knowledge is in several pairs: it counts once.
    baselines = list({none.uid: PERCENT * none.score for _, none in pairs}.values())
    headroom, spread = seed_tests.headroom(teachers, baselines)
    cell = replace(cell, headroom=headroom, headroom_spread=spread)
    is_baseline = all(run.uid == none.uid for run, none in pairs)
    # A share of a gap that noise alone could make would be any number.
    if len(baselines) < 2 or headroom <= spread or is_baseline:
        return cell
    gain = PERCENT * float(np.mean([run.score - none.score for run, none in pairs]))  # points
    return replace(cell, share=PERCENT * gain / headroom)


def _teachers(arm: Iterable[CellRun]) -> list[str]:
    """The uids of an arm's teachers, each once."""
    texts = dict.fromkeys(run.teachers for run in arm)
    lists = [json.loads(text) for text in texts if isinstance(text, str)]  # NaN: it has none
    return list(dict.fromkeys(uid for uids in lists for uid in uids))


def _without_knowledge(
    arm: Sequence[CellRun], students: Mapping[str, Sequence[CellRun]]
) -> Sequence[CellRun]:
    """Of the students without knowledge those of the arm's control, else of the only such row."""
    if arm[0].control in students:
        return students[arm[0].control]
    return next(iter(students.values())) if len(students) == 1 else []
