"""Tables of a study: every cell knows how many runs it has and how many it should have."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn import config_context

from analysis.frame import TEACHER
from analysis.stats import Pair, interval, spread
from kdlab import metrics
from kdlab.record import Record, read_examples, read_outputs

PERCENT = 100.0


@dataclass(frozen=True)
class Cell:
    """Mean, spread over seeds and paired difference to the control, in points (0 to 100).

    `low` and `high` bound the difference; NaN where there is none.
    """

    n: int
    expected: int
    mean: float
    spread: float
    difference: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    diverged: int = 0
    degenerate: int = 0


@dataclass(frozen=True)
class Table:
    """Cells by (row, column), rows and columns in the study's order, and what each row is."""

    name: str
    question: str
    split: str
    rows: list[str]
    columns: list[str]
    cells: dict[tuple[str, str], Cell]
    legend: dict[str, str]
    notes: list[str]


def tables(frame: pd.DataFrame, found: dict[str, Record], root: str, split: str) -> list[Table]:
    """Every table of a study's frame.

    Args:
        frame: as `analysis.frame.load` gives it.
        found: the records.
        root: where the records' outputs are.
        split: `report`, or `select` for choosing settings.
    """
    frame = frame[frame["state"] != "excluded"]
    frame = frame[frame["split"].str.startswith(split)]
    return [
        _table(str(name), part, found, root, split)
        for name, part in frame.groupby("table", sort=False)
    ]


def _table(
    name: str, frame: pd.DataFrame, found: dict[str, Record], root: str, split: str
) -> Table:
    frame = frame.assign(column=[_column(*key) for key in _keys(frame)])
    rows = sorted(frame["row"].unique(), key=lambda row: row != TEACHER)
    columns = [str(column) for column in frame["column"].unique()]
    cells = {}
    for (row, column), part in frame.groupby(["row", "column"], sort=False):
        control = frame[(frame["row"] == part["control"].iloc[0]) & (frame["column"] == column)]
        cells[str(row), str(column)] = _cell(part, control, found, root)
    return Table(
        name=name,
        question=str(frame["question"].iloc[0]),
        split=split,
        rows=rows,
        columns=columns,
        cells=cells,
        legend=_legend(frame),
        notes=_notes(frame),
    )


def _keys(frame: pd.DataFrame) -> list[tuple[str, str, str]]:
    return list(zip(frame["task"], frame["split"], frame["metric"], strict=True))


def _column(task: str, split: str, metric: str) -> str:
    # report_mismatched is a column of its own; report and select go without saying.
    suffix = split.partition("_")[2]
    return f"{task}{'-' + suffix if suffix else ''} {metric}"


def _cell(part: pd.DataFrame, control: pd.DataFrame, found: dict[str, Record], root: str) -> Cell:
    done = part[part["score"].notna()]
    scores = [PERCENT * score for score in done["score"]]
    cell = Cell(
        n=len(done),
        expected=len(part),
        mean=float(np.mean(scores)) if scores else float("nan"),
        spread=spread(scores),
        diverged=int((part["state"] == "diverged").sum()),
        degenerate=int(done["degenerate"].sum()),
    )
    both = done.merge(control[control["score"].notna()], on="seed", suffixes=("", "_control"))
    if both.empty or part["row"].iloc[0] == part["control"].iloc[0]:
        return cell
    low, high = _interval(both, found, root)
    difference = float((both["score"] - both["score_control"]).mean())
    return Cell(**{**cell.__dict__, "difference": PERCENT * difference, "low": low, "high": high})


def _interval(both: pd.DataFrame, found: dict[str, Record], root: str) -> tuple[float, float]:
    split, metric = str(both["split"].iloc[0]), metrics.NAMES[str(both["metric"].iloc[0])]
    pairs = []
    for uid, other in zip(both["uid"], both["uid_control"], strict=True):
        ids, labels = read_examples(root, found[uid], split)
        outputs = [read_outputs(root, found[key], split) for key in (uid, other)]
        assert np.array_equal(ids, read_examples(root, found[other], split)[0])
        pairs.append(Pair(labels, outputs[0].astype(np.float32), outputs[1].astype(np.float32)))
    with config_context(assume_finite=True, skip_parameter_validation=True):
        low, high = interval(pairs, metric)
    return PERCENT * low, PERCENT * high


def _legend(frame: pd.DataFrame) -> dict[str, str]:
    """What each row and each task is: the overrides that not all runs share, but for the seed."""
    students = frame[frame["row"] != TEACHER].drop_duplicates(["row", "task"])
    said = {
        (str(row), str(task)): [o for o in json.loads(text) if not o.startswith(("seed=", "task="))]
        for row, task, text in zip(
            students["row"], students["task"], students["overrides"], strict=True
        )
    }
    everywhere = set.intersection(*map(set, said.values()))
    by_task = {
        task: set.intersection(*(set(said[key]) for key in said if key[1] == task)) - everywhere
        for _, task in said
    }
    legend = {task: " ".join(sorted(own)) for task, own in by_task.items() if own}
    for row in students["row"].unique():
        texts = {
            task: " ".join(o for o in said[key] if o not in everywhere | by_task[task])
            for key in said
            if key[0] == row and (task := key[1])
        }
        if len(set(texts.values())) == 1:
            legend[row] = next(iter(texts.values()))
        else:
            legend |= {f"{row} ({task})": text for task, text in texts.items()}
    return {name: text for name, text in legend.items() if text}


def _notes(frame: pd.DataFrame) -> list[str]:
    students = frame[frame["row"] != TEACHER]
    notes = [f"seeds {_listed(students['seed'])}"]
    states = students.drop_duplicates("uid")["state"].value_counts()
    for state in ("missing", "diverged"):
        if states.get(state, 0):
            notes.append(f"{states[state]} runs {state}")
    if "report" in set(students["select_on"]):
        notes.append(
            "weights were chosen on the split that is reported (protocol.select_on=report)"
        )
    if students["degenerate"].any():
        notes.append("† among the runs are some that predict the same for every row")
    return notes


def _listed(values: Sequence[object] | pd.Series) -> str:
    return ", ".join(str(value) for value in sorted(set(values)))
