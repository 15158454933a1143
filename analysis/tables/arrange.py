"""Tables of a study: every cell knows how many runs it has and how many it should have."""

from collections.abc import Mapping, Sequence
from itertools import chain

import pandas as pd

from analysis.read.axes import axes
from analysis.read.frame import NO_SEED, PERCENT, reader, scores
from analysis.statistics import legacy
from analysis.statistics.cells import Cell, CellRun, build, cell_runs, columns
from analysis.statistics.contrasts import Sample
from analysis.statistics.draws import sampler
from analysis.statistics.seed_tests import MARGIN
from analysis.tables import averages, footnotes, marks, published_rows, rerun_commands
from analysis.tables.arms import ControlContrasts, against_controls
from analysis.tables.layout import EXCLUDED, GROUP, HEAD, LABEL, check, placed
from analysis.tables.majority_baseline import MAJORITY
from analysis.tables.majority_baseline import score as majority_score
from analysis.tables.model import Cells, Table
from kdlab.storage.example_outputs import read_examples
from sweeps.study.layouts import Layout


def arranged(
    runs: pd.DataFrame,
    layout: Layout | None = None,
    *,
    split: str = "report",
    margin: float = MARGIN,
    contrasts: ControlContrasts | None = None,
) -> list[Table]:
    """Every table of a study, arranged in one way.

    Args:
        runs: as `analysis.load` gives them, all rows or some.
        layout: how; by default rows are as the study labels them.
        split: `report`, or `select` for choosing settings; that also shows the trials of a table
            `TABLE` in a table `TABLE_tune`.
        margin: points within which a difference counts as none.
        contrasts: as of `control_contrasts`, where `runs` are only some of a study's: what is
            tested among all of them is not tested again among some.

    Raises:
        BadInput: the layout names what is no column of the frame, or numbers that nobody published.
    """
    layout = layout or Layout()
    check(layout, runs)
    # Of all runs, so that a family has all that the study compares, whatever is shown of it.
    contrasts = contrasts or control_contrasts(runs, split=split, margin=margin)
    if "model" in layout.rows:
        runs = _with_model(runs)
    if layout.about:
        has_one = runs[layout.about].notna() & (runs[layout.about] != "none")
        is_beside = (runs["knowledge"] == "none") | (runs["seed"] == NO_SEED)
        runs = runs[has_one | is_beside]
    return [
        _table(str(name), of_table, runs, layout, contrasts, split, margin)
        for name, of_table in _of_split(runs, split).groupby("table", sort=False)
        if (of_table["state"] != EXCLUDED).any()
    ]


def control_contrasts(
    runs: pd.DataFrame, *, split: str = "report", margin: float = MARGIN
) -> ControlContrasts:
    """Every arm of a study's runs against its control, as `arranged` shows them."""
    frame = _of_split(runs, split)
    return against_controls(frame[frame["state"] != EXCLUDED], sampler(runs), margin)


def _with_model(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs with a column `model`, layers by width, which sizes and shapes come to: `6x768`."""
    text = runs["layers"].map("{:.0f}".format) + "x" + runs["hidden"].map("{:.0f}".format)
    return runs.assign(model=text.where(runs["layers"].notna()))  # else it is the text `nanxnan`


def _of_split(runs: pd.DataFrame, split: str) -> pd.DataFrame:
    """Scores of a split, with what was left out; trials in tables of their own, or not at all."""
    frame = _with_tasks(scores(runs))
    frame.attrs = {}  # pandas copies them deeply with every part that is taken
    is_out = frame["state"] == EXCLUDED
    # `report` is also the beginning of MNLI's `report_mismatched`; what was left out has no split.
    is_scored = ~is_out & frame["split"].fillna("").str.startswith(split)
    if split == "report":
        is_trial = frame["stage"] == "tune"
        is_scored &= ~is_trial
        # Where every trial of an arm was left out it has no winner either, and its cell is n/a; a
        # single trial that was left out is of no concern to the report.
        arm = [frame["table"], frame["row"], frame["task"]]
        is_out &= ~is_trial | is_out.groupby(arm, dropna=False).transform("all")
    else:
        frame = _with_trials(frame)
    return frame[is_scored | is_out]


def _with_tasks(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the task of what was left out and names none, where its table has one only."""
    tasks = frame.groupby("table")["task"]
    only_task = tasks.transform("first").where(tasks.transform("nunique") == 1)
    return frame.assign(task=frame["task"].where(frame["task"].notna(), only_task))


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
    contrasts: ControlContrasts,
    split: str,
    margin: float,
) -> Table:
    """One table of the study.

    Args:
        name: as the study calls it.
        frame: its scores, as `_of_split` gives them.
        runs: of the whole study.
        layout, contrasts, split, margin: as of `arranged`.
    """
    frame = placed(frame, layout)
    is_out = frame["state"] == EXCLUDED
    left_out, planned = frame[is_out], frame[~is_out]
    columns = [str(column) for column in planned[HEAD].unique()]  # in the study's order
    arms = _arms(planned)
    cells, samples = _cells(arms, contrasts)
    teachers = list(dict.fromkeys(planned[LABEL][planned["seed"] == NO_SEED]))
    students = [row for row in dict.fromkeys(frame[LABEL]) if row not in teachers]
    constant = _majority(planned, runs)
    # Averages and marks are of students only: teachers and the majority are there to compare with.
    averaged, over_tasks, of_averages, average_notes = averages.over(
        planned, arms, cells, samples, students
    )
    published = published_rows.beside(layout, planned, split)
    all_cells = {**cells, **constant, **over_tasks}
    best = marks.best(all_cells, students, [*columns, *averaged], published)
    return Table(
        name=_called(name, layout),
        question=str(frame["question"].iloc[0]),
        split=split,
        rows=[*teachers, *([MAJORITY] if constant else []), *students],
        columns=[*columns, *averaged],
        cells=all_cells,
        runs=arms,
        samples={**samples, **of_averages},
        legend=footnotes.legend(planned),
        notes=[
            *_of_rows(planned, left_out, layout),
            *marks.notes(name, cells, margin),
            *marks.ranks(cells, students, columns),
            *average_notes,
            *(legacy.notes(runs, name) if split == "report" else []),
            *published.notes,
            *rerun_commands.notes(planned, runs.attrs["study"], runs.attrs["root"]),
        ],
        layout=layout,
        teachers=teachers,
        inits=_inits(planned),
        inapplicable=_inapplicable(left_out, planned),
        average=next(iter(averaged), None),
        published=published,
        best=best,
    )


