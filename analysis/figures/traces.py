"""The course of training as tidy frames: losses, scores on select, shares of the gradient."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd

from analysis.figures import style
from analysis.figures.drawing import not_done
from analysis.read.frame import NO_SEED, PERCENT, reader
from analysis.statistics.trials import is_constant, select_score
from kdlab.record import Record

SELECT, HARD = "select", "hard"
ARM = ["table", "task", "arm"]
TEACHER = ["table", "task", "row", "uid"]


def _trained(runs: pd.DataFrame) -> pd.DataFrame:
    """The students that are done, each once for each arm of a table; trials are no part of them."""
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
    return pd.DataFrame(_points_of(runs, _evaluations), columns=columns)


def gradient_shares(runs: pd.DataFrame) -> pd.DataFrame:
    """Each weighted term's share of the gradient at 10, 50 and 90 % of training, in percent.

    One row each: table, task, arm, uid, term, `done` (percent of training) and `share`.
    """
    return pd.DataFrame(_points_of(runs, _shares), columns=[*ARM, "uid", "term", "done", "share"])


def teacher_scores(runs: pd.DataFrame) -> pd.DataFrame:
    """Each teacher's score on select with the weights that were kept.

    One row each: table, task, row, uid, `value` (points) and `degenerate`. Where weights are chosen
    on select it is the largest of its curve.
    """
    teachers = runs[(runs["seed"] == NO_SEED) & (runs["state"] == "done")]
    rows = [
        {name: row[name] for name in TEACHER}
        | {"value": PERCENT * select_score(row), "degenerate": is_constant(row)}
        for row in teachers.drop_duplicates(TEACHER).to_dict("records")
    ]
    return pd.DataFrame(rows, columns=[*TEACHER, "value", "degenerate"])


def why_none(runs: pd.DataFrame, study: str) -> str:
    """Why some runs, which have neither curves nor shares, have none."""
    if (runs["state"] == "done").any():
        return "no record of its students has any"
    return not_done(study)


def file_name(kind: str, points: pd.DataFrame, suffix: str = "") -> str:
    """The name of a figure of points that are of one table and one task."""
    table, task = points["table"].iloc[0], points["task"].iloc[0]
    return style.file_name(f"{kind}_{table}_{task}{suffix}")


def over_seeds(points: pd.DataFrame) -> pd.DataFrame:
    """Mean, smallest, largest and number over the runs of an arm, for each term and time.

    `degenerate`: whether one of them has the same prediction for every row there.
    """
    grouped = points.groupby([*ARM, "term", "done"], sort=False)
    value = {"mean": "mean", "low": "min", "high": "max", "n": "count"}
    return grouped.agg(
        **{name: ("value", how) for name, how in value.items()}, degenerate=("degenerate", "any")
    ).reset_index()


def terms(points: pd.DataFrame) -> list[str]:
    """The terms of the loss, the task's own first."""
    names = [str(term) for term in points["term"].unique() if term != SELECT]
    return sorted(names, key=lambda name: name != HARD)


def roles(points: pd.DataFrame) -> list[str]:
    """What a key calls terms: by their names if they are few, else by their number in an arm."""
    names = terms(points)
    if len(names) <= style.MOST:
        return names
    most = points[points["term"] != SELECT].groupby("arm")["term"].nunique().max()
    # One more than terms of an arm: arms without a loss on labels do not use the first.
    return [_numbered(number) for number in range(min(style.MOST, most + 1))]


def roles_of(arm_points: pd.DataFrame, roles: Sequence[str]) -> dict[str, str]:
    """By term of an arm what a key of these roles calls it."""
    names = terms(arm_points)
    # The first role is that of the labels: an arm without them begins with the second.
    numbered = enumerate(names, HARD not in names)
    return {term: term if term in roles else _numbered(number) for number, term in numbered}


def _numbered(number: int) -> str:
    """What a key calls a term by its number in its arm: `hard`, `knowledge 1`, ..."""
    return HARD if number == 0 else f"knowledge {number}"


def _points_of(
    runs: pd.DataFrame, of_record: Callable[[Record], Iterator[dict[str, Any]]]
) -> Iterator[dict[str, Any]]:
    """The points that each student's record has, with its table, task and arm."""
    read = reader(runs)
    points: dict[str, list[dict[str, Any]]] = {}
    for row in _trained(runs).to_dict("records"):
        uid = str(row["uid"])
        if uid not in points:  # a run may stand in several tables, and is read once
            points[uid] = list(of_record(read(uid)))
        arm = {name: row[name] for name in ARM}
        yield from ({**arm, "uid": uid, **point} for point in points[uid])


def _evaluations(record: Record) -> Iterator[dict[str, Any]]:
    """The points of `curves` of one record."""
    steps = record.result["steps"]
    for term, values in record.result.get("curves", {}).items():
        unit = PERCENT if term == SELECT else 1.0
        constant = record.result["select_degenerate"]
        for number, value in enumerate(values, 1):
            # Records say what was evaluated, not when: at equal parts of training, the last
            # included (`kdlab.training.loop.evaluation_points`).
            step = max(1, round(steps * number / len(values)))
            yield {
                "term": term,
                "done": PERCENT * step / steps,
                "steps": steps,
                "value": unit * value,
                "degenerate": term == SELECT and constant[number - 1],
            }


def _shares(record: Record) -> Iterator[dict[str, Any]]:
    """The points of `gradient_shares` of one record."""
    for point, by_term in record.result.get("shares", {}).items():
        for term, share in by_term.items():
            yield {"term": term, "done": PERCENT * float(point), "share": PERCENT * share}
