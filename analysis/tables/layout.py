"""How a table is arranged: which columns of the frame name its rows and columns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.read.axes import FIVE, axes
from analysis.read.frame import NO_SEED

GROUP, LABEL, HEAD = "shown group", "shown row", "shown column"
EXCLUDED = "excluded"


@dataclass(frozen=True)
class Layout:
    """How a table is arranged.

    Attributes:
        name: of the table; empty: as the study calls it.
        rows: columns of the frame whose values name a row; none: the study's own labels.
        columns: columns of the frame whose values stand before the task in a column's name.
        spread: whether an arm that others are compared with stands in each of their columns.
        models: whether parameters, FLOPs and latency are shown even where all rows share them.
        of_teacher: whether each score is also given in percent of its teacher's.
        published: numbers of the literature to show below: rows of `published.numbers.load`.
        is_ranked: whether those on dev are ranked with ours; else they are only shown.
    """

    name: str = ""
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    spread: bool = False
    models: bool = False
    of_teacher: bool = False
    published: Callable[[], pd.DataFrame] | None = None
    is_ranked: bool = False

    @property
    def axes(self) -> tuple[str, ...]:
        """What the table is about: what its rows and columns are named by, a model by two axes."""
        return self.rows + self.columns + (("size", "shape") if "model" in self.rows else ())


def column_name(task: str, split: str, metric: str) -> str:
    """A column's name: report_mismatched is one of its own; report and select go without saying."""
    suffix = split.partition("_")[2]
    return f"{task}{'-' + suffix if suffix else ''} {metric}"


def placed(frame: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """Scores with the row and the column where a layout shows them.

    Arms that would share a cell get apart by whatever else they differ in. What is left out has no
    column where its task is not known.
    """
    heads = [
        column_name(*key) if isinstance(key[2], str) else None
        for key in zip(frame["task"], frame["split"], frame["metric"], strict=True)
    ]
    frame = _filled(frame, layout.rows + layout.columns)
    frame = frame.assign(**{GROUP: _joined(frame, layout.columns)})
    frame[HEAD] = pd.Series(heads, frame.index, dtype=object)
    is_teacher = frame["seed"] == NO_SEED
    students = frame[~is_teacher]
    if layout.spread:
        students = _spread(students)
    students = _labelled(students, layout)
    teachers = frame[is_teacher].drop(columns=GROUP)
    groups = students[["table", "task", GROUP]].drop_duplicates()
    teachers = teachers.merge(groups, on=["table", "task"]) if layout.columns else teachers
    teachers = teachers.assign(**{LABEL: teachers["row"]})
    found = pd.concat([teachers, students], ignore_index=True)
    if layout.columns:
        apart = found[GROUP].where(found[GROUP] == "", found[GROUP] + ": ")
        found[HEAD] = (apart + found[HEAD]).where(found[HEAD].notna())
    return found


def _filled(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """With what the overrides of left out arms do not name, where all other arms share it."""
    is_out = frame["state"] == EXCLUDED
    frame = frame.copy()
    for name in (name for name in names if name in frame.columns):
        known = frame.loc[~is_out & (frame["seed"] != NO_SEED), name].dropna().unique()
        if len(known) == 1:
            frame.loc[is_out & frame[name].isna(), name] = known[0]
    return frame


def _joined(frame: pd.DataFrame, names: Sequence[str]) -> "pd.Series[str]":
    """The values of several columns as one text a row; a key that no runs differ in has none."""
    texts = [frame[name].map(shown) for name in names if name in frame.columns]
    joined = [", ".join(filter(None, parts)) for parts in zip(*texts, strict=True)]
    return pd.Series(joined or "", index=frame.index, dtype=object)


def shown(value: object) -> str:
    """A value of a column as text; "" for none."""
    if pd.isna(value):  # type: ignore[call-overload]
        return ""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:,.10g}" if is_number else str(value)


def _spread(students: pd.DataFrame) -> pd.DataFrame:
    """With the arms that others are compared with once in every group of those."""
    is_other = students["row"] != students["control"]
    is_run = students["state"] != EXCLUDED
    taught = students[is_run & is_other & (students["control"] != "")]
    place = ["table", "task", "row"]
    groups = taught.assign(row=taught["control"])[[*place, GROUP]].drop_duplicates()
    is_control = students.set_index(place).index.isin(groups.set_index(place).index)
    spread = students[is_control].drop(columns=GROUP).merge(groups, on=place, how="left")
    order = list(dict.fromkeys(taught[GROUP]))  # of columns: as the study has them
    spread = spread.sort_values(GROUP, key=lambda names: names.map(order.index), kind="stable")
    return pd.concat([spread, students[~is_control]], ignore_index=True)


def _labelled(students: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """With the row's label, told apart by what else the arms of a cell differ in."""
    if not layout.rows:
        return students.assign(**{LABEL: students["row"]})
    labels = _joined(students, layout.rows)
    found = students.assign(**{LABEL: labels.where(labels != "", students["row"])})
    cell = [LABEL, GROUP, HEAD]
    is_run = found["state"] != EXCLUDED
    for name in (a for a in axes(students) if a not in layout.axes):
        arms = found[is_run].groupby(cell)["row"].transform("nunique")
        crowded = found.loc[arms.index[arms > 1]]
        if crowded.empty:
            break
        varied = crowded.groupby(cell)[name].transform("nunique", dropna=False) > 1
        told = found[name].map(shown)
        told = told if name in FIVE else f"{name}=" + told
        is_told = found[LABEL].isin(crowded.loc[varied, LABEL]) & found[name].notna()
        found[LABEL] = found[LABEL] + (", " + told).where(is_told, "")
    # One arm may be called otherwise in each task: `logits` is KL or, on regression, MSE.
    in_task = found.groupby(["row", "task", GROUP])[LABEL].transform("nunique") <= 1
    by_task = found.groupby(["row", GROUP])[LABEL].transform("nunique") > 1
    found[LABEL] = found[LABEL].where(~(in_task & by_task), found["row"])
    is_shared = found.groupby(cell)["row"].transform("nunique") > 1
    found[LABEL] = found[LABEL].where(~is_shared, found[LABEL] + ", " + found["row"])
    return found
