"""How a table is arranged: which columns of the frame name its rows and columns."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import pandas as pd

from analysis.read.axes import FIVE, GROUPS, axes
from analysis.read.frame import NO_SEED
from kdlab.errors import BadInput
from sweeps.study.layouts import Layout

# Columns that `placed` adds: the group of a table's columns, the row and the column of a cell.
GROUP, LABEL, HEAD = "shown group", "shown row", "shown column"
CELL = [LABEL, GROUP, HEAD]
EXCLUDED = "excluded"  # the state of what was left out while planning


def column_name(task: str, split: str, metric: str) -> str:
    """A column's name: `rte accuracy`; on report_mismatched `mnli-mismatched accuracy`."""
    suffix = split.partition("_")[2]
    return f"{task}{'-' + suffix if suffix else ''} {metric}"


def check(layout: Layout, runs: pd.DataFrame) -> None:
    """Refuse a layout that names what no study's frame has.

    An option's group, and a key with a dot, may be missing where runs do not differ in it.

    Raises:
        BadInput: naming the key and what was probably meant.
    """
    columns = [name for name in runs.columns if "/" not in name]  # scores are none
    axes_of_any = [*columns, *FIVE, *GROUPS, "model"]
    for key, names, known in (
        ("rows", [name for name in layout.rows if "." not in name], axes_of_any),
        ("columns", [name for name in layout.columns if "." not in name], axes_of_any),
        ("about", [layout.about] if layout.about else [], columns),
    ):
        for name in names:
            if name not in known:
                near = get_close_matches(name, known, 1)
                meant = f"did you mean {near[0]}?" if near else "analysis/read/README.md lists them"
                raise BadInput(f"layout {layout.name}: {key}: {name}: no column; {meant}")


