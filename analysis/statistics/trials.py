"""The best trial of a grid, with how it was chosen, and how good the best of fewer would be."""

import json
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from analysis.read.frame import NO_SEED, PERCENT
from analysis.read.record_rows import SEP
from kdlab import metrics
from kdlab.errors import BadInput

SPLIT = "select"  # on which settings are chosen
ARM = ["table", "row", "task"]
BAND = (0.1, 0.9)  # quantiles of the maximum's distribution
DIVERGED = -np.inf  # the score of a run that diverged: it never wins


def select_score(run: Mapping[Any, Any]) -> float:
    """A run's score on select, a fraction: the mean of the metrics that its task selects by.

    Args:
        run: a row of the frame that `analysis.load` gives. Where it has no score, this is NaN.
    """
    return split_score(run, SPLIT)


def split_score(run: Mapping[Any, Any], split: str) -> float:
    """As `select_score`, of any split."""
    # Before the first record of a study its frame has no columns of scores at all.
    scored = {name: run.get(f"{split}{SEP}{name}", np.nan) for name in json.loads(run["select_by"])}
    return metrics.selection(scored, list(scored))


def is_constant(run: Mapping[Any, Any]) -> bool:
    """Whether a run gives every row of select the same prediction.

    Args:
        run: a row of the frame that `analysis.load` gives.
    """
    # Runs without a record have NaN in this column of texts.
    return isinstance(run["degenerate"], str) and SPLIT in run["degenerate"].split()


def counted(run: Mapping[Any, Any]) -> float:
    """The score by which settings are chosen, a fraction; NaN where a run has none."""
    if run["state"] == "diverged":
        return DIVERGED
    return metrics.ranked(select_score(run), is_constant(run))


def trials(runs: pd.DataFrame) -> pd.DataFrame:
    """Every trial of every arm: table, row, task, trial, `score`, `seeds`, `missing`, `metrics`.

    `score`, in points, is the mean over tuning seeds of what each run counts where settings are
    chosen: its `select_score`, 0 for a constant prediction, minus infinity for a run that diverged.
    A trial with a run that is `missing` has none (NaN). `metrics` are those of `select_score`.

    Args:
        runs: as `analysis.load` gives them, all stages.
    """
    is_trial = (runs["stage"] == "tune") & (runs["seed"] != NO_SEED)
    trial_runs = runs[is_trial & (runs["state"] != "excluded")]
    by_trial = [
        {**dict(zip([*ARM, "trial"], key, strict=True)), **_trial(part)}  # type: ignore[call-overload]
        for key, part in trial_runs.groupby([*ARM, "trial"], sort=False)
    ]
    names = [*ARM, "trial", "score", "seeds", "missing", "metrics"]
    return pd.DataFrame(by_trial, columns=names)


def best_of(runs: pd.DataFrame) -> pd.DataFrame:
    """The choice of each arm's settings, a row each arm and task.

    Columns: table, row, task, `split`, `keys` (those tried), `rule`, `trials`, `unequal` (the
    study's reason for trials that are not as many as other arms'), `missing` (trials without a
    score), `diverged`, `best` and its `score` (points), `second` (the next best score), `single`
    (expected score of one trial drawn), and `confirmed`: the setting that runs of the report use,
    empty before there are any. Where `best` is another, the study's rule is not this one.

    Args:
        runs: as `analysis.load` gives them, all stages.
    """
    students = runs[runs["seed"] != NO_SEED]
    rows = []
    for key, arm_trials in trials(runs).groupby(ARM, sort=False):
        is_of_arm = (students[ARM] == list(key)).all(axis=1)  # type: ignore[call-overload]
        arm = dict(zip(ARM, key, strict=True))  # type: ignore[call-overload]
        rows.append(arm | _best(arm_trials) | _planned(students[is_of_arm]))
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
    # Values that cannot be the largest are left out: of a diverged trial 0 times −inf is NaN.
    return float((chances[chances > 0] * values[chances > 0]).sum())


