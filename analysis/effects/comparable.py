"""A study's students as a grid: which runs may be compared, and which axes they differ in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from analysis.read.frame import NO_SEED
from analysis.statistics.cells import PERCENT
from analysis.tables.layout import column_name

SEEDS = ["seed", "teacher_seed"]
NULL = "null"
TUNED = "tuned"  # in place of the value that each arm's own trials chose
# What a group decides to have at all: a temperature belongs to the knowledge that has one.
GOVERNED = {
    "knowledge": ("knowledge.", "matching", "teacher"),
    "matching": ("matching.",),
    "init": ("init.", "teacher"),
    "teacher": ("teacher.",),
    "data": ("data.",),
    "train": ("train.",),
}
ALWAYS = ("hard.", "data.", "train.", "protocol.", "task.")  # there in every run: empty is null
NOT_APPLIED = ("matching", "teacher")  # groups of which `none` says that they do not apply
SAID = ("recipe", "task")  # a name for values of other columns; what a column is of


@dataclass(frozen=True)
class Grid:
    """The students of one table column.

    Attributes:
        runs: those that are done, once for each teacher that they are paired with: uid, row, task,
            seed, teacher_seed, score (points), degenerate, and their level on each of the axes,
            None where it does not apply.
        axes: the columns in which they differ, in order.
        levels: of each axis, in the study's order.
        joined: axes that part the runs exactly as an earlier one does, by that one.
        left: how many runs are not among them, by why.
        seeds: how many are planned.
    """

    column: str
    split: str
    metric: str
    runs: pd.DataFrame
    axes: list[str]
    levels: dict[str, list[str]]
    joined: dict[str, list[str]]
    left: dict[str, int]
    seeds: int

    @property
    def by_run(self) -> "Grid":
        """With each run once, whatever teachers it is paired with."""
        return replace(self, runs=self.runs.drop_duplicates("uid", ignore_index=True))


def grids(scores: pd.DataFrame, axes: Sequence[str]) -> dict[str, Grid]:
    """The grid of every column (task, split, metric), in the study's order.

    Teachers, trials and what was left out while planning are no part of it. A key that was tuned
    has one level, `tuned`, in all arms that chose their own value.

    Args:
        scores: as `analysis.read.frame.scores` gives them, of one split.
        axes: columns in which students may differ.
    """
    is_student = (scores["seed"] != NO_SEED) & (scores["stage"] != "tune")
    students = scores[is_student & (scores["state"] != "excluded")]
    asked = [axis for axis in dict.fromkeys(axes) if axis in students.columns and axis not in SAID]
    found = {}
    for (task, split, metric), part in students.groupby(["task", "split", "metric"], sort=False):
        column = column_name(str(task), str(split), str(metric))
        found[column] = _grid((column, str(split), str(metric)), part, asked)
    return found


def same_or_absent(ours: pd.Series, theirs: pd.Series) -> pd.Series:
    """Whether levels are equal, or one of the two does not apply."""
    return (ours == theirs) | absent(ours) | absent(theirs)


def absent(levels: pd.Series) -> pd.Series:
    """Where an axis that another one governs does not apply."""
    return levels.isna() | (levels == NULL)


def with_null(scores: pd.DataFrame) -> list[str]:
    """Keys that all runs have, null in some students and a value in others: all rows, or 500."""
    students = scores[(scores["seed"] != NO_SEED) & (scores["state"] != "excluded")]
    keys = [name for name in map(str, scores.columns) if name.startswith(ALWAYS)]
    return [name for name in keys if 0 < students[name].isna().sum() < len(students)]


def governs(axis: str, other: str) -> bool:
    """Whether a level of an axis decides if the other axis applies at all."""
    return other != axis and other.startswith(GOVERNED.get(axis, ("\0",)))


def _grid(name: tuple[str, str, str], part: pd.DataFrame, asked: Sequence[str]) -> Grid:
    part = part.drop_duplicates(["uid", *SEEDS])
    texts = pd.DataFrame({axis: _levels(part, axis) for axis in asked}, index=part.index)
    kept = ["uid", "row", "task", *SEEDS, "degenerate"]
    kept += [name for name in ("transformer", "layers") if name in part]
    runs = pd.concat([part[kept], texts], axis=1).assign(score=PERCENT * part["score"])
    is_done = runs["score"].notna()
    # Runs alike in all of this differ in something that the plan does not name.
    is_unclear = runs[is_done].duplicated([*asked, *SEEDS], keep=False)
    is_unclear = is_unclear.reindex(runs.index, fill_value=False)
    # A run that is paired with several teachers is one run.
    states = part[~is_done].drop_duplicates("uid")["state"].replace("done", "without a score")
    left = {str(why): int(n) for why, n in states.value_counts().sort_index().items()}
    if (unclear := runs["uid"][is_done & is_unclear].nunique()) and asked:
        left["told apart by no key of the plan"] = unclear
        is_done &= ~is_unclear
    runs = runs[is_done].reset_index(drop=True)
    levels = {axis: [str(v) for v in runs[axis].dropna().unique()] for axis in asked}
    differing = [axis for axis in asked if len(levels[axis]) > 1]
    joined = _joined(runs, differing)
    later = {other for others in joined.values() for other in others}
    first = [axis for axis in differing if axis not in later]
    return Grid(*name, runs, first, levels, joined, left, part["seed"].nunique())


def _levels(part: pd.DataFrame, axis: str) -> pd.Series:
    """An axis' levels as texts; None where it does not apply."""
    empty = NULL if axis.startswith(ALWAYS) else None
    texts = part[axis].map(_text, na_action="ignore").astype(object)
    texts = texts.where(texts.notna(), empty)
    if axis in NOT_APPLIED:
        texts = texts.where(texts != "none", None)
    is_confirmed = part["stage"] == "confirm"
    if not is_confirmed.any():
        return texts
    trials = " " + part["trial"].fillna("").astype(object)
    is_named = trials.str.contains(f" {axis}=", regex=False)
    return texts.mask(is_named & is_confirmed, TUNED)


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _joined(runs: pd.DataFrame, axes: Sequence[str]) -> dict[str, list[str]]:
    """Axes that part the runs alike, by the first of them."""
    first: dict[tuple[int, ...], str] = {}
    found: dict[str, list[str]] = {}
    for axis in axes:
        codes = tuple(pd.factorize(runs[axis], use_na_sentinel=False)[0].tolist())
        if (same := first.setdefault(codes, axis)) != axis:
            found.setdefault(same, []).append(axis)
    return found


def named(grid: Grid, axis: str) -> str:
    """An axis with those that it cannot be told from: `data (with hard.weight)`."""
    others: Mapping[str, Sequence[str]] = grid.joined
    return f"{axis} (with {', '.join(others[axis])})" if axis in others else axis
