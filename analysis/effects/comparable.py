"""A study's students as a grid: which runs may be compared, and which axes they differ in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from analysis.read.frame import PERCENT, planned_students
from analysis.statistics.pairs import SEEDS
from analysis.tables.layout import column_name

NULL = "null"  # the level of a key that every run has and that is empty
TUNED = "tuned"  # the level of a key whose value each arm's own trials chose
# By group the axes that exist only under some of its options: a temperature belongs to the
# knowledge that has one, a matching to the knowledge of layers.
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
# No axes: a recipe is a name for values of other columns, and each task has columns of its own.
NO_AXES = ("recipe", "task")


@dataclass(frozen=True)
class Grid:
    """The students of one table column.

    Attributes:
        column: its name, of its task and `metric`; `split` is what that is measured on.
        runs: those that are done, once for each teacher that they are paired with: uid, row, task,
            seed, teacher_seed, score (points), degenerate, and their level on each of the axes,
            None where the axis does not apply.
        axes: the columns in which they differ, in order, without those that are `joined`.
        levels: of each axis, in the study's order.
        joined: by an axis the later ones that part the runs exactly as it does (aliases). Example:
            where every arm with `data` augmented has `hard.weight` 0 too, and no other arm has,
            `data` is joined with `hard.weight`: nobody can tell which of them makes a difference.
        left_out: how many runs are not in `runs`, by the reason.
        seeds: how many are planned.
    """

    column: str
    split: str
    metric: str
    runs: pd.DataFrame
    axes: list[str]
    levels: dict[str, list[str]]
    joined: dict[str, list[str]]
    left_out: dict[str, int]
    seeds: int

    @property
    def by_run(self) -> "Grid":
        """The grid with each run once, however many teachers it is paired with."""
        return replace(self, runs=self.runs.drop_duplicates("uid", ignore_index=True))


def grids(scores: pd.DataFrame, axes: Sequence[str]) -> dict[str, Grid]:
    """The grid of every column (task, split, metric), in the study's order.

    Teachers, trials and what was left out while planning are no part of it. A key that was tuned
    has one level, `tuned`, in all arms that chose their own value.

    Args:
        scores: as `analysis.read.frame.scores` gives them, of one split.
        axes: columns in which students may differ.
    """
    students = planned_students(scores)
    # Trials are not compared: each arm's best of many would meet single runs of other arms.
    students = students[students["stage"] != "tune"]
    columns = [axis for axis in dict.fromkeys(axes) if axis in students and axis not in NO_AXES]
    by_column = {}
    for (task, split, metric), part in students.groupby(["task", "split", "metric"], sort=False):
        column = column_name(str(task), str(split), str(metric))
        by_column[column] = _grid((column, str(split), str(metric)), part, columns)
    return by_column


def same_or_absent(levels: pd.Series, others: pd.Series) -> pd.Series:
    """Whether two levels are equal, or one of them does not apply; elementwise."""
    return (levels == others) | absent(levels) | absent(others)


def absent(levels: pd.Series) -> pd.Series:
    """Where an axis that another one governs does not apply."""
    return levels.isna() | (levels == NULL)


def with_null(scores: pd.DataFrame) -> list[str]:
    """Keys that all runs have, null in some students and a value in others.

    Example: `data.rows` is null for all rows of a task, and 500 for a part of them.
    """
    students = planned_students(scores)
    keys = [name for name in map(str, scores.columns) if name.startswith(ALWAYS)]
    return [name for name in keys if 0 < students[name].isna().sum() < len(students)]


def governs(axis: str, other: str) -> bool:
    """Whether a level of an axis decides if the other axis applies at all."""
    return other != axis and other.startswith(GOVERNED.get(axis, ()))


def _grid(name: tuple[str, str, str], scores: pd.DataFrame, axes: Sequence[str]) -> Grid:
    """The grid of one column: its name, split and metric, and the scores of its students."""
    # A run that stands in two tables is one observation.
    scores = scores.drop_duplicates(["uid", *SEEDS])
    levels = pd.DataFrame({axis: _levels(scores, axis) for axis in axes}, index=scores.index)
    columns = ["uid", "row", "task", *SEEDS, "degenerate"]
    columns += [name for name in ("transformer", "layers") if name in scores]
    runs = pd.concat([scores[columns], levels], axis=1).assign(score=PERCENT * scores["score"])
    is_done = runs["score"].notna()
    # Runs that agree in all axes and seeds differ in something that the plan does not name: no pair
    # of them and others would be of one axis alone.
    is_unclear = runs[is_done].duplicated([*axes, *SEEDS], keep=False)
    is_unclear = is_unclear.reindex(runs.index, fill_value=False)
    # A run that is paired with several teachers counts once.
    states = scores[~is_done].drop_duplicates("uid")["state"].replace("done", "without a score")
    left_out = {str(why): int(n) for why, n in states.value_counts().sort_index().items()}
    if (unclear := runs["uid"][is_done & is_unclear].nunique()) and axes:
        left_out["told apart by no key of the plan"] = unclear
        is_done &= ~is_unclear
    runs = runs[is_done].reset_index(drop=True)
    by_axis = {axis: [str(level) for level in runs[axis].dropna().unique()] for axis in axes}
    varying = [axis for axis in axes if len(by_axis[axis]) > 1]
    joined = _joined(runs, varying)
    later = {other for others in joined.values() for other in others}
    first = [axis for axis in varying if axis not in later]
    return Grid(*name, runs, first, by_axis, joined, left_out, scores["seed"].nunique())


def _levels(scores: pd.DataFrame, axis: str) -> pd.Series:
    """An axis' levels as texts; None where it does not apply."""
    empty = NULL if axis.startswith(ALWAYS) else None
    texts = scores[axis].map(_text, na_action="ignore").astype(object)
    texts = texts.where(texts.notna(), empty)
    if axis in NOT_APPLIED:
        texts = texts.where(texts != "none", None)
    # What trials chose differs from arm to arm by design: all of a tuned key is one level.
    is_confirmed = scores["stage"] == "confirm"
    if not is_confirmed.any():
        return texts
    trials = " " + scores["trial"].fillna("").astype(object)
    is_named = trials.str.contains(f" {axis}=", regex=False)
    return texts.mask(is_named & is_confirmed, TUNED)


def _text(value: object) -> str:
    """A level as text: 0.1 is `0.1`, and 2.0 is `2`, whatever type a column has become."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _joined(runs: pd.DataFrame, axes: Sequence[str]) -> dict[str, list[str]]:
    """By axis the later axes whose levels change in the same runs as its own: they are one."""
    first: dict[tuple[int, ...], str] = {}
    joined: dict[str, list[str]] = {}
    for axis in axes:
        # Levels numbered in the order in which they occur: axes that part the runs alike get the
        # same numbers, whatever their levels are called.
        codes = tuple(pd.factorize(runs[axis], use_na_sentinel=False)[0].tolist())
        if (same := first.setdefault(codes, axis)) != axis:
            joined.setdefault(same, []).append(axis)
    return joined


def named(grid: Grid, axis: str) -> str:
    """An axis with those that it is joined with, as `data (with hard.weight)`."""
    return f"{axis} (with {', '.join(grid.joined[axis])})" if axis in grid.joined else axis
