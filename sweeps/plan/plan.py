"""A study's runs, composed and named."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from kdlab.config.compose_many import compose_each
from kdlab.errors import BadInput, NotApplicable
from kdlab.run import Run
from kdlab.storage import durable, ledger
from sweeps.journal import run_states
from sweeps.plan.row import Planned, rows
from sweeps.study import launched, tuning
from sweeps.study.cells import Winner, count_open, expand
from sweeps.study.outline import Cell, Outline, outline
from sweeps.study.schema import Study


def plan(
    study: Study, extra: tuple[str, ...] = (), winners: Mapping[str, Winner] | None = None
) -> list[Planned]:
    """Compose every run of a study; those whose options do not go together are left out.

    Args:
        study: as it was loaded.
        extra: overrides of every run.
        winners: of what is tuned, as far as they are frozen.

    Raises:
        BadInput: naming the table, row and key of the first run that is wrong.
    """
    return _plan_outline(outline(study, extra), winners)[0]


def _plan_outline(
    study_outline: Outline, winners: Mapping[str, Winner] | None
) -> tuple[list[Planned], int]:
    """Compose every run of a study that is expanded already, as `plan` does.

    Returns:
        The cells, and how many more wait for their winners.
    """
    cells = list(expand(study_outline, winners))
    runs, not_applicable = _composed(cells)
    if not_applicable:
        # Once more, as what makes no run is no trial either, and arms are counted by their trials.
        cells = list(expand(study_outline, winners, not_applicable))
    planned = [Planned(cell, runs.get(cell.overrides)) for cell in cells]
    used = {cell.excluded for cell in cells}
    waiting = count_open(study_outline, winners, not_applicable)
    # A rule that meets nothing is misspelt, or is about winners that are not chosen yet.
    for rule in study_outline.study.skip:
        if rule.name not in used and not waiting:
            raise BadInput(
                f"skip rule {rule.name!r} leaves no run out: is {rule.when} spelt right?"
            )
    _check_distinct(planned)
    return planned, waiting


def plan_with_winners(
    study_outline: Outline, name: str, root: str
) -> tuple[list[Planned], int, dict[str, Winner]]:
    """Compose a study with the winners of what is tuned, as far as its records decide them.

    Args:
        study_outline: of the study.
        name: of the study, as it is launched.
        root: where records and frozen winners are.

    Returns:
        The cells, how many more wait for their winners, and the winners: those that were frozen
        before, and those that now can be.

    Raises:
        BadInput: as `plan`; or frozen winners are damaged, or of other trials.
    """
    frozen = tuning.read_winners(winners_file(name, root))
    planned, waiting = _plan_outline(study_outline, frozen)
    cells = [(entry.cell, entry.run.uid if entry.run else None) for entry in planned]
    tuning.verify(frozen, cells)
    runs, done = {run.uid: run for run in unique(planned)}, ledger.index(root)

    def score(uid: str) -> float | None:
        trial = ledger.read(root, done[uid]) if uid in done else None
        return tuning.score(trial, runs[uid].task)

    # What is frozen counts more than what the records say now: confirming runs may be at work.
    winners = {**tuning.choose(cells, score), **frozen}
    if winners.keys() != frozen.keys():
        # Once more: each new winner brings the cells that confirm it.
        planned, waiting = _plan_outline(study_outline, winners)
    return planned, waiting, winners


def winners_file(name: str, root: str) -> Path:
    """Where the winners of a study are frozen."""
    return run_states.study_folder(root, name) / launched.WINNERS_FILE


def _check_distinct(planned: Sequence[Planned]) -> None:
    """Refuse two different runs for the same seed of the same cell of a table."""
    uids: dict[tuple[object, ...], str] = {}
    for entry in planned:
        if entry.run:
            cell = entry.cell
            # A winner has the place of a run that was not tuned; each trial has one of its own.
            trial = cell.trial if cell.stage == "tune" else None
            task = entry.run.choices["task"]
            position = (cell.table, cell.row, task, cell.seed, cell.teacher_seed, trial)
            if uids.setdefault(position, entry.run.uid) != entry.run.uid:
                raise BadInput(
                    f"{cell.table}, row {cell.row!r}, task {task}, seed {cell.seed}: two runs; "
                    "give them rows of their own"
                )


def _composed(
    cells: Sequence[Cell],
) -> tuple[dict[tuple[str, ...], Run], dict[tuple[str, ...], str]]:
    """By overrides the runs of all cells that no skip rule leaves out, and why some make no run."""
    included = [cell for cell in cells if not cell.excluded]
    composed = compose_each([cell.overrides for cell in included])
    runs, not_applicable = {}, {}
    for cell in included:
        try:
            run = next(composed)  # they are composed one by one: an error is of this cell
        except BadInput as error:
            raise BadInput(f"{cell.table}, row {cell.row!r}: {error}") from None
        if isinstance(run, NotApplicable):
            not_applicable[cell.overrides] = str(run)
        else:
            runs[cell.overrides] = run
    return runs, not_applicable


def unique(planned: Sequence[Planned]) -> list[Run]:
    """Every run once, in order: two tables may share one."""
    return list({entry.run.uid: entry.run for entry in planned if entry.run}.values())


def write(
    planned: Sequence[Planned], seconds: Mapping[str, float], name: str, study: Study, root: str
) -> Path:
    """Write the table of a plan, `sweeps.plan.row.PlanRow`; return its file."""
    path = run_states.study_folder(root, name) / launched.PLAN_FILE
    frame = pd.DataFrame([vars(row) for row in rows(planned, seconds, name, study)])
    durable.write_whole(path, frame.to_parquet(index=False, write_page_checksum=True))
    return path
