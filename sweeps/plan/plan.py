"""A study's runs, composed and named, what is left to do, and what that takes. Writes nothing."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from kdlab import record
from kdlab.config.compose_many import compose_each
from kdlab.config.run_keys import applied, keys, varying
from kdlab.errors import BadInput, NotApplicable
from kdlab.options.memo import files_unchanged
from kdlab.options.schema import LauncherKeys
from kdlab.run import Run, parents, teachers
from sweeps.journal import events, failures, run_states
from sweeps.journal.run_states import DONE, WAITING
from sweeps.plan import cohorts, estimate, packing
from sweeps.plan import levels as graph
from sweeps.study.cells import Cell, Winner, count_open, expand
from sweeps.study.schema import Study


@dataclass(frozen=True)
class Planned:
    """One cell and its run; no run where the cell is left out."""

    cell: Cell
    run: Run | None


@dataclass(frozen=True)
class Work:
    """What is to be done.

    Attributes:
        states: every run of the study by uid.
        due: runs to submit, in order of priority.
        parents: of those, and of what they build on, the runs whose models others need.
        beyond: runs that the budget leaves out.
        levels: due runs as cohorts and shards, by depth in the graph.
        seconds: what each due run takes.
        measured: how many cells the estimate knows from records, of how many.
        predicted: how many due runs are done but for test outputs: with a saved model, without.
    """

    states: Mapping[str, str]
    due: list[Run]
    parents: set[str]
    beyond: list[Run]
    levels: list[list[list[Sequence[Run]]]]
    seconds: Mapping[str, float]
    measured: tuple[int, int]
    predicted: tuple[int, int]


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
    cells = list(expand(study, extra, winners))
    runs = _composed(cells)
    barred = {x: str(found) for x, found in runs.items() if isinstance(found, NotApplicable)}
    if barred:
        cells = list(expand(study, extra, winners, barred))
    planned = [Planned(cell, _run(runs.get(cell.overrides))) for cell in cells]
    used = {cell.excluded for cell in cells}
    waiting = count_open(study, extra, winners, barred)
    for rule in study.skip:
        if rule.name not in used and not waiting:
            raise BadInput(
                f"skip rule {rule.name!r} leaves no run out: is {rule.when} spelt right?"
            )
    _check_places(planned)
    return planned


def _check_places(planned: Sequence[Planned]) -> None:
    """Two different runs must not stand for the same seed of the same cell."""
    seen: dict[tuple[object, ...], str] = {}
    for entry in planned:
        if entry.run:
            cell = entry.cell
            # Winners stand beside what was not tuned; every trial stands by itself.
            trial = cell.trial if cell.stage == "tune" else None
            task = entry.run.choices["task"]
            place = (cell.table, cell.row, task, cell.seed, cell.teacher_seed, trial)
            if seen.setdefault(place, entry.run.uid) != entry.run.uid:
                raise BadInput(
                    f"{cell.table}, row {cell.row!r}, task {task}, seed {cell.seed}: two runs; "
                    "give them rows of their own"
                )


def _composed(cells: Sequence[Cell]) -> dict[tuple[str, ...], Run | NotApplicable]:
    """By overrides the run of every cell that no skip rule leaves out."""
    kept = [cell for cell in cells if not cell.excluded]
    runs = compose_each([cell.overrides for cell in kept])
    found = {}
    for cell in kept:
        try:
            found[cell.overrides] = next(runs)
        except BadInput as error:
            raise BadInput(f"{cell.table}, row {cell.row!r}: {error}") from None
    return found


def _run(found: Run | NotApplicable | None) -> Run | None:
    return found if isinstance(found, Run) else None


def barred(planned: Sequence[Planned]) -> dict[tuple[str, ...], str]:
    """The overrides of cells that are left out, and why, as `expand` and `count_open` take them."""
    return {e.cell.overrides: e.cell.excluded for e in planned if e.cell.excluded}


def unique(planned: Sequence[Planned]) -> list[Run]:
    """Every run once, in order: two tables may share one."""
    return list({entry.run.uid: entry.run for entry in planned if entry.run}.values())


def survey(
    runs: Sequence[Run],
    root: str,
    launcher: LauncherKeys,
    parallel: int,
    *,
    hours: float | None = None,
    paid: Mapping[str, float] | None = None,
    again: Iterable[str] = (),
    unpredicted: Collection[str] = (),
    ask: bool = False,
) -> Work:
    """What is to be done of a study's runs.

    Args:
        runs: in order of priority.
        root: where records and events are.
        launcher: how large cohorts and shards may be.
        parallel: how many shards work at a time.
        hours: of work, at most: what comes first in order is done first.
        paid: seconds by uid of what was submitted on this budget before; it costs nothing more.
        again: uids to repeat although they are recorded.
        unpredicted: uids that are recorded without the test outputs that are asked for.
        ask: ask the schedulers what they still have; else all that was submitted counts as lost.
    """
    done, state = record.index(root), events.fold(root)
    family = graph.with_ancestors(runs)
    links = {uid: [parent.uid for parent in parents(run)] for uid, run in family.items()}
    live = run_states.live(root, state) if ask else {}
    whole = {uid: entry for uid, entry in done.items() if uid not in unpredicted}
    states = run_states.states(links, whole, state, live)
    again = set(again) & set(family)
    saved = {uid for uid in unpredicted if (Path(root) / "models" / uid).is_dir()} - again
    seconds = estimate.seconds(list(family.values()), done, launcher.gflops)
    seconds |= dict.fromkeys(saved, estimate.START)  # no training
    own = {run.uid for run in runs}
    wanted = [*runs, *(family[uid] for uid in again if uid not in own)]
    needs = partial(_needed, states=states, root=root, saved=saved)
    due, beyond = _due(wanted, states, needs, again, seconds, hours, paid or {})
    needed = {parent for uid in graph.with_ancestors(due) for parent in links[uid]}
    alone = {uid for uid, trouble in state.trouble.items() if failures.must_be_alone(trouble)}
    total = sum(seconds[run.uid] for run in due)
    limit = min(60 * launcher.minutes, max(total / parallel, SHORTEST))
    with files_unchanged({}):  # or every run's data would be looked at again
        grouped = [cohorts.group(level, launcher.cohort, alone) for level in graph.levels(due)]
    return Work(
        states={run.uid: states[run.uid] for run in runs},
        due=due,
        parents=needed,
        beyond=beyond,
        levels=[packing.pack(level, seconds, limit) for level in grouped],
        seconds=seconds,
        measured=estimate.measured_cells(runs, done),
        predicted=(
            sum(1 for run in due if run.uid in saved),
            sum(1 for run in due if run.uid in unpredicted and run.uid not in saved),
        ),
    )


SHORTEST = 60.0  # seconds of work that are worth a process of its own


def _due(
    runs: Sequence[Run],
    states: Mapping[str, str],
    needs: Callable[[Run], list[Run]],
    again: set[str],
    seconds: Mapping[str, float],
    hours: float | None,
    paid: Mapping[str, float],
) -> tuple[list[Run], list[Run]]:
    """Runs to do with the parents that they miss, and those that the budget leaves out."""
    due: dict[str, Run] = {}
    beyond, spent = [], sum(paid.values())
    for run in runs:
        if states[run.uid] != WAITING and run.uid not in again:
            continue
        new = {each.uid: each for each in needs(run) if each.uid not in due}
        cost = sum(seconds[uid] for uid in new if uid not in paid)
        if hours is not None and cost and spent + cost > 3600 * hours:
            beyond.append(run)
            continue
        spent += cost
        due |= new
    return list(due.values()), beyond


def _needed(run: Run, *, states: Mapping[str, str], root: str, saved: Collection[str]) -> list[Run]:
    """A run after the ancestors that must be trained for it, each before its children."""
    needs = partial(_needed, states=states, root=root, saved=saved)
    before = [] if run.uid in saved else parents(run)
    missing = [parent for parent in before if _is_missing(parent, states, root)]
    return [*(each for parent in missing for each in needs(parent)), run]


def _is_missing(parent: Run, states: Mapping[str, str], root: str) -> bool:
    state = states[parent.uid]
    if state == DONE:
        return not (Path(root) / "models" / parent.uid).is_dir()
    return state == WAITING


def counts(planned: Sequence[Planned], work: Work) -> dict[str, int]:
    """Raw, excluded, duplicate, and how many runs are in each state."""
    excluded = sum(1 for entry in planned if entry.run is None)
    found = Counter(work.states.values())
    known = {state: found[state] for state in run_states.STATES}
    shown = {s: n for s, n in known.items() if n or s in (DONE, WAITING)}
    if work.beyond:
        shown[WAITING] -= len(work.beyond)
        shown["beyond the budget"] = len(work.beyond)
    return {
        "raw": len(planned),
        "excluded": excluded,
        "duplicate": len(planned) - excluded - len(work.states),
        **shown,
    }


def write(
    planned: Sequence[Planned], seconds: Mapping[str, float], name: str, study: Study, root: str
) -> Path:
    """Write the plan's table, all that `analysis` needs to know of a study."""
    reasons = {rule.name: f"{rule.name}: {rule.reason}" for rule in study.skip}
    layouts = {block.table: block.layout for block in study.blocks if block.layout}
    differing = _differing(unique(planned))
    rows = [
        {
            "study": name,
            "question": study.question,
            "table": entry.cell.table,
            "layout": layouts.get(entry.cell.table),
            "case": entry.cell.case,
            "row": entry.cell.row,
            "control": entry.cell.control,
            "stage": entry.cell.stage,
            "trial": entry.cell.trial,
            "trials": entry.cell.trials,
            "unequal": entry.cell.unequal,
            "seed": entry.cell.seed,
            "teacher_seed": entry.cell.teacher_seed,
            "excluded": reasons.get(entry.cell.excluded, entry.cell.excluded),
            "overrides": json.dumps(entry.cell.overrides),
            "uid": entry.run.uid if entry.run else None,
            **_lineage(entry.run),
            "task": entry.run.choices["task"] if entry.run else None,
            "choices": json.dumps(applied(entry.run)) if entry.run else None,
            "keys": differing[entry.run.uid] if entry.run else None,
            "student": json.dumps(asdict(entry.run.student)) if entry.run else None,
            "metrics": json.dumps(entry.run.task.metrics if entry.run else []),
            "select_by": json.dumps(entry.run.task.select_by if entry.run else []),
            "rule": entry.cell.rule,
            "reports": json.dumps(list(entry.run.task.report) if entry.run else []),
            "seconds": seconds.get(entry.run.uid) if entry.run else None,
            "select_on": entry.run.protocol.select_on if entry.run else None,
        }
        for entry in planned
    ]
    path = run_states.study_folder(root, name) / "plan.parquet"
    table = pd.DataFrame(rows).to_parquet(index=False, write_page_checksum=True)
    record.write_whole(path, table)
    return path


def _differing(runs: Sequence[Run]) -> dict[str, str]:
    """By uid, as JSON, the keys in which runs of one task differ."""
    # Twice, as 100,000 pages at a time would take much memory.
    kept = varying((run.choices["task"], keys(run)) for run in runs)
    return {
        run.uid: json.dumps({key: value for key, value in keys(run).items() if key in kept})
        for run in runs
    }


def _lineage(run: Run | None) -> dict[str, str | None]:
    """A run's teachers and parents as JSON, and each ancestor with its own parents."""
    if run is None:
        return {"teachers": None, "parents": None, "ancestors": None}
    first = parents(run)
    links = {uid: [p.uid for p in parents(a)] for uid, a in graph.with_ancestors(first).items()}
    return {
        "teachers": json.dumps([teacher.uid for teacher in teachers(run)]),
        "parents": json.dumps([parent.uid for parent in first]),
        "ancestors": json.dumps(links),
    }
