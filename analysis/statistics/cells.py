"""Cells of a table: scores of a row's runs, and their differences to the control's."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from analysis.read.frame import NO_SEED, reader
from analysis.statistics import seed_tests
from analysis.statistics.bootstrap import resample_each
from analysis.statistics.contrasts import Sample, mark
from kdlab.record import Record, read_examples, read_outputs

PERCENT = 100.0
SEEDS = ["seed", "teacher_seed"]
SCORED = ("uid", "score", "degenerate")
# What a cell is made of: of all columns pandas would copy every one for every cell.
COLUMNS = [
    *("row", "control", "task", "state", "degenerate", "teachers", "overrides", *SEEDS),
    *("uid", "score", "split", "metric"),
    *("transformer", "parameters", "flops", "latency"),
]
BLOCK = 32  # runs resampled together: one product of matrices for many of a matrix and a vector
NOTHING = float("nan")
Seeds = tuple[int, int]  # a run's, and its teacher's
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
    """Reads and resamples each run once, however many cells it is compared in.

    A run is resampled together with others of its task that the same table compares.
    """
    read, root = cache(_addresses(frame)), frame.attrs["root"]
    blocks = _blocks(frame)
    examples: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    known: dict[tuple[str, str, str], tuple[np.ndarray, np.ndarray]] = {}

    def draws(uid: str, split: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        if (uid, split, metric) not in known:
            digest = read(uid).result["examples"][split]
            if digest not in examples:
                examples[digest] = read_examples(root, read(uid), split)
            ids, labels = examples[digest]
            alike = [uid, *(x for x in blocks.get(uid, ()) if x != uid)]
            alike = [x for x in alike if read(x).result["examples"].get(split) == digest]
            outputs = np.stack([read_outputs(root, read(x), split) for x in alike])
            drawn = resample_each(metric, labels, outputs).T.copy()
            known.update(
                {(x, split, metric): (ids, own) for x, own in zip(alike, drawn, strict=True)}
            )
        return known[uid, split, metric]

    return draws


def _addresses(frame: pd.DataFrame) -> Callable[[str], Record]:
    """Of a run's record what says where its outputs and examples are: it is kept for all runs."""
    read = reader(frame)

    def addresses(uid: str) -> Record:
        found = read(uid)
        examples = found.result["examples"] if found.artifacts.get("outputs") else {}
        return replace(found, result={"examples": examples}, cost={}, choices={}, overrides=[])

    return addresses


def _blocks(frame: pd.DataFrame) -> dict[str, list[str]]:
    """By uid the runs that are resampled with it: done, of its task, and no trials."""
    done = frame[(frame["state"] == "done") & (frame["stage"] != "tune")].drop_duplicates("uid")
    found: dict[str, list[str]] = {}
    for _, part in done.groupby("task", sort=False):
        uids = list(part["uid"])
        for start in range(0, len(uids), BLOCK):
            block = uids[start : start + BLOCK]
            found |= dict.fromkeys(block, block)
    return found


@dataclass(frozen=True)
class Column:
    """All arms' runs of one task, split and metric: by row, the teachers', and those of arms
    without knowledge.
    """

    rows: Mapping[str, pd.DataFrame]
    teachers: pd.DataFrame
    nones: pd.DataFrame


def column(frame: pd.DataFrame) -> Column:
    """A column of its rows of a frame."""
    is_teacher = frame["seed"] == NO_SEED
    is_none = frame["overrides"].str.contains('"knowledge=none"', regex=False) & ~is_teacher
    rows = {str(row): part for row, part in frame.groupby("row", sort=False)}
    return Column(rows, frame[is_teacher], frame[is_none])


def build(part: pd.DataFrame, column: Column, told: Mapping[str, Any] | None) -> Cell:
    """A cell of its rows of the frame and those of all its column.

    Args:
        part: an arm's runs of one task, split and metric.
        column: of these.
        told: the arm's contrast with its control, judged; None if it is compared with nothing.
    """
    runs = part.drop_duplicates("uid")  # a run may stand for several seeds of teachers
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
    if part["seed"].iloc[0] == NO_SEED:
        return cell
    if told is not None:
        names = ("difference", "low", "high", "seeds", "detectable", "p", "adjusted", "family")
        numbers = {name: told[name] for name in names}
        cell = replace(cell, **numbers, equivalence=told["equivalent"], contrast=told["key"])
        cell = replace(cell, mark=mark(told))
    return _headroom(cell, part, column)


