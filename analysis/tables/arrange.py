"""Tables of a study: every cell knows how many runs it has and how many it should have."""

import pandas as pd

from analysis.read.axes import axes
from analysis.read.frame import NO_SEED, reader, scores
from analysis.statistics.cells import COLUMNS, PERCENT, Cell, build, column, sampler
from analysis.statistics.contrasts import Sample
from analysis.statistics.seed_tests import MARGIN
from analysis.tables import (
    arms,
    averages,
    footnotes,
    majority_baseline,
    marks,
    published_rows,
    rerun_commands,
)
from analysis.tables.arms import PLACE, Compared
from analysis.tables.layout import EXCLUDED, GROUP, HEAD, LABEL, Layout, placed
from analysis.tables.model import Cells, Table
from kdlab.record import read_examples


def arranged(
    runs: pd.DataFrame,
    layout: Layout | None = None,
    *,
    split: str = "report",
    margin: float = MARGIN,
    found: Compared | None = None,
) -> list[Table]:
    """Every table of a study, arranged in one way.

    Args:
        runs: as `analysis.load` gives them; some of its rows will do.
        layout: how; by default rows are as the study labels them.
        split: `report`, or `select` for choosing settings; it also shows the trials of `TABLE`
            in a table `TABLE_tune`.
        margin: points within which a difference counts as none.
        found: as of `compared`, where these are some of a study's runs: a contrast of all of them
            is tested once.
    """
    layout = layout or Layout()
    found = found or compared(runs, split=split, margin=margin)
    left = _of_split(runs, split)
    return [
        _table(str(name), part, runs, layout, found, split, margin)
        for name, part in left.groupby("table", sort=False)
        if (part["state"] != EXCLUDED).any()
    ]


def compared(runs: pd.DataFrame, *, split: str = "report", margin: float = MARGIN) -> Compared:
    """Every arm of a study's runs against its control, as `arranged` shows them."""
    frame = _of_split(runs, split)
    return arms.compared(frame[frame["state"] != EXCLUDED], sampler(runs), margin)


def _of_split(runs: pd.DataFrame, split: str) -> pd.DataFrame:
    """Scores of a split, with what was left out; trials in tables of their own, or not at all."""
    frame = _with_tasks(scores(runs))
    frame.attrs = {}  # pandas copies them deeply with every part that is taken
    is_out = frame["state"] == EXCLUDED
    is_shown = ~is_out & frame["split"].str.startswith(split).fillna(False).astype(bool)
    if split == "report":  # an arm without any trial has no winner either: it is n/a
        is_trial = frame["stage"] == "tune"
        is_shown &= ~is_trial
        arm = [frame["table"], frame["row"], frame["task"]]
        is_out &= ~is_trial | is_out.groupby(arm, dropna=False).transform("all")
    else:
        frame = _with_trials(frame)
    return frame[is_shown | is_out]


def _with_tasks(frame: pd.DataFrame) -> pd.DataFrame:
    """With the task of what was left out and names none, where all of its table share it."""
    tasks = frame.groupby("table")["task"]
    only = tasks.transform("first").where(tasks.transform("nunique") == 1)
    return frame.assign(task=frame["task"].where(frame["task"].notna(), only))


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
    name: str,
    frame: pd.DataFrame,
    runs: pd.DataFrame,
    layout: Layout,
    found: Compared,
    split: str,
    margin: float,
) -> Table:
    frame = placed(frame, layout)
    out, shown = frame[frame["state"] == EXCLUDED], frame[frame["state"] != EXCLUDED]
    columns = [str(column) for column in shown[HEAD].unique()]
    cells, paired = _cells(shown, found)
    teachers = list(dict.fromkeys(shown[LABEL][shown["seed"] == NO_SEED]))
    students = [row for row in dict.fromkeys(frame[LABEL]) if row not in teachers]
    constant = _majority(shown, runs)
    average = averages.over(shown, cells, paired, students, margin)
    published = published_rows.beside(layout, shown, split)
    all_cells = {**cells, **constant, **average.cells}
    best = marks.best(all_cells, students, [*columns, *average.columns], published)
    return Table(
        name=name if name.startswith(layout.name) else layout.name,
        question=str(frame["question"].iloc[0]),
        split=split,
        rows=[*teachers, *([majority_baseline.MAJORITY] if constant else []), *students],
        columns=[*columns, *average.columns],
        cells=all_cells,
        legend=footnotes.legend(shown),
        notes=[
            *footnotes.notes(shown),
            *footnotes.excluded(out),
            *footnotes.differing(shown, axes(shown), layout.axes),
            *marks.notes(name, cells, margin),
            *marks.ranks(cells, students, columns),
            *average.notes,
            *published.notes,
            *rerun_commands.notes(shown, runs.attrs["study"], runs.attrs["root"]),
        ],
        layout=layout,
        teachers=teachers,
        inits=_inits(shown),
        inapplicable=_inapplicable(out, shown),
        average=next(iter(average.columns), None),
        published=published,
        best=best,
    )


def _cells(frame: pd.DataFrame, found: Compared) -> tuple[Cells, dict[tuple[str, str], Sample]]:
    """Every cell, and its differences to its control, which may be shown in another column."""
    frame = frame[["table", *COLUMNS, LABEL, HEAD]]
    columns = {key: column(part) for key, part in frame.groupby(PLACE[2:], sort=False)}
    cells, samples = {}, {}
    for (row, head), part in frame.groupby([LABEL, HEAD], sort=False):
        place = tuple(part[PLACE].iloc[0])
        key = (str(row), str(head))
        cells[key] = build(part, columns[place[2:]], found.told.get(place))
        if place in found.samples:
            samples[key] = found.samples[place]
    return cells, samples


def _majority(frame: pd.DataFrame, runs: pd.DataFrame) -> Cells:
    """The row of the baseline that looks at nothing; none where no run is recorded."""
    read, root = reader(runs), runs.attrs["root"]
    found = {}
    for head, part in frame[frame["score"].notna()].groupby(HEAD, sort=False):
        first = part.iloc[0]
        _, labels = read_examples(root, read(first["uid"]), first["split"])
        score = majority_baseline.score(str(first["metric"]), labels)
        if score is not None:
            found[majority_baseline.MAJORITY, str(head)] = Cell(1, 1, PERCENT * score, float("nan"))
    return found


def _inits(frame: pd.DataFrame) -> dict[str, str]:
    """Where each row's students start, if rows differ in it."""
    students = frame[frame["seed"] != NO_SEED]
    found = {
        str(row): " or ".join(dict.fromkeys(part.dropna()))
        for row, part in students.groupby(LABEL, sort=False)["init"]
    }
    return found if len(set(found.values())) > 1 else {}


def _inapplicable(out: pd.DataFrame, shown: pd.DataFrame) -> frozenset[tuple[str, str]]:
    """Cells that were left out: of the task that the overrides name, or of every task."""
    heads = shown[[HEAD, GROUP, "task"]].drop_duplicates()
    found = set()
    for row, group, task in zip(out[LABEL], out[GROUP], out["task"], strict=True):
        here = heads[heads[GROUP] == group]
        here = here[here["task"] == task] if isinstance(task, str) else here
        found |= {(row, str(head)) for head in here[HEAD]}
    return frozenset(found)
