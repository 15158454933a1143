"""A study's plan and its records as one tidy frame: one row per run and score."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from kdlab.record import Record, records
from kdlab.schema import BadInput

TEACHER = "teacher"
NO_SEED = -1  # of a teacher that all seeds share, and of a teacher's row


def load(study: str, root: str) -> pd.DataFrame:
    """One row per planned run and score: study, table, row, control, stage, trial, seed, task, uid,
    state, and `split`, `metric`, `score` (a fraction; NaN where the run is not done), `degenerate`
    (one prediction for every row); of the student `transformer` and `parameters` (those of its
    layers, and all) and `flops` (of one row of 128 tokens), NaN where no record says them. `arm` is
    the row, `teacher_seed` -1 where all share a teacher.

    Teachers come as rows without a seed, named "teacher", or, where students of one table and task
    have teachers of different kinds, "teacher, ROW" by the first row that has them. `state` is
    done, diverged, missing or excluded; what is excluded (the column says why) was never composed:
    it has no task, one row and no score.

    Raises:
        BadInput: if the study was never launched under this root.
    """
    plan = read_plan(study, root)
    plan = plan.assign(
        arm=plan["row"], teacher_seed=plan["teacher_seed"].astype("Int64").fillna(NO_SEED)
    )
    found = records(root)
    planned = pd.concat([plan, _teachers(plan)]).to_dict("records")
    rows = [{**entry, **scored} for entry in planned for scored in _scores(entry, found)]
    return pd.DataFrame(rows)


def read_plan(study: str, root: str) -> pd.DataFrame:
    """The table that `sweeps` wrote of a study."""
    path = Path(root) / "studies" / study / "plan.parquet"
    if not path.is_file():
        known = ", ".join(sorted(p.parent.name for p in path.parent.parent.glob("*/plan.parquet")))
        raise BadInput(
            f"no plan of study {study!r} under {root} (there: {known or 'none'}); "
            f"first: python -m sweeps launch {study} --wait"
        )
    return pd.read_parquet(path)


def _teachers(plan: pd.DataFrame) -> pd.DataFrame:
    """One planned row for every teacher of a table, stage and task."""
    place = ["table", "stage", "task"]
    taught = plan[plan["uid"].notna()].assign(teacher=plan["teachers"].map(json.loads, "ignore"))
    taught = taught.explode("teacher").dropna(subset="teacher")
    found = [
        part.assign(row=part["row"].map(_kinds(part))).drop_duplicates(["row", "teacher"])
        for _, part in taught.groupby(place, sort=False)
    ]
    used = pd.concat(found) if found else taught
    return used.assign(uid=used["teacher"], control="", overrides="[]", seed=NO_SEED)


def _kinds(taught: pd.DataFrame) -> dict[str, str]:
    """What each row's teachers are called: rows with the same ones, or a part of them, share."""
    teachers = {str(row): set(part["teacher"]) for row, part in taught.groupby("row", sort=False)}
    ordered = sorted(teachers, key=lambda row: -len(teachers[row]))
    first = {row: next(o for o in ordered if teachers[row] <= teachers[o]) for row in teachers}
    is_one = len(set(first.values())) == 1
    return {row: TEACHER if is_one else f"{TEACHER}, {name}" for row, name in first.items()}


def _scores(entry: dict[Any, Any], found: dict[str, Record]) -> list[dict[str, object]]:
    """One row a score; empty ones for a run without a record, so that it counts as missing."""
    if entry["excluded"]:
        return [{"state": "excluded", "score": float("nan"), "degenerate": False}]
    record = found.get(entry["uid"])
    state = record.result["status"] if record else "missing"
    scores = record.result.get("scores", {}) if record else {}
    constant = record.result.get("degenerate", []) if record else []
    splits = ["select", *json.loads(entry["reports"])]
    return [
        {
            "split": split,
            "metric": metric,
            "score": scores.get(split, {}).get(metric, float("nan")),
            "state": state,
            "degenerate": split in constant,
            **_model(record),
        }
        for split in splits
        for metric in json.loads(entry["metrics"])
    ]


def _model(record: Record | None) -> dict[str, float]:
    """Parameters and operations that a record states."""
    cost = record.cost if record else {}
    counted = cost.get("parameters", {})
    found = (counted.get("transformer"), counted.get("total"), cost.get("flops"))
    return {
        key: float("nan") if number is None else float(number)
        for key, number in zip(("transformer", "parameters", "flops"), found, strict=True)
    }
