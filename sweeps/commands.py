"""What the commands do. `sweeps.__main__` says how they are called."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdlab import durable, record, repeats
from kdlab.config.compose import execution as place_of
from kdlab.config.overrides import contradiction
from kdlab.data import test_splits
from kdlab.ending import say
from kdlab.errors import BadInput, NotApplicable
from kdlab.options.schema import Execution
from kdlab.run import Run
from sweeps import status
from sweeps.journal import events, failures, run_states
from sweeps.launchers import choice
from sweeps.plan import plan
from sweeps.plan.plan import Planned, Work
from sweeps.plan.summary import report
from sweeps.study import launched as saved
from sweeps.study import reading as study
from sweeps.study import tuning
from sweeps.study.cells import Winner, count_open, expand
from sweeps.study.schema import Study
from sweeps.submit import launch

EVERY = {"local": 1.0}  # seconds between two questions to a launcher; a scheduler gets
ASK = 60.0  # at most one a minute


@dataclass(frozen=True)
class Request:
    """A study by name, and overrides for each of its runs; `asked` is the command line's."""

    name: str
    study: Study
    extra: tuple[str, ...]
    asked: tuple[str, ...] = ()


def request(name: str, extra: tuple[str, ...], root: str) -> Request:
    """A study by its file, its name in `sweeps/studies`, or as it was launched under a root."""
    if both := contradiction(extra):
        raise BadInput(f"{name}: {both}")
    is_file = name.endswith((".yaml", ".yml"))
    folder = run_states.study_folder(root, Path(name).stem if is_file else name)
    is_ours = is_file or (study.STUDIES / f"{name}.yaml").is_file()
    if not is_ours and (folder / saved.NAME).is_file():
        loaded, earlier = saved.read(folder)
        return Request(name, *study.narrowed(loaded, earlier + extra), earlier + extra)
    return Request(folder.name, *study.narrowed(study.load(name), extra), extra)


def launched(name: str, root: str) -> Request:
    """A study as it was launched under a root, its command-line overrides included."""
    loaded, extra = saved.read(run_states.study_folder(root, name))
    return Request(name, loaded, (*extra, f"root={root}"))


def plan_only(asked: Request, hours: float | None) -> int:
    """Say what there is to do; write nothing."""
    execution = _place(asked)
    planned, winners = _planned(asked, execution)
    chosen = choice.launcher(execution)
    runs = plan.unique(planned)
    work = plan.survey(
        runs,
        execution.root,
        chosen.keys,
        chosen.parallel,
        hours=hours,
        unpredicted=_unpredicted(runs, execution),
    )
    waiting = count_open(asked.study, asked.extra, winners, plan.barred(planned))
    print(report(asked.study, planned, work, chosen, waiting, execution.root))
    return 0


def _place(asked: Request) -> Execution:
    first = None
    for cell in expand(asked.study, asked.extra):
        try:
            execution = launch.settled(place_of(*cell.overrides), asked.name)
        except NotApplicable as error:
            first = first or error
        else:
            durable.check_root(execution.root)
            return execution
    raise BadInput(f"{asked.name}: nothing is left to run: {first}")


def _planned(asked: Request, execution: Execution) -> tuple[list[Planned], dict[str, Winner]]:
    """A study's runs, those of winners included that the records by now decide."""
    winners = tuning.read_winners(_winners_file(asked, execution))
    planned = plan.plan(asked.study, asked.extra, winners)
    cells = [(entry.cell, entry.run.uid if entry.run else None) for entry in planned]
    tuning.verify(winners, cells)
    runs, done = {run.uid: run for run in plan.unique(planned)}, record.index(execution.root)

    def score(uid: str) -> float | None:
        found = record.read(execution.root, done[uid]) if uid in done else None
        return tuning.score(found, runs[uid].task)

    chosen = {**tuning.choose(cells, score), **winners}
    if chosen.keys() == winners.keys():
        return planned, winners
    return plan.plan(asked.study, asked.extra, chosen), chosen


def _unpredicted(runs: Sequence[Run], execution: Execution) -> set[str]:
    return test_splits.lacking(runs, execution.root) if execution.predict_test else set()


def _winners_file(asked: Request, execution: Execution) -> Path:
    return run_states.study_folder(execution.root, asked.name) / "winners.json"


def run_launch(
    asked: Request, hours: float | None, *, wait: bool, again: Sequence[str] = ()
) -> int:
    """Submit what is to be done, and with `wait` see it through; 1 if a run failed."""
    before: object = None
    paid: dict[str, float] = {}
    while True:
        execution = _place(asked)
        intents, work = _submit(asked, execution, hours, paid, set(again))
        paid |= {run.uid: work.seconds[run.uid] for run in work.due}
        if not wait:
            return 0
        if not intents and not _waits_for_others(work):
            return _account(work, execution)
        launcher = choice.launcher(execution).name
        try:
            launch.wait(execution.root, list(work.states), EVERY.get(launcher, ASK))
        except KeyboardInterrupt:
            if launcher == "local":
                launch.cancel(execution.root, asked.name)
            raise
        again = ()
        now = (sum(map(len, record.entries(execution.root).values())), _failed(execution.root))
        if now == before:
            print("sweeps: nothing ended since the last submission; giving up", file=sys.stderr)
            return 1
        before = now


