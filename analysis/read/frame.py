"""A study's plan and its records as one tidy frame: one row per run, or per run and score."""

import json
from collections.abc import Callable, Mapping
from itertools import chain

import numpy as np
import pandas as pd

from analysis.read import record_rows
from analysis.read.frame_cache import kept_or_made
from analysis.read.record_rows import CHOICE, COUNTS, NUMBERS, PARAMETERS, SEP, WORDS
from kdlab.errors import BadInput
from kdlab.record import Record
from kdlab.storage import example_outputs, ledger
from sweeps.study import launched

TEACHER = "teacher"  # the row of teachers in a table
NO_SEED = -1  # of a teacher that all seeds share, and of a teacher's row
PERCENT = 100.0  # points of a score that is a fraction
SHAPE = ("family", "layers", "hidden", "heads", "intermediate")  # of a student
TEXTS = ("uid", "state", "repeats", "degenerate", "outputs", "examples", "file", *WORDS)
# Columns of records that a frame has even where no record has them.
RECORDED = (
    *("state", "copies", "repeats", *COUNTS, "degenerate"),
    *(*PARAMETERS.values(), *NUMBERS, *WORDS, "outputs", "examples", "file"),
)


def runs(study: str, root: str, *, code: str | None = None) -> pd.DataFrame:
    """One row per planned run, and one per teacher of a table, stage and task.

    `analysis/read/README.md` describes the columns, with types and units. Teachers come as rows
    without a seed, named "teacher", or, where students of one table and task have teachers of
    different kinds, "teacher, ROW" by the first row that has them. A run that stands in two tables
    has two rows: `drop_duplicates("uid")` before counting runs.

    The frame is kept in `studies/STUDY/frame.sealed` and made anew when a record, an event or the
    plan changed. Its attrs name study, root and code.

    Args:
        study: its name.
        root: where its runs are.
        code: the commit that records should be of; unless given, the one that most are of.

    Raises:
        BadInput: if the study was never launched under this root.
    """
    launched.read_plan(study, root, ["uid"])  # refused before anything is read
    frame = kept_or_made(study, root, lambda: _made(study, root))
    if code is None:  # of equally many the first in the alphabet
        counts = frame.drop_duplicates("uid")["commit"].value_counts()
        code = min(counts.index[counts == counts.max()], default=None)
    frame["stale"] = frame["commit"].notna() & (frame["commit"] != code)
    frame.attrs = {"study": study, "root": str(root), "code": code}
    return frame


