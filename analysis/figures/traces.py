"""What records hold of the course of training, as tidy frames."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis.read.frame import NO_SEED, PERCENT, reader
from kdlab.record import Record

SELECT, HARD = "select", "hard"
ARM = ["table", "task", "arm"]
PLACE = ["table", "task", "row", "uid"]  # of a teacher


def trained(runs: pd.DataFrame) -> pd.DataFrame:
    """The students that are done, each once for each row of a table; trials are no part of them."""
    is_student = (runs["seed"] != NO_SEED) & (runs["stage"] != "tune")
    return runs[is_student & (runs["state"] == "done")].drop_duplicates([*ARM, "uid"])


def curves(runs: pd.DataFrame) -> pd.DataFrame:
    """Losses and the score on select at each evaluation of every student that is done.

    One row each: table, task, arm, uid, `term` (of the loss, unweighted; or `select`, the number
    that chooses weights), `done` (percent of training), `steps` (updates of the whole) and `value`
    (a loss: the mean since the evaluation before; select: points), and `degenerate` (of select:
    whether every row got the same prediction).
    """
    columns = [*ARM, "uid", "term", "done", "steps", "value", "degenerate"]
    return pd.DataFrame(_found(runs, _points), columns=columns)


def shares(runs: pd.DataFrame) -> pd.DataFrame:
    """Each weighted term's share of the gradient at 10, 50 and 90 % of training, in percent.

    One row each: table, task, arm, uid, term, `done` (percent of training) and `share`.
    """
    return pd.DataFrame(_found(runs, _shares), columns=[*ARM, "uid", "term", "done", "share"])


def teacher_scores(runs: pd.DataFrame) -> pd.DataFrame:
    """What each teacher scored on select, in points: table, task, row, uid, value, degenerate."""
    read = reader(runs)
    teachers = runs[(runs["seed"] == NO_SEED) & (runs["state"] == "done")]
    rows = [
        {**{name: row[name] for name in PLACE}, "value": scored[0], "degenerate": scored[1]}
        for row in teachers.drop_duplicates(PLACE).to_dict("records")
        if (scored := _scored(read(row["uid"]))) is not None
    ]
    return pd.DataFrame(rows, columns=[*PLACE, "value", "degenerate"])


def over_seeds(found: pd.DataFrame) -> pd.DataFrame:
    """Mean, smallest, largest and number of the runs of an arm: a term and a time each.

    `degenerate`: whether one of them has the same prediction for every row there.
    """
    grouped = found.groupby([*ARM, "term", "done"], sort=False)
    value = {"mean": "mean", "low": "min", "high": "max", "n": "count"}
    return grouped.agg(
        **{name: ("value", how) for name, how in value.items()}, degenerate=("degenerate", "any")
    ).reset_index()


def terms(found: pd.DataFrame) -> list[str]:
    """The terms of the loss, the task's own first."""
    names = [str(term) for term in found["term"].unique() if term != SELECT]
    return sorted(names, key=lambda name: name != HARD)


def _found(runs: pd.DataFrame, of_record: Any) -> Iterator[dict[str, Any]]:
    read = reader(runs)
    known: dict[str, list[dict[str, Any]]] = {}
    for row in trained(runs).to_dict("records"):
        uid = str(row["uid"])
        if uid not in known:  # a run may stand in several tables
            known[uid] = list(of_record(read(uid)))
        place = {name: row[name] for name in ARM}
        yield from ({**place, "uid": uid, **point} for point in known[uid])


def _points(record: Record) -> Iterator[dict[str, Any]]:
    steps = record.result["steps"]
    for term, values in record.result.get("curves", {}).items():
        unit = PERCENT if term == SELECT else 1.0
        constant = record.result["select_degenerate"]
        for number, place in enumerate(evaluated(steps, len(values))):
            yield {
                "term": term,
                "done": PERCENT * place / steps,
                "steps": steps,
                "value": unit * values[number],
                "degenerate": term == SELECT and constant[number],
            }


def _shares(record: Record) -> Iterator[dict[str, Any]]:
    for point, by_term in record.result.get("shares", {}).items():
        for term, share in by_term.items():
            yield {"term": term, "done": PERCENT * float(point), "share": PERCENT * share}


def evaluated(steps: int, count: int) -> list[int]:
    """The updates after which select was scored: equal parts of training, the last included."""
    return [max(1, round(steps * k / count)) for k in range(1, count + 1)]


def _scored(record: Record) -> tuple[float, bool] | None:
    """What a run scored on select with the weights that were kept; None if no record says it.

    And whether every row got the same prediction.
    """
    found = record.result.get("curves", {}).get(SELECT)
    steps, kept = record.result.get("steps"), record.result.get("scored_step")
    if found and steps and kept is not None:
        places = np.array(evaluated(steps, len(found)))
        number = int(np.abs(places - kept).argmin())
        return PERCENT * float(found[number]), bool(record.result["select_degenerate"][number])
    scores = record.result.get("scores", {}).get(SELECT, {})
    constant = SELECT in record.result.get("degenerate", ())
    return (PERCENT * float(next(iter(scores.values()))), constant) if len(scores) == 1 else None