def _called(name: str, layout: Layout) -> str:
    """The layout's name in the place of the study's, unless that begins with it, or it has none."""
    return name if name.startswith(layout.name) else layout.name


def _of_rows(planned: pd.DataFrame, left_out: pd.DataFrame, layout: Layout) -> list[str]:
    """The notes on what the rows are, before those on what their tests say."""
    return [
        *footnotes.notes(planned),
        *footnotes.excluded(left_out),
        *footnotes.differing(planned, axes(planned), layout.axes),
    ]


def _arms(frame: pd.DataFrame) -> dict[tuple[str, str], list[CellRun]]:
    """The runs of every cell, by row and column as the layout has them."""
    arms: dict[tuple[str, str], list[CellRun]] = {}
    runs = cell_runs(frame)
    for row, head, run in zip(frame[LABEL].tolist(), frame[HEAD].tolist(), runs, strict=True):
        arms.setdefault((row, head), []).append(run)
    return arms


def _cells(
    arms: Mapping[tuple[str, str], Sequence[CellRun]], contrasts: ControlContrasts
) -> tuple[Cells, dict[tuple[str, str], Sample]]:
    """Every cell by row and column, and its paired differences.

    Contrasts are of rows and columns as the study has them: the control of a cell may stand in
    another column of the layout.
    """
    by_column = columns(chain.from_iterable(arms.values()))
    cells, samples = {}, {}
    for shown_cell, arm in arms.items():
        study_cell = arm[0].cell
        cells[shown_cell] = build(arm, by_column[arm[0].column], contrasts.judged.get(study_cell))
        if study_cell in contrasts.samples:
            samples[shown_cell] = contrasts.samples[study_cell]
    return cells, samples


def _majority(frame: pd.DataFrame, runs: pd.DataFrame) -> Cells:
    """The cells of the majority baseline; none where no run is recorded."""
    read, root = reader(runs), runs.attrs["root"]
    cells = {}
    for head, scored in frame[frame["score"].notna()].groupby(HEAD, sort=False):
        first = scored.iloc[0]  # all runs of a column have the same labels
        _, labels = read_examples(root, read(first["uid"]), first["split"])
        score = majority_score(str(first["metric"]), labels)
        if score is not None:
            cells[MAJORITY, str(head)] = Cell(1, 1, PERCENT * score, float("nan"))
    return cells


def _inits(frame: pd.DataFrame) -> dict[str, str]:
    """The initialization of each row's students, if rows differ in it."""
    students = frame[frame["seed"] != NO_SEED]
    inits = {
        str(row): " or ".join(dict.fromkeys(of_row.dropna()))
        for row, of_row in students.groupby(LABEL, sort=False)["init"]
    }
    return inits if len(set(inits.values())) > 1 else {}


def _inapplicable(left_out: pd.DataFrame, planned: pd.DataFrame) -> frozenset[tuple[str, str]]:
    """Cells that were left out: of the task that the overrides name, or of every task."""
    heads = planned[[HEAD, GROUP, "task"]].drop_duplicates()
    cells = set()
    for row, group, task in zip(left_out[LABEL], left_out[GROUP], left_out["task"], strict=True):
        in_group = heads[heads[GROUP] == group]
        # A rule may leave an arm out before its task is known: then it is out of all of them.
        of_task = in_group[in_group["task"] == task] if isinstance(task, str) else in_group
        cells |= {(row, str(head)) for head in of_task[HEAD]}
    return frozenset(cells)
