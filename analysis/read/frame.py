"""A study's plan and its records as one tidy frame: one row per run, or per run and score."""

import json
from collections.abc import Callable, Mapping
from itertools import chain

import numpy as np
import pandas as pd

from analysis.read import record_rows
from analysis.read.frame_cache import recalled
from analysis.read.record_rows import CHOICE, COUNTED, COUNTS, NUMBERS, SEP, WORDS
from kdlab import record
from kdlab.errors import BadInput
from kdlab.record import Record
from sweeps.study import launched

TEACHER = "teacher"
NO_SEED = -1  # of a teacher that all seeds share, and of a teacher's row
SHAPE = ("family", "layers", "hidden", "heads", "intermediate")  # of a student
TEXTS = ("uid", "state", "repeats", "degenerate", "file", *WORDS)
OWN = (
    "state",
    "copies",
    "repeats",
    *COUNTS,
    "degenerate",
    *COUNTED.values(),
    *NUMBERS,
    *WORDS,
    "file",
)


def runs(study: str, root: str, *, code: str | None = None) -> pd.DataFrame:
    """One row per planned run, and one per teacher of a table, stage and task.

    Columns:

    - of the plan: study, question, table, case (the row without the grid's part), row, control,
      stage, trial, trials, unequal, seed, teacher_seed (-1 where all share a teacher), task, uid,
      overrides, `arm` (the row), ...
    - of the student: family, layers, hidden, heads, intermediate (empty of teachers); the option
      chosen in each group (knowledge, matching, init, size, ...), `none` where it is not used;
      and, with a dot in its name, each key in which runs of a task differ (`train.lr`, ...).
    - `state`: done, diverged, failed (no record, and `trouble` names the class of what failed it;
      `python -m sweeps retry` forgives it), missing, or excluded; what is excluded (the column says
      why) was never composed: it has the task and the options that its overrides name, no score.
    - `copies`: how many records there are, of which the row is the one with the outputs of most
      splits; `repeats`: whether their results are equal, close or apart (`kdlab.repeats`); `stale`:
      whether the record is of other code than `code`. `analysis.read.completeness` counts them.
    - scores as `split/metric`, such as `report/accuracy`: fractions; `degenerate`: the splits with
      one prediction for every row, apart by spaces; steps; examples_seen (rows, repeated ones too).
    - of the cost: transformer, embeddings and parameters (of the layers, of the embeddings, of
      all), flops (of one row of 128 tokens), latency (milliseconds of one row), seconds,
      teacher_seconds, cohort, peak_memory (bytes), threads, commit, host, device, torch.

    Teachers come as rows without a seed, named "teacher", or, where students of one table and task
    have teachers of different kinds, "teacher, ROW" by the first row that has them. A run that
    stands in two tables has two rows: `drop_duplicates("uid")` before counting runs.

    The frame is kept in `studies/STUDY/frame.parquet` and made anew when a record, an event or the
    plan changed. Its attrs name study, root and code.

    Args:
        study: its name.
        root: where its runs are.
        code: the commit that records should be of; unless given, the one that most are of.

    Raises:
        BadInput: if the study was never launched under this root.
    """
    launched.read_plan(study, root, ["uid"])  # refused before anything is read
    frame = recalled(study, root, lambda: _made(study, root))
    if code is None:  # of equally many the first in the alphabet
        counts = frame.drop_duplicates("uid")["commit"].value_counts()
        code = min(counts.index[counts == counts.max()], default=None)
    frame["stale"] = frame["commit"].notna() & (frame["commit"] != code)
    frame.attrs = {"study": study, "root": str(root), "code": code}
    return frame


