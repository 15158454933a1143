"""The best trial of a grid, with how it was chosen, and how good the best of fewer would be."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.read.frame import NO_SEED, PERCENT
from kdlab.errors import BadInput

SPLIT = "select"  # on which settings are chosen
ARM = ["table", "row", "task"]
BAND = (0.1, 0.9)  # quantiles of the maximum's distribution
DIVERGED = -np.inf  # the score of a run that diverged: it never wins


def trials(scores: pd.DataFrame) -> pd.DataFrame:
    """Every trial of every arm: table, row, task, trial, `score`, `seeds`, `missing`, `metrics`.

    `score`, in points, is the mean over tuning seeds of the mean of the metrics on `select` that
    the task selects by; a constant prediction counts 0, a run that diverged minus infinity, and a
    trial with a run that is `missing` has none.

    Args:
        scores: as `analysis.read.frame.scores`, of all stages and splits.
    """
    is_trial = (scores["stage"] == "tune") & (scores["seed"] != NO_SEED)
    rows = scores[is_trial & (scores["split"] == SPLIT) & (scores["state"] != "excluded")]
    points = (PERCENT * rows["score"]).mask(rows["degenerate"].astype(bool), 0.0)
    rows = rows.assign(score=points.mask(rows["state"] == "diverged", DIVERGED))
    by_trial = [
        {**dict(zip([*ARM, "trial"], key, strict=True)), **_trial(part)}  # type: ignore[call-overload]
        for key, part in rows.groupby([*ARM, "trial"], sort=False)
    ]
    names = [*ARM, "trial", "score", "seeds", "missing", "metrics"]
    return pd.DataFrame(by_trial, columns=names)


def best_of(scores: pd.DataFrame) -> pd.DataFrame:
    """The choice of each arm's settings, a row each arm and task.

    Columns: table, row, task, `split`, `keys` (those tried), `rule`, `trials`, `unequal` (the
    study's reason for trials that are not as many as other arms'), `missing` (trials without a
    score), `diverged`, `best` and its `score` (points), `second` (the next best score), `single`
    (expected score of one trial drawn), and `confirmed`: the setting that runs of the report use,
    empty before there are any. Where `best` is another, the study's rule is not this one.

    Args:
        scores: as `analysis.read.frame.scores`, of all stages and splits.
    """
    students = scores[scores["seed"] != NO_SEED]
    rows = []
    for key, of_arm in trials(scores).groupby(ARM, sort=False):
        is_arm = (students[ARM] == list(key)).all(axis=1)  # type: ignore[call-overload]
        arm = students[is_arm]
        name = dict(zip(ARM, key, strict=True))  # type: ignore[call-overload]
        rows.append(name | _best(of_arm) | _planned(arm))
    names = [*ARM, "split", "keys", "rule", "trials", "unequal", "missing", "diverged"]
    return pd.DataFrame(rows, columns=[*names, "best", "score", "second", "single", "confirmed"])


def expected_best(scores: Sequence[float], n: int) -> float:
    """The expected largest of n trials drawn without replacement from those given.

    The unbiased order-statistic estimator: the mean of the maximum over all subsets of n. Dodge et
    al. 2019 (arXiv 1909.03004) draw with replacement, which is biased downwards (Tang et al. 2020,
    arXiv 2004.11829). Unbiased for other trials of the same search; at n = all of them it is one
    number only, the maximum found.

    Raises:
        BadInput: if n is not one of 1 to the number of scores.
    """
    values = np.sort(np.asarray(scores, dtype=float))
    chances = _chances(len(values), n)
    return float((chances[chances > 0] * values[chances > 0]).sum())  # a diverged one is −inf


def curve(scores: Sequence[float]) -> pd.DataFrame:
    """The expected best of 1, 2, ... all trials, with the band of 80 % of the draws.

    Columns: n, expected, low, high. The band is the exact one of the maximum of n of these trials;
    by construction it has no width where all are drawn, and says nothing of other trials.
    """
    values = np.sort(np.asarray(scores, dtype=float))
    rows = []
    for n in range(1, len(values) + 1):
        reached = np.cumsum(_chances(len(values), n))
        low, high = (values[np.searchsorted(reached, share - 1e-12)] for share in BAND)
        rows.append({"n": n, "expected": expected_best(values.tolist(), n)})
        rows[-1] |= {"low": float(low), "high": float(high)}
    return pd.DataFrame(rows, columns=["n", "expected", "low", "high"])


def _chances(count: int, n: int) -> np.ndarray:
    """Of `count` scores in rising order, the chance of each to be the largest of n drawn ones.

    The i-th smallest is the largest of n if the others are among the i - 1 beneath it, in
    C(i - 1, n - 1) of C(count, n) draws.
    """
    from scipy.special import gammaln

    if not 1 <= n <= count:
        raise BadInput(f"n={n}: the best of n trials needs 1 <= n <= {count}, which are there")

    def log_binomial(of: np.ndarray, k: int) -> np.ndarray:
        return gammaln(of + 1) - gammaln(k + 1) - gammaln(of - k + 1)

    below = np.arange(n - 1, count, dtype=float)  # trials beneath it
    logarithms = log_binomial(below, n - 1) - log_binomial(np.array(float(count)), n)
    return np.concatenate([np.zeros(n - 1), np.exp(logarithms)])


def _trial(part: pd.DataFrame) -> dict[str, Any]:
    """A trial's score over its seeds, each the mean of its metrics."""
    selecting = part.loc[part["metric"].isin(_select_by(part))]
    missing = int(selecting.loc[selecting["score"].isna(), "uid"].nunique())
    return {
        "score": float("nan")
        if missing
        else float(selecting.groupby("uid")["score"].mean().mean()),
        "seeds": int(selecting["seed"].nunique()),
        "missing": missing,
        "metrics": ", ".join(selecting["metric"].unique()),
    }


def _select_by(part: pd.DataFrame) -> list[str]:
    """The metrics that select: all of the task's, where the plan does not say which."""
    if "select_by" in part and isinstance(part["select_by"].iloc[0], str):
        return list(json.loads(part["select_by"].iloc[0]))
    return part["metric"].unique().tolist()


def _best(part: pd.DataFrame) -> dict[str, Any]:
    known = part[part["score"].notna()]
    order = known["score"].sort_values(ascending=False, kind="stable")  # of equals the first
    finite = known["score"].where(known["score"] > DIVERGED, 0.0).tolist()
    texts = (text for trial in part["trial"] for text in trial.split() if "=" in text)
    keys = dict.fromkeys(text.partition("=")[0] for text in texts)
    metrics, seeds = part["metrics"].iloc[0], int(part["seeds"].max())
    return {
        "split": SPLIT,
        "keys": ", ".join(keys),
        "rule": f"largest mean over {seeds} seeds of {metrics}",
        "trials": len(part),
        "missing": len(part) - len(known),
        "diverged": int((known["score"] == DIVERGED).sum()),
        "best": known["trial"][order.index[0]] if len(order) else "",
        "score": float(order.iloc[0]) if len(order) else float("nan"),
        "second": float(order.iloc[1]) if len(order) > 1 else float("nan"),
        "single": float(np.mean(finite)) if finite else float("nan"),
    }


def _planned(arm: pd.DataFrame) -> dict[str, Any]:
    """From the plan: the reason for unequal trials, and the setting that was confirmed."""
    confirmed = arm.loc[arm["stage"] == "confirm", "trial"].unique()
    return {"unequal": arm["unequal"].iloc[0], "confirmed": "; ".join(sorted(confirmed))}
