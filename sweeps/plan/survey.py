"""What of a study is left to do, and what that takes. Writes nothing."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from kdlab.models import saved_files
from kdlab.options.memo import files_unchanged
from kdlab.run import Run, parents
from kdlab.storage import ledger
from sweeps.journal import events, failures, run_states
from sweeps.journal.run_states import DONE, WAITING
from sweeps.launchers import contract
from sweeps.launchers.choice import Launcher
from sweeps.plan import cohorts, estimate, memory, packing, teachers
from sweeps.plan.levels import levels, with_ancestors
from sweeps.plan.row import Planned

SHORTEST_TASK = 60.0  # seconds of work that are worth a process of its own


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What is asked for beyond the runs that have no record.

    Attributes:
        hours: of work at most; None: all. What comes first in the plan is done first.
        paid: seconds by uid of what was submitted on this budget before; it costs nothing more.
        again: uids to repeat although they are recorded.
        unpredicted: uids that are recorded without the test outputs that are asked for.
        ask: ask the schedulers what they still have; else all that was submitted counts as lost.
    """

    hours: float | None = None
    paid: Mapping[str, float] = field(default_factory=dict)
    again: Collection[str] = ()
    unpredicted: Collection[str] = ()
    ask: bool = False


@dataclass(frozen=True)
class Work:
    """What is to be done.

    Attributes:
        states: every run of the study by uid.
        due: runs to submit, in order of priority.
        parents: uids of those runs, and of their ancestors, whose models others need.
        beyond: runs that the budget leaves out.
        levels: the due runs by depth; each level has tasks, a task cohorts, a cohort runs.
        seconds: what each due run takes.
        speed: operations a second.
        asking: what the teachers are asked before.
        measured: how many cells the estimate knows from records, of how many.
        predicted: how many due runs are done but for test outputs: with a saved model, without.
    """

    states: Mapping[str, str]
    due: list[Run]
    parents: set[str]
    beyond: list[Run]
    levels: list[list[list[Sequence[Run]]]]
    seconds: Mapping[str, float]
    speed: float
    asking: teachers.Asking
    measured: tuple[int, int]
    predicted: tuple[int, int]


NOTHING_MORE = Demand()


def survey(
    runs: Sequence[Run], root: str, launcher: Launcher, demand: Demand = NOTHING_MORE
) -> Work:
    """What is to be done of a study's runs, and how it is divided into cohorts and tasks.

    Args:
        runs: in order of priority.
        root: where records and events are.
        launcher: how large cohorts and tasks may be, and how many tasks work at a time.
        demand: a budget, and what to do beyond the runs that have no record.

    Raises:
        BadInput: a run does not fit the memory of the launcher's device.
        RuntimeError: a scheduler that is asked does not answer.
    """
    done, history = ledger.index(root), events.fold(root)
    family = with_ancestors(runs)
    links = {uid: [parent.uid for parent in parents(run)] for uid, run in family.items()}
    live = contract.live(root, history) if demand.ask else {}
    # A record without the test outputs that are asked for counts as none.
    complete = {uid: entry for uid, entry in done.items() if uid not in demand.unpredicted}
    states = run_states.states(links, complete, history, live)
    again = set(demand.again) & set(family)
    saved = {uid for uid in demand.unpredicted if _has_model_folder(root, uid)} - again
    keys = launcher.keys
    seconds, speed = estimate.seconds(list(family.values()), done, keys.gflops, keys.cohort)
    seconds |= dict.fromkeys(saved, estimate.START)  # a saved model predicts without training
    of_study = {run.uid for run in runs}
    # `rerun` may name a teacher, which is no cell of the study.
    candidates = [*runs, *(family[uid] for uid in again if uid not in of_study)]
    needs = _with_missing_parents(family, states, root, saved)
    due, beyond = _due(candidates, states, needs, seconds, demand)
    alone = {uid for uid, trouble in history.trouble.items() if failures.must_be_alone(trouble)}
    unsaved = set(demand.unpredicted) - saved
    tasks = _tasks(due, launcher, seconds, alone)
    with_model, without_model = (sum(run.uid in uids for run in due) for uids in (saved, unsaved))
    return Work(
        states={run.uid: states[run.uid] for run in runs},
        due=due,
        parents={parent for uid in with_ancestors(due) for parent in links[uid]},
        beyond=beyond,
        levels=tasks,
        seconds=seconds,
        speed=speed,
        asking=teachers.asking(
            [cohort for level in tasks for task in level for cohort in task],
            [run for uid, run in family.items() if uid in done],
        ),
        measured=estimate.measured_cells(runs, done),
        predicted=(with_model, without_model),
    )