def with_control(part: pd.DataFrame, column: Column) -> pd.DataFrame:
    """An arm's runs beside its control's of the same seeds; empty if it is its own control."""
    control = part["control"].iloc[0]
    both = _paired(part, column.rows.get(control, part.iloc[:0]))
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
    names = [*SCORED, *(f"{name}_control" for name in SCORED)]
    pairs = [(*key, *scored) for key, scored in _pairs(part, control)]
    both = pd.DataFrame(pairs, columns=[*SEEDS, *names])
    first = part.iloc[0]
    return both.assign(
        split=first["split"],
        metric=first["metric"],
        difference=both["score"] - both["score_control"],
    )


def _pairs(part: pd.DataFrame, control: pd.DataFrame) -> list[tuple[Seeds, tuple[Any, ...]]]:
    """By seeds that both have what is SCORED of the one and of the other."""
    ours, theirs = _by_seeds(part), _by_seeds(control)
    return [(key, (*ours[key], *theirs[key])) for key in ours if key in theirs]


def _by_seeds(rows: pd.DataFrame) -> dict[Seeds, tuple[str, float, bool]]:
    """What is SCORED of the first run that has a score, of each seed and its teacher's."""
    found: dict[Seeds, tuple[str, float, bool]] = {}
    columns = (rows[name].tolist() for name in (*SEEDS, *SCORED))
    for seed, teacher, uid, score, degenerate in zip(*columns, strict=True):
        if not math.isnan(score):
            found.setdefault((seed, teacher), (uid, score, degenerate))
    return found


def _drawn(both: pd.DataFrame, draws: Draws) -> np.ndarray:
    """Each pair's difference in points on each draw of the examples [draws, pairs]."""
    split, metric = str(both["split"].iloc[0]), str(both["metric"].iloc[0])
    differences = []
    for uid, other in zip(both["uid"], both["uid_control"], strict=True):
        (ids, ours), (other_ids, theirs) = (draws(key, split, metric) for key in (uid, other))
        assert np.array_equal(ids, other_ids)
        differences.append(PERCENT * (ours - theirs))
    return np.stack(differences, 1)


def _headroom(cell: Cell, part: pd.DataFrame, column: Column) -> Cell:
    """With what its teachers have above its arm without knowledge, and how much of it is closed."""
    taught = [uid for text in part["teachers"].dropna() for uid in json.loads(text)]
    own = column.teachers[column.teachers["uid"].isin(taught)]
    teachers = PERCENT * own.drop_duplicates("uid")["score"].dropna()
    if not teachers.empty and teachers.mean() > 0:
        cell = replace(cell, of_teacher=PERCENT * cell.mean / float(teachers.mean()))
    pairs = _pairs(part, _without_knowledge(part, column.nones))
    if not pairs or teachers.empty:
        return cell
    scores = {none: PERCENT * score for _, (_, _, _, none, score, _) in pairs}
    nones = list(scores.values())
    headroom = float(teachers.mean() - np.mean(nones))
    deviations = [seed_tests.spread(list(scores)) for scores in (teachers, nones)]
    spread = math.hypot(*(d for d in deviations if not math.isnan(d)))
    is_own = all(uid == none for _, (uid, _, _, none, _, _) in pairs)
    if len(nones) < 2 or headroom <= spread or is_own:
        return replace(cell, headroom=headroom, headroom_spread=spread)
    difference = np.mean([ours - theirs for _, (_, ours, _, _, theirs, _) in pairs])
    share = PERCENT * PERCENT * float(difference) / headroom
    return replace(cell, headroom=headroom, headroom_spread=spread, share=share)


def _without_knowledge(part: pd.DataFrame, nones: pd.DataFrame) -> pd.DataFrame:
    """The control's rows if it learns from no teacher, else of the only row that does not."""
    if part["control"].iloc[0] in set(nones["row"]):
        return nones[nones["row"] == part["control"].iloc[0]]
    return nones if nones["row"].nunique() == 1 else nones.iloc[:0]