def placed(frame: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """Scores with the row, the column and the group of columns where a layout shows them.

    Arms that would share a cell get labels that tell them apart. What was left out while planning
    has no column where its task is not known.

    Args:
        frame: as `analysis.read.frame.scores`, some splits of it.
        layout: which columns name rows and columns.
    """
    heads = [
        # What was left out while planning has no metric.
        column_name(*key) if isinstance(key[2], str) else None
        for key in zip(frame["task"], frame["split"], frame["metric"], strict=True)
    ]
    frame = _filled(frame, [*layout.rows, *layout.columns])
    frame = frame.assign(**{GROUP: joined(frame, layout.columns)})
    frame[HEAD] = pd.Series(heads, frame.index, dtype=object)
    is_teacher = frame["seed"] == NO_SEED
    students = frame[~is_teacher]
    if layout.spread:
        students = _spread(students)
    students = _labelled(students, layout)
    # A teacher has no knowledge or init: its score stands in every group that its task is in.
    teachers = frame[is_teacher].drop(columns=GROUP)
    groups = students[["table", "task", GROUP]].drop_duplicates()
    teachers = teachers.merge(groups, on=["table", "task"]) if layout.columns else teachers
    teachers = teachers.assign(**{LABEL: teachers["row"]})
    rows = pd.concat([teachers, students], ignore_index=True)
    if layout.columns:
        prefix = rows[GROUP].where(rows[GROUP] == "", rows[GROUP] + ": ")
        rows[HEAD] = (prefix + rows[HEAD]).where(rows[HEAD].notna())
    return rows


def _filled(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The frame in which left-out runs have the values that all other arms share."""
    is_out = frame["state"] == EXCLUDED
    frame = frame.copy()
    for name in (name for name in names if name in frame.columns):
        shared = frame.loc[~is_out & (frame["seed"] != NO_SEED), name].dropna().unique()
        if len(shared) == 1:
            frame.loc[is_out & frame[name].isna(), name] = shared[0]
    return frame


def joined(frame: pd.DataFrame, names: Sequence[str]) -> "pd.Series[str]":
    """The values of several columns as one text a row; what is no column of the frame has none."""
    texts = [frame[name].map(value_text) for name in names if name in frame.columns]
    joined = [", ".join(filter(None, parts)) for parts in zip(*texts, strict=True)]
    # Of no columns at all a zip is empty: then every row has the text "".
    return pd.Series(joined or "", index=frame.index, dtype=object)


def value_text(value: object) -> str:
    """A value of a column as text; "" for none."""
    if pd.isna(value):  # type: ignore[call-overload]
        return ""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Ten digits: `0.1` stays that, and what a float adds to it after is not shown.
    return f"{value:,.10g}" if is_number else str(value)


def span_text(values: Iterable[float], form: str = "{}") -> str:
    """The smallest and the largest of some values: `3 to 5`, or `3` where they read alike."""
    values = list(values)
    return " to ".join(dict.fromkeys(form.format(end) for end in (min(values), max(values))))


def _spread(students: pd.DataFrame) -> pd.DataFrame:
    """The students with every control repeated in each group of columns where it is compared with.

    Example: an arm without knowledge is the control of `logits` and of `hidden`, and stands in the
    columns of both.
    """
    is_compared = (students["row"] != students["control"]) & (students["control"] != "")
    compared = students[is_compared & (students["state"] != EXCLUDED)]
    arm = ["table", "task", "row"]
    groups = compared.assign(row=compared["control"])[[*arm, GROUP]].drop_duplicates()
    is_control = students.set_index(arm).index.isin(groups.set_index(arm).index)
    spread = students[is_control].drop(columns=GROUP).merge(groups, on=arm, how="left")
    order = list(dict.fromkeys(compared[GROUP]))  # of columns: as the study has them
    spread = spread.sort_values(GROUP, key=lambda names: names.map(order.index), kind="stable")
    return pd.concat([spread, students[~is_control]], ignore_index=True)


def _labelled(students: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """The students with their row's label: the values of the layout's rows, and more where needed.

    One cell is for one arm. Where several would share it, their labels get the value of the first
    axis in which they differ, then of the next, until they stand apart; those that no axis tells
    apart get the study's own label.
    """
    if not layout.rows:
        return students.assign(**{LABEL: students["row"]})
    labels = joined(students, layout.rows)
    students = students.assign(**{LABEL: labels.where(labels != "", students["row"])})
    for axis in (axis for axis in axes(students) if axis not in layout.axes):
        students = students.assign(**{LABEL: _told_apart(students, axis)})
    # One arm may be called otherwise in each task: `logits` is KL or, on regression, MSE. It is
    # one row all the same, under the study's label.
    in_task = students.groupby(["row", "task", GROUP])[LABEL].transform("nunique") <= 1
    by_task = students.groupby(["row", GROUP])[LABEL].transform("nunique") > 1
    labels = students[LABEL].where(~(in_task & by_task), students["row"])
    students = students.assign(**{LABEL: labels})
    is_shared = students.groupby(CELL)["row"].transform("nunique") > 1
    return students.assign(**{LABEL: labels.where(~is_shared, labels + ", " + students["row"])})


def _told_apart(students: pd.DataFrame, axis: str) -> "pd.Series[str]":
    """The labels of rows, with the value of an axis added where arms of one cell differ in it."""
    # What was left out shares its cell with nobody: there is no number of it to mistake.
    arms = students[students["state"] != EXCLUDED].groupby(CELL)["row"].transform("nunique")
    crowded = students.loc[arms.index[arms > 1]]
    is_varied = crowded.groupby(CELL)[axis].transform("nunique", dropna=False) > 1
    # A row is called the same in all of its columns.
    is_told = (
        students[LABEL].isin(crowded.loc[is_varied.astype(bool), LABEL]) & students[axis].notna()
    )
    values = students[axis].map(value_text)
    values = values if axis in FIVE else f"{axis}=" + values
    return students[LABEL] + (", " + values).where(is_told, "")