def _tasks(
    due: Sequence[Run], launcher: Launcher, seconds: Mapping[str, float], alone: Collection[str]
) -> list[list[list[Sequence[Run]]]]:
    """Runs level by level in cohorts, and these in tasks: as many tasks as may work at a time."""
    total = sum(seconds[run.uid] for run in due)
    # Tasks last as long as it takes to keep `parallel` of them busy once, but no longer than the
    # launcher's limit, and no shorter than starting a process is worth.
    limit = min(60 * launcher.keys.minutes, max(total / launcher.parallel, SHORTEST_TASK))
    largest, fits = launcher.keys.cohort, memory.limit(launcher)
    with files_unchanged({}):  # or every run's data would be looked at again
        grouped = [cohorts.group(level, largest, alone, fits) for level in levels(due)]
    return [packing.pack(level, seconds, limit) for level in grouped]


def _due(
    runs: Sequence[Run],
    states: Mapping[str, str],
    needs: Mapping[str, Sequence[Run]],
    seconds: Mapping[str, float],
    demand: Demand,
) -> tuple[list[Run], list[Run]]:
    """Runs to do with the parents that they miss, and those that the budget leaves out."""
    due: dict[str, Run] = {}
    beyond, spent = [], sum(demand.paid.values())
    for run in runs:
        if states[run.uid] != WAITING and run.uid not in demand.again:
            continue
        # A parent that several runs need is paid by the first of them.
        new = {needed.uid: needed for needed in needs[run.uid] if needed.uid not in due}
        cost = sum(seconds[uid] for uid in new if uid not in demand.paid)
        # A run that is too dear is passed over: a cheaper one behind it may fit.
        if demand.hours is not None and cost and spent + cost > 3600 * demand.hours:
            beyond.append(run)
            continue
        spent += cost
        due |= new
    return list(due.values()), beyond


def _with_missing_parents(
    family: Mapping[str, Run], states: Mapping[str, str], root: str, saved: Collection[str]
) -> dict[str, list[Run]]:
    """By uid each run after the ancestors that must be trained for it, parents first."""
    # A parent must be trained if it is not done, or its model was not kept. One at work or in a
    # queue is waited for; the children of one that failed count as failed, and are not asked about.
    missing = {
        uid
        for uid in {parent.uid for run in family.values() for parent in parents(run)}
        if states[uid] == WAITING or (states[uid] == DONE and not _has_model_folder(root, uid))
    }
    needs: dict[str, list[Run]] = {}
    for uid, run in family.items():  # where parents come before their children
        # A saved model predicts without its parents.
        to_train = [] if uid in saved else [p.uid for p in parents(run) if p.uid in missing]
        needs[uid] = [*(ancestor for parent in to_train for ancestor in needs[parent]), run]
    return needs


def _has_model_folder(root: str, uid: str) -> bool:
    """Whether a run's model was kept, as far as a plan needs to know.

    The folder says so at once. Whether its files are whole takes reading gigabytes: the worker asks
    that (`sweeps.task.worker`) before it trains a child, and trains a damaged parent anew.
    """
    return saved_files.folder(root, uid).is_dir()


def counts(planned: Sequence[Planned], work: Work) -> dict[str, int]:
    """How many cells are raw, excluded and duplicate, and how many runs are in each state."""
    excluded = sum(1 for entry in planned if entry.run is None)
    by_state = Counter(work.states.values())
    # These two are always named: 0 of them is what a reader looks for.
    named = {s: by_state[s] for s in run_states.STATES if by_state[s] or s in (DONE, WAITING)}
    if work.beyond:
        named[WAITING] -= len(work.beyond)
        named["beyond the budget"] = len(work.beyond)
    return {
        "raw": len(planned),
        "excluded": excluded,
        "duplicate": len(planned) - excluded - len(work.states),
        **named,
    }