def scores(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame of `runs` with one row per run and score.

    Columns added: `split`, `metric` and `score`, a fraction, NaN where the run is not done. The
    column `degenerate` then says whether every row of that split got the same prediction. A run
    that was left out while planning has one row, without split and metric.
    """
    keys = list(zip(frame["reports"].tolist(), frame["metrics"].tolist(), strict=True))
    columns_of = {key: _score_columns(*key) for key in set(keys)}  # a few, for thousands of runs
    counts = [len(columns_of[key]) or 1 for key in keys]
    # `SEP` alone splits into an empty split and an empty metric: that of what was left out.
    columns = [column for key in keys for column in columns_of[key] or [SEP]]
    frame = frame.loc[frame.index.repeat(counts)].reset_index(drop=True)
    score = pd.Series(np.nan, frame.index)
    # Column by column: looking up one value in each of thousands of rows takes a hundred times
    # as long. Metrics that no record has yet are no columns of the frame.
    for column in set(columns) & set(frame.columns):
        is_of_column = np.array(columns) == column
        score[is_of_column] = frame.loc[is_of_column, column]
    names = pd.Series(columns, frame.index).str.split(SEP, expand=True).replace("", None)
    degenerate_splits = frame["degenerate"].fillna("").tolist()
    return frame.assign(
        split=names[0],
        metric=names[1],
        score=score,
        degenerate=[
            column.split(SEP)[0] in splits.split()
            for column, splits in zip(columns, degenerate_splits, strict=True)
        ],
    )


def reported(scores: pd.DataFrame) -> pd.DataFrame:
    """The rows of a frame of `scores` that are of splits to report: `report`, `report_mismatched`.

    What was left out while planning has no split and is not among them.
    """
    return scores[scores["split"].fillna("").str.startswith("report")]


def planned_students(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of students, trials among them, without what was left out while planning."""
    return frame[(frame["seed"] != NO_SEED) & (frame["state"] != "excluded")]


def _score_columns(reports: str, metrics: str) -> list[str]:
    """The columns of a run's scores in order; none of what was left out while planning."""
    return [f"{s}{SEP}{m}" for s in ["select", *json.loads(reports)] for m in json.loads(metrics)]


def reader(frame: pd.DataFrame) -> Callable[[str], Record]:
    """A function from a run's uid to its whole record: curves, shares, digests, provenance.

    It reads a record at a time, from its place, and raises BadInput if the frame has none.
    """
    columns = ["uid", "state", "seconds", "file", "start", "end"]
    # Before the first record there are no columns of addresses.
    recorded = frame[frame["file"].notna()].reindex(columns=columns).drop_duplicates("uid")
    of_run = {str(row["uid"]): record_rows.entry(row) for row in recorded.to_dict("records")}

    def read(uid: str) -> Record:
        if uid not in of_run:
            raise BadInput(f"no record of run {uid!r} in study {frame.attrs['study']}")
        return ledger.read(frame.attrs["root"], of_run[uid])

    return read


def outputs(frame: pd.DataFrame, uid: str, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids [n], labels [n] and outputs [n, classes] of a run's rows of a split, read now.

    Raises:
        BadInput: if there is no record of the run, or it has no outputs on the split.
    """
    run, root = reader(frame[frame["uid"] == uid])(uid), frame.attrs["root"]
    splits = [name for name in run.artifacts.get("outputs", {}) if name != "file"]
    if split not in splits:
        raise BadInput(f"run {uid}: no outputs on {split!r} (there: {', '.join(splits) or 'none'})")
    ids, labels = example_outputs.read_examples(root, run, split)
    return ids, labels, example_outputs.read_outputs(root, run, split).astype(np.float32)


def _made(study: str, root: str) -> pd.DataFrame:
    """The frame of a study from its plan, records and events."""
    plan = launched.read_plan(study, root)
    failed = record_rows.failed(root, plan)
    # `seconds` is the plan's estimate; the frame has what was measured. `Int64` is pandas' type of
    # whole numbers with gaps: in `int64` there is no room for a seed that a run has not.
    plan = plan.drop(columns=["ancestors", "seconds"]).assign(
        arm=plan["row"], teacher_seed=plan["teacher_seed"].astype("Int64").fillna(NO_SEED)
    )
    planned = pd.concat([plan, _teachers(plan)], ignore_index=True)
    planned = _with_named_options(planned)
    options = _parsed(planned, "choices").add_prefix(CHOICE)
    differing = _parsed(planned, "keys")
    shape = _parsed(planned, "student").reindex(columns=list(SHAPE))
    shape = shape.astype(dict.fromkeys(SHAPE[1:], float))
    recorded = _recorded(root, set(planned["uid"].dropna()))
    # One row for each planned one: empty without a record, repeated for a run of several tables.
    recorded = recorded.reindex(planned["uid"].to_numpy()).set_axis(planned.index)
    # The plan has the options of students, also of those without a record; those of teachers are
    # in their records alone.
    for name in options.columns:
        option = options[name]
        if name in recorded.columns:
            option = option.where(option.notna(), recorded[name])
        recorded[name] = option
    failure = planned["uid"].astype(object).map(failed).astype(object)
    recorded["trouble"] = failure.where(recorded["state"].isna(), None)  # a record outweighs it
    recorded["state"] = np.select(  # the first condition that holds counts
        [planned["excluded"] != "", recorded["state"].notna(), recorded["trouble"].notna()],
        ["excluded", recorded["state"], "failed"],
        "missing",
    )
    recorded = recorded.rename(columns=lambda name: name.removeprefix(CHOICE))
    added = [name for name in recorded.columns if name not in planned.columns]
    planned = planned.drop(columns=["choices", "student", "keys"])
    return pd.concat([planned, shape, differing, recorded[added]], axis=1)


def _with_named_options(planned: pd.DataFrame) -> pd.DataFrame:
    """The plan in which left-out runs have the options that their overrides name.

    It was never composed, so that nothing else is known of it. Example: `knowledge=[a,b]` is the
    option `a+b`.
    """
    composed = planned["choices"].dropna()
    # Every run has an option of every group: any of them tells what the groups are.
    groups = set(json.loads(composed.iloc[0])) if len(composed) else set()
    is_out = planned["choices"].isna() & (planned["seed"] != NO_SEED)
    options = {}
    for index, text in planned.loc[is_out, "overrides"].items():
        pairs = (override.partition("=") for override in json.loads(text))
        values = {key: value.strip("[]").replace(",", "+") for key, _, value in pairs}
        options[index] = {key: value for key, value in values.items() if key in groups}
    named = pd.Series(options, dtype=object)
    return planned.assign(
        choices=planned["choices"].where(~is_out, named.map(json.dumps)),
        task=planned["task"].where(~is_out, named.map(lambda values: values.get("task"))),
    )


def _recorded(root: str, uids: set[str]) -> pd.DataFrame:
    """The flat rows of the records of runs, by uid; a column that no record has is empty."""
    rows = list(record_rows.rows(root, uids))
    names = dict.fromkeys(chain(RECORDED, chain.from_iterable(rows)))
    columns = {
        name: np.array(
            [row.get(name) for row in rows],
            # In a column of floats None becomes NaN; left to pandas, types would depend on which
            # runs are done.
            dtype=object if name in TEXTS or name.startswith(CHOICE) else float,
        )
        for name in names
        if name != "uid"
    }
    return pd.DataFrame(columns, index=[row["uid"] for row in rows])


def _parsed(planned: pd.DataFrame, column: str) -> pd.DataFrame:
    """A column of JSON mappings as a column for each key."""
    texts = planned[column].where(planned["seed"] != NO_SEED).fillna("{}")
    codes, distinct = pd.factorize(texts)  # thousands of runs have a few hundred mappings
    parsed = pd.DataFrame([json.loads(text) for text in distinct], dtype=object).apply(_one_type)
    return parsed.take(codes).set_axis(planned.index)


def _one_type(column: pd.Series) -> pd.Series:
    """A column of numbers, or else of texts.

    `null` is a value, so that a column with it is one of texts; what a mapping lacks is not.
    """
    present = [value for value in column if not _is_absent(value)]
    if all(type(value) in (int, float) for value in present):  # isinstance would take True as 1
        return column.astype(float)
    return column.map(lambda value: None if _is_absent(value) else _text(value)).astype(object)


def _is_absent(value: object) -> bool:
    return isinstance(value, float) and np.isnan(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _teachers(plan: pd.DataFrame) -> pd.DataFrame:
    """One planned row for every teacher of a table, stage and task."""
    keys = ["table", "stage", "task"]
    students = plan[plan["uid"].notna()].drop_duplicates([*keys, "row", "teachers"])
    students = students.assign(teacher=students["teachers"].map(json.loads, "ignore"))
    students = students.explode("teacher").dropna(subset="teacher")  # a row for each teacher
    parts = [
        part.assign(row=part["row"].map(_teacher_rows(part))).drop_duplicates(["row", "teacher"])
        for _, part in students.groupby(keys, sort=False)
    ]
    teachers = pd.concat(parts) if parts else students
    teachers = teachers.assign(uid=teachers["teacher"], control="", overrides="[]", seed=NO_SEED)
    return teachers.drop(columns="teacher")


def _teacher_rows(students: pd.DataFrame) -> Mapping[str, str]:
    """By row of students the row of their teachers.

    Rows with the same teachers, or a part of another row's, share one row; if all do it is
    `teacher`, else `teacher, ROW` after the row that has most of them.
    """
    teachers = {str(row): set(part["teacher"]) for row, part in students.groupby("row", sort=False)}
    # The largest set first: every other one that is a part of it is found there.
    ordered = sorted(teachers, key=lambda row: -len(teachers[row]))
    first = {row: next(o for o in ordered if teachers[row] <= teachers[o]) for row in teachers}
    is_one = len(set(first.values())) == 1
    return {row: TEACHER if is_one else f"{TEACHER}, {name}" for row, name in first.items()}
