"""A plan in words."""

from collections import Counter
from collections.abc import Sequence

from kdlab import record
from kdlab.errors import BadInput
from sweeps.journal import run_states
from sweeps.launchers.choice import Launcher
from sweeps.plan import estimate, marks, model_sizes
from sweeps.plan.plan import Planned, Work, counts
from sweeps.study.schema import Study

GIGABYTE = 1e9


def report(
    study: Study,
    planned: Sequence[Planned],
    work: Work,
    chosen: Launcher,
    waiting: int,
    root: str,
) -> str:
    """What there is to do, what it takes, what its tables could mark, and what bounds it.

    `waiting` runs have no settings yet, because these are being tuned.
    """
    counted = counts(planned, work)
    lines = [study.question, ", ".join(f"{n} {what}" for what, n in counted.items())]
    left_out = Counter(entry.cell.excluded for entry in planned if entry.cell.excluded)
    for rule in study.skip:
        lines.append(f"{left_out.pop(rule.name, 0)} excluded by {rule.name}: {rule.reason}")
    lines += [f"{n} excluded by {why}" for why, n in left_out.items()]
    lines += _same(planned)
    lines += model_sizes.lines(entry.run for entry in planned if entry.run)
    lines += _tuning(planned)
    lines += marks.lines(study, planned, root, record.index(root))
    if waiting:
        lines.append(f"{waiting} runs wait for their settings to be tuned")
    if any(work.predicted):
        saved, lost = work.predicted
        lines.append(
            f"{saved + lost} recorded runs lack test outputs: {saved} get them from their saved "
            f"models, {lost} are trained again, for theirs were not saved"
        )
    if work.due:
        lines += [_graph(work), _hours(work, chosen), _disk(work, chosen), _limits(chosen)]
    return "\n".join(lines)


def _same(planned: Sequence[Planned]) -> list[str]:
    """Rows of a table that are the same runs throughout."""
    rows: dict[tuple[str, str], set[object]] = {}
    for entry in planned:
        if entry.run:
            cell = entry.cell
            run = (cell.stage, cell.seed, cell.teacher_seed, entry.run.uid)
            rows.setdefault((cell.table, cell.row), set()).add(run)
    names: dict[tuple[str, frozenset[object]], list[str]] = {}
    for (table, row), runs in rows.items():
        names.setdefault((table, frozenset(runs)), []).append(row)
    return [
        f"the same runs in {table}: {', '.join(map(repr, same))}"
        for (table, _), same in names.items()
        if len(same) > 1
    ]


def _tuning(planned: Sequence[Planned]) -> list[str]:
    """How many trials each arm has."""
    trials: dict[str, dict[str, int]] = {}
    reasons = {entry.cell.table: entry.cell.unequal for entry in planned if entry.cell.unequal}
    for entry in planned:
        if entry.cell.stage == "tune":
            trials.setdefault(entry.cell.table, {})[entry.cell.row] = entry.cell.trials
    return [
        f"trials of {table}: {', '.join(f'{row} {n}' for row, n in rows.items())}"
        + (f"; unequal because {reasons[table]}" if table in reasons else "")
        for table, rows in trials.items()
    ]


def _graph(work: Work) -> str:
    levels = [sum(len(c) for task in packed for c in task) for packed in work.levels]
    tasks = sum(len(packed) for packed in work.levels)
    cohorts = sum(len(task) for packed in work.levels for task in packed)
    parents = sum(1 for run in work.due if run.uid in work.parents)
    depth = ", then ".join(str(n) for n in levels)
    return f"graph: {depth} runs, {parents} of them parents; {cohorts} cohorts in {tasks} tasks"


def _hours(work: Work, chosen: Launcher) -> str:
    hours = sum(work.seconds[run.uid] for run in work.due) / 3600
    known, cells = work.measured
    tasks = max(len(packed) for packed in work.levels)
    wall = hours / min(chosen.parallel, tasks)
    return (
        f"about {hours:.2g} hours of work on a GPU (or in a process without one), "
        f"{wall:.2g} if {min(chosen.parallel, tasks)} go at a time; "
        f"{known} of {cells} cells measured, the others by their operations"
    )


def _disk(work: Work, chosen: Launcher) -> str:
    saved = [run for run in work.due if run.uid in work.parents]
    tasks = sum(len(packed) for packed in work.levels)
    found = estimate.disk(work.due, saved, chosen.keys.cohort, tasks)
    return (
        f"about {found['files']} files and {found['bytes'] / GIGABYTE:.2g} GB; "
        f"{found['checkpoints'] / GIGABYTE:.2g} GB of checkpoints for a cohort in training"
    )


def _limits(chosen: Launcher) -> str:
    try:
        return f"limits: {run_states.module(chosen.name).limits()}"
    except (BadInput, RuntimeError) as error:
        return f"limits: unknown ({error})"