def curve(scores: Sequence[float]) -> pd.DataFrame:
    """The expected best of 1, 2, ... all trials, with the band of 80 % of the draws.

    Columns: n, expected, low, high. The band is the exact one of the maximum of n of these trials;
    by construction it has no width where all are drawn, and says nothing of other trials.
    """
    values = np.sort(np.asarray(scores, dtype=float))
    rows = []
    for n in range(1, len(values) + 1):
        reached = np.cumsum(_chances(len(values), n))
        # Sums of chances are rounded: without a tolerance one of 0.1 may count as below 0.1.
        low, high = (values[np.searchsorted(reached, share - 1e-12)] for share in BAND)
        rows.append({"n": n, "expected": expected_best(values.tolist(), n)})
        rows[-1] |= {"low": float(low), "high": float(high)}
    return pd.DataFrame(rows, columns=["n", "expected", "low", "high"])


def _chances(count: int, n: int) -> np.ndarray:
    """Of `count` scores in rising order, the chance of each to be the largest of n drawn ones.

    The i-th smallest is the largest of n if the others are among the i - 1 beneath it, in
    C(i - 1, n - 1) of C(count, n) draws.
    """
    from scipy.special import gammaln  # logarithms: binomials of thousands of trials overflow

    if not 1 <= n <= count:
        raise BadInput(f"n={n}: the best of n trials needs 1 <= n <= {count}, which are there")

    def log_binomial(of: np.ndarray, k: int) -> np.ndarray:
        return gammaln(of + 1) - gammaln(k + 1) - gammaln(of - k + 1)

    below = np.arange(n - 1, count, dtype=float)  # trials beneath it
    logarithms = log_binomial(below, n - 1) - log_binomial(np.array(float(count)), n)
    return np.concatenate([np.zeros(n - 1), np.exp(logarithms)])


def _trial(runs: pd.DataFrame) -> dict[str, Any]:
    """A trial's columns beside its key, of its runs: one of each seed."""
    scores = [counted(run) for run in runs.drop_duplicates("uid").to_dict("records")]
    missing = int(np.isnan(scores).sum())
    return {
        # The mean as the rule `best_mean` of `sweeps.study.tuning` takes it, so that rounding makes
        # no other winner of two trials that are equally good.
        "score": PERCENT * fmean(scores),
        "seeds": int(runs["seed"].nunique()),
        "missing": missing,
        "metrics": ", ".join(json.loads(runs["select_by"].iloc[0])),
    }


def _best(arm_trials: pd.DataFrame) -> dict[str, Any]:
    """The columns of `best_of` that follow from an arm's trials."""
    scored = arm_trials[arm_trials["score"].notna()]
    # A stable sort: of equally good trials the first wins, as it does in the sweep.
    order = scored["score"].sort_values(ascending=False, kind="stable")
    # A mean with minus infinity would say nothing: a trial that diverged counts 0 there.
    finite = scored["score"].where(scored["score"] > DIVERGED, 0.0).tolist()
    texts = (text for trial in arm_trials["trial"] for text in trial.split() if "=" in text)
    keys = dict.fromkeys(text.partition("=")[0] for text in texts)
    names, seeds = arm_trials["metrics"].iloc[0], int(arm_trials["seeds"].max())
    return {
        "split": SPLIT,
        "keys": ", ".join(keys),
        "rule": f"largest mean over {seeds} seeds of {names}",
        "trials": len(arm_trials),
        "missing": len(arm_trials) - len(scored),
        "diverged": int((scored["score"] == DIVERGED).sum()),
        "best": scored["trial"][order.index[0]] if len(order) else "",
        "score": float(order.iloc[0]) if len(order) else float("nan"),
        "second": float(order.iloc[1]) if len(order) > 1 else float("nan"),
        "single": float(np.mean(finite)) if finite else float("nan"),
    }


def _planned(arm: pd.DataFrame) -> dict[str, Any]:
    """From the plan: the reason for unequal trials, and the setting that was confirmed."""
    confirmed = arm.loc[arm["stage"] == "confirm", "trial"].unique()
    return {"unequal": arm["unequal"].iloc[0], "confirmed": "; ".join(sorted(confirmed))}