def _failed(root: str) -> int:
    trouble = events.fold(root).trouble.values()
    return sum(1 for held in trouble if failures.failure(held))


def _waits_for_others(work: Work) -> bool:
    return any(s in (run_states.RUNNING, run_states.QUEUED) for s in work.states.values())


def _submit(
    asked: Request,
    execution: Execution,
    hours: float | None,
    paid: Mapping[str, float],
    again: set[str],
) -> tuple[list[str], Work]:
    chosen = choice.launcher(execution)
    record.heal(execution.root)  # before any record is read
    planned, winners = _planned(asked, execution)
    runs = plan.unique(planned)
    waiting = count_open(asked.study, asked.extra, winners, plan.barred(planned))
    with launch.lock(execution.root):
        if stop := failures.stopped(execution.root, asked.name):
            raise BadInput(
                f"{asked.name} has stopped itself: {stop['why']}: {stop['error']}; "
                f"mend it, then: python -m sweeps retry {asked.name} --all"
            )
        failures.say_odd(
            [*events.fold(execution.root).odd, *failures.odd_stop(execution.root, asked.name)]
        )
        launch.settle(execution.root)
        for line in repeats.notes(execution.root):
            print(f"sweeps: {line}", file=sys.stderr)
        work = plan.survey(
            runs,
            execution.root,
            chosen.keys,
            chosen.parallel,
            hours=hours,
            paid=paid,
            again=again,
            unpredicted=_unpredicted(runs, execution),
            ask=True,
        )
        say(report(asked.study, planned, work, chosen, waiting, execution.root))
        tuning.write_winners(_winners_file(asked, execution), winners)
        plan.write(planned, work.seconds, asked.name, asked.study, execution.root)
        folder = run_states.study_folder(execution.root, asked.name)
        saved.save(asked.study, asked.extra, folder, asked.asked)
        intents = launch.launch(work, asked.name, execution, again) if work.due else []
    tasks = launch.count_tasks(execution.root, intents)
    follow = f"python -m sweeps status {asked.name} --root {execution.root}"
    say(f"{len(intents)} submissions, {tasks} tasks; {follow}")
    return intents, work


def _account(work: Work, execution: Execution) -> int:
    """The end of a launch that was waited for."""
    failed = [uid for uid, state in work.states.items() if state == run_states.FAILED]
    trouble = events.fold(execution.root).trouble
    for uid in failed:
        found = failures.failure(trouble.get(uid, []))
        print(f"failed {uid}: {found['error'] if found else 'a parent failed'}", file=sys.stderr)
    return 1 if failed else 0


def retry(name: str, root: str, *, classes: Sequence[str], uids: Sequence[str], all_: bool) -> int:
    """Forgive failures, by class, by uid or all, and launch the study again as it was."""
    frame = status.read_plan(name, root)
    family = saved.family(frame)
    trouble = events.fold(root).trouble
    failed = {uid: f for uid in family if (f := failures.failure(trouble.get(uid, [])))}
    known = sorted({event["class"] for event in failed.values()})
    if unknown := set(classes) - set(known):
        raise BadInput(f"--class {sorted(unknown)[0]}: no such failure; there: {known or 'none'}")
    if unknown := set(uids) - failed.keys():
        raise BadInput(f"--uid {sorted(unknown)[0]}: it has not failed")
    chosen = {u for u, event in failed.items() if all_ or event["class"] in classes or u in uids}
    chosen |= _ancestors(chosen, family) & failed.keys()  # no run can be done without these
    chosen |= {
        uid
        for uid, event in failed.items()
        if event["class"] == "parent_failed" and _ancestors({uid}, family) & chosen
    }
    launch.forgive(root, sorted(chosen))
    failures.stop_file(root, name).unlink(missing_ok=True)
    say(f"{len(chosen)} of {len(failed)} failures forgiven")
    return run_launch(launched(name, root), None, wait=False)


def _ancestors(uids: set[str], family: Mapping[str, Sequence[str]]) -> set[str]:
    found: set[str] = set()
    while uids:
        uids = {parent for uid in uids for parent in family[uid]} - found
        found |= uids
    return found


def rerun(uid: str, root: str) -> int:
    """Repeat a run that is recorded, to bring back its outputs and its model."""
    damaged = []
    for name in saved.studies(root):
        try:
            plan = status.read_plan(name, root)
        except BadInput as error:
            damaged.append(str(error))
            continue
        if uid in saved.family(plan):
            return run_launch(launched(name, root), None, wait=False, again=[uid])
    raise BadInput("; ".join([f"no study under {root} has a run {uid}", *damaged]))


def logs(uid: str, root: str) -> int:
    """Print what the tasks of a run printed, and what is held against it."""
    state = events.fold(root)
    tasks = [
        (intent, index)
        for intent, event in state.intents.items()
        for index, uids in enumerate(event["uids"])
        if uid in uids
    ]
    if not tasks:
        raise BadInput(f"no task under {root} was given run {uid}")
    for event in state.trouble.get(uid, []):
        print(f"{event['class']} on {event['node']}: {event['error']}")
    for path in {e["log"]: None for task in tasks for e in state.workers.get(task, [])}:
        print(f"==> {path}")
        if Path(path).is_file():
            print(Path(path).read_text(errors="replace"))
    return 0
