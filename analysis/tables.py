"""Tables of a study: every cell knows how many runs it has and how many it should have."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn import config_context

from analysis.frame import NO_SEED
from analysis.legend import excluded, legend, notes
from analysis.stats import Pair, interval, spread
from kdlab import metrics
from kdlab.record import Record, read_examples, read_outputs

PERCENT = 100.0
SEEDS = ["seed", "teacher_seed"]


@dataclass(frozen=True)
class Cell:
    """Mean, spread over seeds and paired difference to the control, in points (0 to 100).

    `low` and `high` bound the difference; NaN where there is none. Of the model: parameters of its
    layers (`transformer`) and all, FLOPs of one row of 128 tokens; NaN where no record says them.
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
    transformer: float = float("nan")
    parameters: float = float("nan")
    flops: float = float("nan")


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
        split: `report`, or `select` for choosing settings; it also shows the trials of `TABLE`
            in a table `TABLE_tune`.
    """
    is_out = frame["state"] == "excluded"
    is_shown = ~is_out & frame["split"].str.startswith(split).fillna(False).astype(bool)
    if split == "report":  # an arm without any trial has no winner either: it is n/a
        is_trial = frame["stage"] == "tune"
        is_shown &= ~is_trial
        is_out &= ~is_trial | is_out.groupby([frame["table"], frame["row"]]).transform("all")
    else:
        frame = _with_trials(frame)
    left = frame[is_shown | is_out]
    return [
        _table(str(name), part, found, root, split)
        for name, part in left.groupby("table", sort=False)
        if (part["state"] != "excluded").any()
    ]


def _with_trials(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials in a table of their own, a row each, compared with nothing: they are for choosing."""
    is_trial = frame["stage"] == "tune"
    is_student = is_trial & (frame["seed"] != NO_SEED)
    rows = (frame["row"] + ", " + frame["trial"]).where(is_student, frame["row"])
    return frame.assign(
        table=(frame["table"] + "_tune").where(is_trial, frame["table"]),
        row=rows,
        control=rows.where(is_trial, frame["control"]),
    )


def _table(
    name: str, frame: pd.DataFrame, found: dict[str, Record], root: str, split: str
) -> Table:
    teachers = set(frame["row"][frame["seed"] == NO_SEED])
    rows = sorted(frame["row"].unique(), key=lambda row: row not in teachers)
    out = frame[frame["state"] == "excluded"]
    frame = frame[frame["state"] != "excluded"]
    frame = frame.assign(column=[_column(*key) for key in _keys(frame)])
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
        legend=legend(frame),
        notes=[*notes(frame), *excluded(out)],
    )


def _keys(frame: pd.DataFrame) -> list[tuple[str, str, str]]:
    return list(zip(frame["task"], frame["split"], frame["metric"], strict=True))


def _column(task: str, split: str, metric: str) -> str:
    # report_mismatched is a column of its own; report and select go without saying.
    suffix = split.partition("_")[2]
    return f"{task}{'-' + suffix if suffix else ''} {metric}"


def _cell(part: pd.DataFrame, control: pd.DataFrame, found: dict[str, Record], root: str) -> Cell:
    runs = part.drop_duplicates("uid")  # a run may stand for several seeds of teachers
    done = runs[runs["score"].notna()]
    scores = [PERCENT * score for score in done["score"]]
    cell = Cell(
        n=len(done),
        expected=len(runs),
        mean=float(np.mean(scores)) if scores else float("nan"),
        spread=spread(scores),
        diverged=int((runs["state"] == "diverged").sum()),
        degenerate=int(done["degenerate"].sum()),
        **{key: float(runs[key].max()) for key in ("transformer", "parameters", "flops")},
    )
    both = _scored(part).merge(_scored(control), on=SEEDS, suffixes=("", "_control"))
    if both.empty or part["row"].iloc[0] == part["control"].iloc[0]:
        return cell
    low, high = _interval(both, found, root)
    difference = float((both["score"] - both["score_control"]).mean())
    return Cell(**{**cell.__dict__, "difference": PERCENT * difference, "low": low, "high": high})


def _scored(part: pd.DataFrame) -> pd.DataFrame:
    """A row's or control's scores, once for each pair of seeds."""
    return part[part["score"].notna()].drop_duplicates(SEEDS)


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
