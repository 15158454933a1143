"""Tables of a study: every cell knows how many runs it has and how many it should have."""

from dataclasses import dataclass

import pandas as pd

from analysis import claims
from analysis.cells import Cell, Draws, build, sampler
from analysis.frame import NO_SEED
from analysis.legend import excluded, legend, notes
from analysis.stats import MARGIN
from kdlab.record import Record


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


def tables(
    frame: pd.DataFrame, found: dict[str, Record], root: str, split: str, margin: float = MARGIN
) -> list[Table]:
    """Every table of a study's frame.

    Args:
        frame: as `analysis.frame.load` gives it.
        found: the records.
        root: where the records' outputs are.
        split: `report`, or `select` for choosing settings; it also shows the trials of `TABLE`
            in a table `TABLE_tune`.
        margin: points within which a difference counts as none.
    """
    draws = sampler(found, root)
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
        _table(str(name), part, draws, split, margin)
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


def _table(name: str, frame: pd.DataFrame, draws: Draws, split: str, margin: float) -> Table:
    teachers = set(frame["row"][frame["seed"] == NO_SEED])
    rows = sorted(frame["row"].unique(), key=lambda row: row not in teachers)
    out = frame[frame["state"] == "excluded"]
    frame = frame[frame["state"] != "excluded"]
    frame = frame.assign(column=[column_name(*key) for key in _keys(frame)])
    columns = [str(column) for column in frame["column"].unique()]
    cells = {
        (str(row), str(column)): build(part, frame[frame["column"] == column], draws, margin)
        for (row, column), part in frame.groupby(["row", "column"], sort=False)
    }
    cells = claims.corrected(cells, margin)
    return Table(
        name=name,
        question=str(frame["question"].iloc[0]),
        split=split,
        rows=rows,
        columns=columns,
        cells=cells,
        legend=legend(frame),
        notes=[
            *notes(frame),
            *excluded(out),
            *claims.notes(cells, margin),
            *claims.ranks(cells, [row for row in rows if row not in teachers], columns),
        ],
    )


def _keys(frame: pd.DataFrame) -> list[tuple[str, str, str]]:
    return list(zip(frame["task"], frame["split"], frame["metric"], strict=True))


def column_name(task: str, split: str, metric: str) -> str:
    # report_mismatched is a column of its own; report and select go without saying.
    suffix = split.partition("_")[2]
    return f"{task}{'-' + suffix if suffix else ''} {metric}"
