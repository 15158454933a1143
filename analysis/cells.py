"""Cells of a table: scores of a row's runs, and their differences to the control's."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from analysis import stats
from analysis.bootstrap import resample
from analysis.contrasts import Sample, mark
from analysis.frame import NO_SEED, reader
from kdlab.record import read_examples, read_outputs

PERCENT = 100.0
SEEDS = ["seed", "teacher_seed"]
NOTHING = float("nan")
# Of a run (uid, split, metric): the ids of its examples, and its scores on draws of them.
Draws = Callable[[str, str, str], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Cell:
    """Mean, spread over seeds and paired difference to the control, in points (0 to 100).

    NaN stands for what there is not.

    Attributes:
        difference: with `low`, `high`, `seeds`, `detectable` and `p` as of `contrasts.Contrast`.
        adjusted: Holm's p of the difference, and `equivalence` of its being within the margin.
        family: in which they are corrected; empty where nothing is compared.
        contrast: what it is known by: cells that compare the same runs share it.
        mark: what the two claim: `*` (0.05), `**` (0.01), `≈` (none beyond the margin).
        headroom: the row's teachers minus its arm without knowledge, and its spread (see `share`).
        share: of the headroom closed, in percent; NaN where headroom is within its spread.
        transformer: parameters of the model's layers, and `parameters` of all of it.
        flops: of one row of 128 tokens.
        latency: milliseconds of one row, the median over runs, which may have several machines.
        of_teacher: the mean in percent of the teachers'.
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


def sampler(frame: pd.DataFrame) -> Draws:
    """Reads and resamples each run once, however many cells it is compared in."""
    read, root = reader(frame), frame.attrs["root"]

    @cache
    def draws(uid: str, split: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        found = read(uid)
        ids, labels = read_examples(root, found, split)
        return ids, resample(metric, labels, read_outputs(root, found, split))

    return draws


def build(part: pd.DataFrame, column: pd.DataFrame, told: Mapping[str, Any] | None) -> Cell:
    """A cell of its rows of the frame and those of all its column.

    Args:
        part: an arm's runs of one task, split and metric.
        column: all arms' runs of these.
        told: the arm's contrast with its control, judged; None if it is compared with nothing.
    """
    runs = part.drop_duplicates("uid")  # a run may stand for several seeds of teachers
    done = runs[runs["score"].notna()]
    scores = [PERCENT * score for score in done["score"]]
    cell = Cell(
        n=len(done),
        expected=len(runs),
        mean=float(np.mean(scores)) if scores else NOTHING,
        spread=stats.spread(scores),
        diverged=int((runs["state"] == "diverged").sum()),
        degenerate=int(done["degenerate"].sum()),
        transformer=float(runs["transformer"].max()),
        parameters=float(runs["parameters"].max()),
        flops=float(runs["flops"].max()),
        latency=float(runs["latency"].median()),
    )
    if part["seed"].iloc[0] == NO_SEED:
        return cell
    if told is not None:
        names = ("difference", "low", "high", "seeds", "detectable", "p", "adjusted", "family")
        numbers = {name: told[name] for name in names}
        cell = replace(cell, **numbers, equivalence=told["equivalent"], contrast=told["key"])
        cell = replace(cell, mark=mark(told))
    return _headroom(cell, part, column)


def with_control(part: pd.DataFrame, column: pd.DataFrame) -> pd.DataFrame:
    """An arm's runs beside its control's of the same seeds; empty if it is its own control."""
    control = part["control"].iloc[0]
    both = _paired(part, column[column["row"] == control])
    return both.iloc[:0] if part["row"].iloc[0] == control else both


def sampled(both: pd.DataFrame, draws: Draws | None) -> Sample:
    """The differences of runs to their control's, in points."""
    return Sample(
        both["seed"].to_numpy(dtype=int),
        both["teacher_seed"].to_numpy(dtype=int),
        PERCENT * both["difference"].to_numpy(dtype=float),
        None if draws is None else _drawn(both, draws),
    )


def _paired(part: pd.DataFrame, control: pd.DataFrame) -> pd.DataFrame:
    """A row's scores beside another's of the same seeds, once for each pair of seeds."""
    ours, theirs = (rows[rows["score"].notna()].drop_duplicates(SEEDS) for rows in (part, control))
    both = ours.merge(theirs, on=SEEDS, suffixes=("", "_control"))
    return both.assign(difference=both["score"] - both["score_control"])


def _drawn(both: pd.DataFrame, draws: Draws) -> np.ndarray:
    """Each pair's difference in points on each draw of the examples [draws, pairs]."""
    split, metric = str(both["split"].iloc[0]), str(both["metric"].iloc[0])
    differences = []
    for uid, other in zip(both["uid"], both["uid_control"], strict=True):
        (ids, ours), (other_ids, theirs) = (draws(key, split, metric) for key in (uid, other))
        assert np.array_equal(ids, other_ids)
        differences.append(PERCENT * (ours - theirs))
    return np.stack(differences, 1)


def _headroom(cell: Cell, part: pd.DataFrame, column: pd.DataFrame) -> Cell:
    """With what its teachers have above its arm without knowledge, and how much of it is closed."""
    taught = [uid for text in part["teachers"].dropna() for uid in json.loads(text)]
    is_teacher = (column["seed"] == NO_SEED) & column["uid"].isin(taught)
    teachers = PERCENT * column[is_teacher].drop_duplicates("uid")["score"].dropna()
    if not teachers.empty and teachers.mean() > 0:
        cell = replace(cell, of_teacher=PERCENT * cell.mean / float(teachers.mean()))
    both = _paired(part, _without_knowledge(part, column))
    if both.empty or teachers.empty:
        return cell
    nones = PERCENT * both.drop_duplicates("uid_control")["score_control"]
    headroom = float(teachers.mean() - nones.mean())
    deviations = [stats.spread(list(scores)) for scores in (teachers, nones)]
    spread = math.hypot(*(d for d in deviations if not math.isnan(d)))
    if len(nones) < 2 or headroom <= spread or (both["uid"] == both["uid_control"]).all():
        return replace(cell, headroom=headroom, headroom_spread=spread)
    share = PERCENT * PERCENT * float(both["difference"].mean()) / headroom
    return replace(cell, headroom=headroom, headroom_spread=spread, share=share)


def _without_knowledge(part: pd.DataFrame, column: pd.DataFrame) -> pd.DataFrame:
    """The control's rows if it learns from no teacher, else of the only row that does not."""
    is_none = column["overrides"].map(lambda text: "knowledge=none" in json.loads(text))
    nones = column[is_none & (column["seed"] != NO_SEED)]
    if part["control"].iloc[0] in set(nones["row"]):
        return nones[nones["row"] == part["control"].iloc[0]]
    return nones if nones["row"].nunique() == 1 else nones.iloc[:0]