def scores(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame of `runs` with one row per run and score: `split`, `metric`, `score` (a fraction; NaN
    where the run is not done), `degenerate` (one prediction for every row). What is excluded has
    one row.
    """
    keys = list(zip(frame["reports"].tolist(), frame["metrics"].tolist(), strict=True))
    asked = {key: _asked(*key) for key in set(keys)}
    counts = [len(asked[key]) or 1 for key in keys]
    places = [place for key in keys for place in asked[key] or [SEP]]
    frame = frame.loc[frame.index.repeat(counts)].reset_index(drop=True)
    score = pd.Series(np.nan, frame.index)
    for place in set(places) & set(frame.columns):
        is_here = np.array(places) == place
        score[is_here] = frame.loc[is_here, place]
    named = pd.Series(places, frame.index).str.split(SEP, expand=True).replace("", None)
    constant = frame["degenerate"].fillna("").tolist()
    return frame.assign(
        split=named[0],
        metric=named[1],
        score=score,
        degenerate=[
            place.split(SEP)[0] in found.split()
            for place, found in zip(places, constant, strict=True)
        ],
    )


def _asked(reports: str, metrics: str) -> list[str]:
    """The splits and metrics of a run in order; none of what was left out."""
    return [f"{s}{SEP}{m}" for s in ["select", *json.loads(reports)] for m in json.loads(metrics)]


def reader(frame: pd.DataFrame) -> Callable[[str], Record]:
    """A function from a run's uid to its whole record: curves, shares, digests, provenance.

    It reads a record at a time, from its place, and raises BadInput if the frame has none.
    """
    told = ["uid", "state", "seconds", "file", "start", "end"]
    # Before the first record there are no columns of addresses.
    recorded_rows = frame[frame["file"].notna()].reindex(columns=told).drop_duplicates("uid")
    entries = {str(row["uid"]): record_rows.entry(row) for row in recorded_rows.to_dict("records")}

    def read(uid: str) -> Record:
        if uid not in entries:
            raise BadInput(f"no record of run {uid!r} in study {frame.attrs['study']}")
        return record.read(frame.attrs["root"], entries[uid])

    return read


def recorded_run(frame: pd.DataFrame, uid: str) -> Record:
    """The whole record of one run of a frame.

    Raises:
        BadInput: if the frame has no record of it.
    """
    return reader(frame[frame["uid"] == uid])(uid)


def outputs(frame: pd.DataFrame, uid: str, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids [n], labels [n] and outputs [n, classes] of a run's rows of a split, read now.

    Raises:
        BadInput: if there is no record of the run, or it has no outputs on the split.
    """
    found, root = recorded_run(frame, uid), frame.attrs["root"]
    kept = [name for name in found.artifacts.get("outputs", {}) if name != "file"]
    if split not in kept:
        raise BadInput(f"run {uid}: no outputs on {split!r} (there: {', '.join(kept) or 'none'})")
    ids, labels = record.read_examples(root, found, split)
    return ids, labels, record.read_outputs(root, found, split).astype(np.float32)


def read_plan(study: str, root: str) -> pd.DataFrame:
    """The table that `sweeps` wrote of a study."""
    return launched.read_plan(study, root)


def _made(study: str, root: str) -> pd.DataFrame:
    plan = read_plan(study, root)
    failed = record_rows.failed(root, plan)
    plan = plan.drop(columns=["ancestors", "seconds"]).assign(
        arm=plan["row"], teacher_seed=plan["teacher_seed"].astype("Int64").fillna(NO_SEED)
    )
    planned = pd.concat([plan, _teachers(plan)], ignore_index=True)
    planned["layout"] = planned.get("layout")  # a plan may be older than it
    planned = _asked_for(planned)
    chosen = _parsed(planned, "choices").add_prefix(CHOICE)
    differing = _parsed(planned, "keys")
    shape = _parsed(planned, "student").reindex(columns=list(SHAPE))
    shape = shape.astype(dict.fromkeys(SHAPE[1:], float))
    found = _found(root, set(planned["uid"].dropna()))
    found = found.reindex(planned["uid"].to_numpy()).set_axis(planned.index)
    for name in chosen.columns:  # of teachers only records tell
        own = found[name] if name in found.columns else None
        found[name] = chosen[name] if own is None else chosen[name].where(chosen[name].notna(), own)
    held = planned["uid"].astype(object).map(failed).astype(object)
    found["trouble"] = held.where(found["state"].isna(), None)
    found["state"] = np.select(
        [planned["excluded"] != "", found["state"].notna(), found["trouble"].notna()],
        ["excluded", found["state"], "failed"],
        "missing",
    )
    found = found.rename(columns=lambda name: name.removeprefix(CHOICE))
    told = [name for name in found.columns if name not in planned.columns]
    planned = planned.drop(columns=["choices", "student", "keys"], errors="ignore")
    return pd.concat([planned, shape, differing, found[told]], axis=1)


def _asked_for(planned: pd.DataFrame) -> pd.DataFrame:
    """With the options that the overrides of what is left out name: knowledge=[a,b] is a+b."""
    if "choices" not in planned.columns:
        return planned
    known = planned["choices"].dropna()
    groups = set(json.loads(known.iloc[0])) if len(known) else set()
    out = planned["choices"].isna() & (planned["seed"] != NO_SEED)
    named = {}
    for place, text in planned.loc[out, "overrides"].items():
        pairs = (override.partition("=") for override in json.loads(text))
        own = {key: value.strip("[]").replace(",", "+") for key, _, value in pairs}
        named[place] = {key: value for key, value in own.items() if key in groups}
    tasks = {place: own["task"] for place, own in named.items() if "task" in own}
    texts = {place: json.dumps(own) for place, own in named.items()}
    return planned.assign(
        choices=planned["choices"].where(~out, pd.Series(texts, dtype=object)),
        task=planned["task"].where(~out, pd.Series(tasks, dtype=object)),
    )


def _found(root: str, wanted: set[str]) -> pd.DataFrame:
    """What is recorded of the wanted runs, by uid; columns that no record has are empty."""
    rows = list(record_rows.rows(root, wanted))
    names = dict.fromkeys(chain(OWN, chain.from_iterable(rows)))
    columns = {
        name: np.array(
            [row.get(name) for row in rows],
            dtype=object if name in TEXTS or name.startswith(CHOICE) else float,
        )
        for name in names
        if name != "uid"
    }
    return pd.DataFrame(columns, index=[row["uid"] for row in rows])


def _parsed(planned: pd.DataFrame, column: str) -> pd.DataFrame:
    """A column of JSON as columns; an empty one where the plan is older than it."""
    if column not in planned.columns:
        return pd.DataFrame(index=planned.index)
    texts = planned[column].where(planned["seed"] != NO_SEED).fillna("{}")
    codes, known = pd.factorize(texts)
    pages = pd.DataFrame([json.loads(text) for text in known], dtype=object).apply(_of_one_kind)
    return pages.take(codes).set_axis(planned.index)


def _of_one_kind(column: pd.Series) -> pd.Series:
    """A column of numbers or of texts: `null`, which is a value, makes it one of texts."""
    present = [value for value in column if not _is_absent(value)]
    if all(type(value) in (int, float) for value in present):
        return column.astype(float)
    return column.map(lambda value: None if _is_absent(value) else _text(value)).astype(object)


def _is_absent(value: object) -> bool:
    return isinstance(value, float) and np.isnan(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _teachers(plan: pd.DataFrame) -> pd.DataFrame:
    """One planned row for every teacher of a table, stage and task."""
    place = ["table", "stage", "task"]
    taught = plan[plan["uid"].notna()].drop_duplicates([*place, "row", "teachers"])
    taught = taught.assign(teacher=taught["teachers"].map(json.loads, "ignore"))
    taught = taught.explode("teacher").dropna(subset="teacher")
    found = [
        part.assign(row=part["row"].map(_kinds(part))).drop_duplicates(["row", "teacher"])
        for _, part in taught.groupby(place, sort=False)
    ]
    used = pd.concat(found) if found else taught
    used = used.assign(uid=used["teacher"], control="", overrides="[]", seed=NO_SEED)
    return used.drop(columns="teacher")


def _kinds(taught: pd.DataFrame) -> Mapping[str, str]:
    """What each row's teachers are called: rows with the same ones, or a part of them, share."""
    teachers = {str(row): set(part["teacher"]) for row, part in taught.groupby("row", sort=False)}
    ordered = sorted(teachers, key=lambda row: -len(teachers[row]))
    first = {row: next(o for o in ordered if teachers[row] <= teachers[o]) for row in teachers}
    is_one = len(set(first.values())) == 1
    return {row: TEACHER if is_one else f"{TEACHER}, {name}" for row, name in first.items()}
