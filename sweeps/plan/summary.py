"""A plan in words: what `python -m sweeps plan` prints."""

from collections import Counter
from collections.abc import Sequence
from textwrap import shorten

from kdlab.errors import BadInput
from kdlab.storage import ledger
from kdlab.storage.teacher_files import stored_bytes
from sweeps.launchers.choice import Launcher
from sweeps.plan import estimate, marks, model_sizes, numbers
from sweeps.plan.memory import GIGABYTE, SHARE, named
from sweeps.plan.row import Planned
from sweeps.plan.survey import Work, counts
from sweeps.study.schema import Study


def report(
    study: Study,
    planned: Sequence[Planned],
    work: Work,
    launcher: Launcher,
    waiting: int,
    root: str,
) -> str:
    """What there is to do, what it takes, what its tables could mark, and what bounds it.

    Args:
        study: the study.
        planned: its cells.
        work: what of it is to be done.
        launcher: that would submit it.
        waiting: how many runs have no settings yet, because these are being tuned.
        root: where records are.
    """
    by_kind = counts(planned, work)
    lines = [study.question, ", ".join(f"{n} {kind}" for kind, n in by_kind.items())]
    left_out = Counter(entry.cell.excluded for entry in planned if entry.cell.excluded)
    for rule in study.skip:
        lines.append(f"{left_out.pop(rule.name, 0)} excluded by {rule.name}: {rule.reason}")
    # The others are cells whose options do not go together: `excluded` has the error's text.
    lines += [f"{n} excluded by {why}" for why, n in left_out.items()]
    lines += _equal_rows(planned)
    lines += model_sizes.lines(entry.run for entry in planned if entry.run)
    lines += _trials(planned)
    marked = marks.of_tables(study, planned, root, ledger.index(root))
    lines += map(marks.text, marked)
    if waiting:
        lines.append(_waiting(waiting, work))
    if any(work.predicted):
        saved, lost = work.predicted
        lines.append(
            f"{saved + lost} recorded runs lack test outputs: {saved} get them from their saved "
            f"models, {lost} are trained again, for theirs were not saved"
        )
    if uncounted := estimate.uncounted(entry.run for entry in planned if entry.run):
        rows = f"rows of {', '.join(uncounted)}"
        lines.append(f"{rows} are GLUE's published counts: the data is not on this machine")
    if work.due:
        lines += [_graph(work), _hours(work, launcher), *_asking(work, root)]
        lines += [*_memory(work, launcher), _disk(work, launcher), _limits(launcher)]
    return "\n".join(lines)


def _equal_rows(planned: Sequence[Planned]) -> list[str]:
    """A line for each set of rows of a table that are the same runs: one of them is enough."""
    rows: dict[tuple[str, str], set[object]] = {}
    for entry in planned:
        if entry.run:
            cell = entry.cell
            run = (cell.stage, cell.seed, cell.teacher_seed, entry.run.uid)
            rows.setdefault((cell.table, cell.row), set()).add(run)
    # Sets, as the order in which rows have their seeds says nothing.
    names: dict[tuple[str, frozenset[object]], list[str]] = {}
    for (table, row), runs in rows.items():
        names.setdefault((table, frozenset(runs)), []).append(row)
    return [
        f"the same runs in {table}: {', '.join(map(repr, equal))}"
        for (table, _), equal in names.items()
        if len(equal) > 1
    ]


def _trials(planned: Sequence[Planned]) -> list[str]:
    """A line for each tuned table: how many trials each arm has."""
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


def _waiting(waiting: int, work: Work) -> str:
    """Runs whose settings are not chosen yet, so that only the trials tell what they take."""
    line = f"{waiting} runs wait for their settings to be tuned"
    if not work.due:
        return line
    each = sum(work.seconds[run.uid] for run in work.due) / len(work.due)
    return (
        f"{line}: about {_rounded(waiting * each / 3600)} hours more if they are like those to run"
    )


def _graph(work: Work) -> str:
    """How many runs each level has, parents before children, and into what they are divided."""
    runs = [sum(len(cohort) for task in tasks for cohort in task) for tasks in work.levels]
    cohorts = sum(len(task) for tasks in work.levels for task in tasks)
    parents = sum(1 for run in work.due if run.uid in work.parents)
    by_level = ", then ".join(map(str, runs))
    number = sum(map(len, work.levels))
    return f"graph: {by_level} runs, {parents} of them parents; {cohorts} cohorts in {number} tasks"


def _hours(work: Work, launcher: Launcher) -> str:
    hours = numbers.hours(work, launcher)
    return (
        f"about {_rounded(hours.work)} hours of work on a GPU (or in a process without one), "
        f"{_rounded(hours.wall_clock)} if {hours.at_a_time} go at a time; "
        f"{hours.measured_cells} of {hours.cells} cells measured, the others by their operations"
    )


def _rounded(number: float) -> str:
    """Two digits, or all of them before the point: 0.12, 3.4, 290."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _asking(work: Work, root: str) -> list[str]:
    """What teachers are asked once for all runs, what that saves, and what it takes on disk."""
    asking = work.asking
    if not asking.flops_in_steps:
        return []
    once, in_steps = (x / work.speed / 3600 for x in (asking.flops, asking.flops_in_steps))
    return [
        f"teacher outputs: {asking.teachers} sets of rows are asked of once, {_rounded(once)} of "
        f"these hours; in every step of every cohort it would be {_rounded(in_steps)}. They take "
        f"{asking.bytes / GIGABYTE:.2g} GB, {stored_bytes(root) / GIGABYTE:.2g} GB are there "
        f"(teacher_outputs_gb bounds them)"
    ]


def _memory(work: Work, launcher: Launcher) -> list[str]:
    """What the cohort that takes most memory takes."""
    most = numbers.memory(work, launcher)
    if most is None:
        return []
    runs = f"{len(most.cohort)} run{'s' if len(most.cohort) > 1 else ''}"
    peaks = [
        f"{peak / GIGABYTE:.2g} GB {where}"
        for peak, where in ((most.bytes_on_gpu, "of a GPU"), (most.bytes_on_cpu, "on a CPU"))
        if peak is not None
    ]
    room = launcher.keys.device_memory_gb
    of_room = (
        f"; launcher.device_memory_gb={room:g}, of which plans fill {SHARE:.0%}" if room else ""
    )
    largest = f"memory: the largest cohort ({runs}, {named(most.cohort[0])})"
    return [f"{largest} takes about {' or '.join(peaks)}{of_room}"]


def _disk(work: Work, launcher: Launcher) -> str:
    on_disk = numbers.files(work, launcher)
    return (
        f"about {on_disk.files} files and {on_disk.bytes / GIGABYTE:.2g} GB; "
        f"{on_disk.checkpoint_bytes / GIGABYTE:.2g} GB of checkpoints for a cohort in training"
    )


def _limits(launcher: Launcher) -> str:
    # A plan is also made where there is no SLURM, on a laptop: it says so, and is no error.
    try:
        return f"limits: {launcher.file.limits()}"
    except (BadInput, RuntimeError) as error:
        return f"limits: unknown ({shorten(str(error), 100, placeholder=' ...')})"
