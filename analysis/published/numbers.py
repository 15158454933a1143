"""Numbers of the literature, each with its split, its source and how certain it is."""

from collections.abc import Mapping, Sequence, Set
from pathlib import Path

import numpy as np
import pandas as pd

from kdlab import metrics
from kdlab.errors import BadInput

FOLDER = Path(__file__).parent
TEXTS = ("paper", "arxiv", "system", "task", "metric", "split", "statistic", "certainty", "source")
COLUMNS = (*TEXTS[:7], "value", *TEXTS[7:], "note")
RANKED = ("dev", "test")  # never one with the other
STATISTICS = ("single", "best_mean", "best_run")  # the first of these that a system has counts
SIZES = ("parameters", "transformer", "embeddings")
ALLOWED = {
    "split": {*RANKED, "unstated", "none"},
    "statistic": set(STATISTICS),
    "certainty": {"verified", "second-hand", "computed", "inferred"},
    "metric": {
        *(set(metrics.NAMES) - {"mlm_accuracy", "mlm_likelihood"}),
        *("average", "macro", "macro_change", "score", "meta_score", "unstated"),
        *(f"{part}_millions" for part in SIZES),
        *("flops_billions", "times_faster", "cpu_seconds"),
    },
}
# Two numbers of one file with equal values of these columns are a mistake.
KEY = ["paper", "system", "task", "metric", "split", "statistic"]
SPLITLESS = ("_millions", "_billions", "times_faster", "cpu_seconds")  # ends of metrics of no split


def load(folder: Path = FOLDER) -> pd.DataFrame:
    """Every published number, one a row: columns as in `analysis/published/README.md`.

    Raises:
        BadInput: naming the file and line that lacks something or says what is not allowed.
    """
    frames = [_read(path) for path in sorted(folder.glob("*.csv"))]
    if not frames:
        raise BadInput(f"no published numbers in {folder}: *.csv")
    return pd.concat(frames, ignore_index=True)


def ranked(published: pd.DataFrame, *, task: str, metric: str, split: str) -> pd.DataFrame:
    """Systems on one task, metric and split, best first, with `rank`; equal values share one.

    A system counts once for each paper that reports it; of several statistics that of single
    values, else the best mean, else the best run.

    Raises:
        BadInput: if the split is not one split, or nothing is published on it.
    """
    if split not in RANKED:
        raise BadInput(f"split={split!r}: dev and test are ranked apart; allowed: dev, test")
    is_on_split = published["split"] == split
    is_of_metric = (published["task"] == task) & (published["metric"] == metric)
    scores = published[is_on_split & is_of_metric]
    if scores.empty:
        tasks = sorted(set(published["task"][is_on_split]))
        raise BadInput(f"nothing published of {task} {metric} on {split}; tasks: {tasks}")
    # Of each system the first statistic that it has: single values come before means of the best.
    scores = scores.sort_values(
        "statistic", key=lambda names: names.map(STATISTICS.index), kind="stable"
    )
    scores = scores.drop_duplicates(["paper", "system"])
    ranks = scores["value"].rank(method="min", ascending=False).astype(int)
    return scores.assign(rank=ranks).sort_values("rank", kind="stable", ignore_index=True)


def _read(path: Path) -> pd.DataFrame:
    """The numbers of one file, checked."""
    frame = checked(path, COLUMNS, TEXTS, ALLOWED)
    values = pd.to_numeric(frame["value"], errors="coerce")
    _refuse(path, ~np.isfinite(values), "value is not a number")
    # A size is a property of a model, wherever it is measured; a score never is.
    is_splitless = frame["metric"].str.endswith(SPLITLESS)
    _refuse(path, is_splitless != (frame["split"] == "none"), "split is none for sizes and speed")
    is_unclear = (frame["certainty"] == "inferred") & (frame["note"] == "")
    _refuse(path, is_unclear, "inferred, and no note says from what")
    _refuse(path, frame.duplicated(KEY), "the same number twice")
    return frame.assign(value=values)


def checked(
    path: Path, columns: Sequence[str], needed: Sequence[str], allowed: Mapping[str, Set[str]]
) -> pd.DataFrame:
    """A file of comma-separated texts.

    Args:
        path: of the file.
        columns: that it has, in this order.
        needed: columns of which no line is empty.
        allowed: by column the only texts that it may have.

    Raises:
        BadInput: naming the file and line that lacks something or says what is not allowed.
    """
    # As texts: pandas would read a system called `NA`, or an empty note, as NaN.
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    if list(frame.columns) != list(columns):
        raise BadInput(f"{path.name}: columns are {', '.join(columns)}")
    for column in needed:
        _refuse(path, frame[column].str.strip() == "", f"no {column}")
    for column, texts in allowed.items():
        _refuse(path, ~frame[column].isin(texts), f"{column} is one of {sorted(texts)}")
    return frame


def _refuse(path: Path, wrong: "pd.Series[bool]", why: str) -> None:
    """Raise BadInput with the first line that is wrong, if one is."""
    if wrong.any():
        # Lines of the file count from 1, and the first has the columns' names.
        raise BadInput(f"{path.name}, line {int(np.argmax(wrong.to_numpy())) + 2}: {why}")
