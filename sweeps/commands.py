"""What the commands of `python -m sweeps` do; `sweeps.__main__` reads their arguments."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from kdlab.config import compose
from kdlab.config.overrides import contradiction
from kdlab.data import test_splits
from kdlab.ending import say
from kdlab.errors import BadInput, NotApplicable
from kdlab.options.schema import Execution
from kdlab.run import Run
from kdlab.storage import durable, ledger, repeats
from sweeps import status
from sweeps.journal import events, failures, run_states
from sweeps.launchers import choice
from sweeps.plan import numbers, plan
from sweeps.plan.summary import report
from sweeps.plan.survey import Demand, Work, survey
from sweeps.study import folders, launched, reading, tuning
from sweeps.study.cells import expand
from sweeps.study.outline import Outline, outline
from sweeps.study.schema import Study
from sweeps.submit import follow, launch, reconcile

POLL_SECONDS = {"local": 1.0}  # between two questions to a launcher
SCHEDULER_POLL_SECONDS = 60.0  # to any other: a scheduler may serve thousands of users
IN_QUEUE = {run_states.RUNNING, run_states.QUEUED}  # states in which somebody's task has the run


@dataclass(frozen=True)
class Request:
    """A study that is to be planned or launched.

    Attributes:
        name: under which it is kept.
        study: with the values of its grids that the command line replaced.
        extra: overrides of each of its runs.
        command_line: all overrides as they were typed; empty: they are `extra`.
    """

    name: str
    study: Study
    extra: tuple[str, ...]
    command_line: tuple[str, ...] = ()

    @cached_property
    def outline(self) -> Outline:
        """The study, expanded once for all that is asked of it."""
        return outline(self.study, self.extra)


def requested(name: str, extra: tuple[str, ...], root: str) -> Request:
    """A study by its file, its name in `sweeps/studies`, or as it was launched under a root.

    Raises:
        BadInput: there is no such study, or it or an override is wrong.
    """
    if both := contradiction(extra):
        raise BadInput(f"{name}: {both}")
    is_file = name.endswith((".yaml", ".yml"))
    folder = run_states.study_folder(root, Path(name).stem if is_file else name)
    # What was launched before is read only where no file has the name: an author who edits a study
    # and launches it means the edited one.
    has_file = is_file or folders.file(name) is not None
    if not has_file and (folder / launched.STUDY_FILE).is_file():
        study, earlier = launched.read(folder)
        # Of an override that is there twice the last counts: the one that was typed now.
        return Request(name, *reading.narrowed(study, earlier + extra), earlier + extra)
    return Request(folder.name, *reading.narrowed(reading.load(name), extra), extra)


def launched_before(name: str, root: str) -> Request:
    """A study as it was launched under a root, its command-line overrides included."""
    study, extra = launched.read(run_states.study_folder(root, name))
    return Request(name, study, (*extra, f"root={root}"))


def plan_study(
    study: str, overrides: Sequence[str], root: str, max_gpu_hours: float | None, as_json: bool
) -> int:
    """Print what there is to do of a study: see `requested` and `plan_only`."""
    return plan_only(requested(study, tuple(overrides), root), max_gpu_hours, as_json)


def launch_study(
    study: str,
    overrides: Sequence[str],
    root: str,
    max_gpu_hours: float | None,
    wait: bool,
    cancel_on_interrupt: bool,
) -> int:
    """Launch a study: see `requested` and `run_launch`."""
    request = requested(study, tuple(overrides), root)
    return run_launch(request, max_gpu_hours, wait=wait, cancel=cancel_on_interrupt)


def plan_only(request: Request, hours: float | None, as_json: bool = False) -> int:
    """Print what there is to do, `hours` of work at most, in words or as JSON; write nothing."""
    execution = _execution(request)
    root, launcher = execution.root, choice.launcher(execution)
    planned, waiting, _ = plan.plan_with_winners(request.outline, request.name, root)
    runs = plan.unique(planned)
    demand = Demand(hours=hours, unpredicted=_unpredicted(runs, execution))
    work = survey(runs, root, launcher, demand)
    whole = (request.study, planned, work, launcher, waiting, root)
    if as_json:
        print(json.dumps({"study": request.name, **numbers.data(*whole)}))
        return 0
    print(report(*whole))
    return 0


def _execution(request: Request) -> Execution:
    """Where and how a study's runs are computed.

    It is the same for all of them, as only the command line may say it (`checks.check_trust`).

    Raises:
        BadInput: none of the study's runs is possible.
    """
    # Composing one run is enough, and takes no minutes. Runs whose options do not go together are
    # passed over until one is possible.
    first_error = None
    for cell in expand(request.outline):
        try:
            execution = launch.prepared(compose.run_and_execution(*cell.overrides)[1], request.name)
        except NotApplicable as error:
            first_error = first_error or error
        else:
            durable.check_root(execution.root)
            return execution
    raise BadInput(f"{request.name}: nothing is left to run: {first_error}")


def _unpredicted(runs: Sequence[Run], execution: Execution) -> set[str]:
    """Uids of recorded runs that lack the outputs on test splits that are asked for."""
    return test_splits.lacking(runs, execution.root) if execution.predict_test else set()


def run_launch(
    request: Request,
    hours: float | None,
    *,
    wait: bool,
    again: Sequence[str] = (),
    cancel: bool = False,
) -> int:
    """Submit what is to be done, and with `wait` see it through.

    Args:
        request: the study.
        hours: of work at most; None: all.
        wait: come back when all is done, and submit what is due meanwhile: lost runs, winners.
        again: uids to repeat although they are recorded.
        cancel: cancel the study's tasks when waiting is interrupted.

    Returns:
        1 if it was waited for and a run failed; else 0.
    """
    progress: object = None
    paid: dict[str, float] = {}
    while True:
        execution = _execution(request)
        # The budget is for all rounds together: a lost run that is submitted again was paid before.
        demand = Demand(hours=hours, paid=paid, again=set(again), ask=True)
        submissions, work = _submit(request, execution, demand)
        paid |= {run.uid: work.seconds[run.uid] for run in work.due}
        if not wait:
            return 0
        # Runs that another launch submitted are waited for too.
        if not submissions and not IN_QUEUE & set(work.states.values()):
            return _print_failed(work, execution)
        launcher = choice.launcher(execution).name
        every = POLL_SECONDS.get(launcher, SCHEDULER_POLL_SECONDS)
        # Neither what the budget leaves out nor what failed is waited for.
        left_out = {run.uid for run in work.beyond} | {
            uid for uid, state in work.states.items() if state == run_states.FAILED
        }
        seconds = {uid: x for uid, x in work.seconds.items() if uid not in left_out}
        uids = [uid for uid in work.states if uid not in left_out]
        awaited = follow.Awaited(uids, seconds, work.parents)
        try:
            follow.wait(execution.root, awaited, every)
        except KeyboardInterrupt:
            # Not by itself: tasks are not this command's alone, another may wait for them too.
            if cancel:
                reconcile.cancel(execution.root, request.name)
            else:
                cancelling = f"python -m sweeps cancel {request.name} --root {execution.root}"
                say(f"its tasks go on; to stop them: {cancelling}")
            raise
        again = ()  # they have been repeated by now
        # Submitting again what ends neither in a record nor in a failure would never end.
        if (progress_now := _progress(execution.root)) == progress:
            print("sweeps: nothing ended since the last submission; giving up", file=sys.stderr)
            return 1
        progress = progress_now


def _progress(root: str) -> tuple[int, int]:
    """How many records and failures there are under a root."""
    records = sum(map(len, ledger.entries(root).values()))
    return records, len(failures.failed_by(events.fold(root)))


def _submit(
    request: Request, execution: Execution, demand: Demand
) -> tuple[list[launch.Submitted], Work]:
    """One round of a launch; return its submissions, and what was to be done."""
    root, name, launcher = execution.root, request.name, choice.launcher(execution)
    ledger.heal(root)  # before any record is read
    planned, waiting, winners = plan.plan_with_winners(request.outline, name, root)
    runs = plan.unique(planned)
    demand = replace(demand, unpredicted=_unpredicted(runs, execution))
    # Planning takes minutes and submits nothing: it needs no lock. From here on a second launch
    # would submit the same runs again.
    with reconcile.lock(root):
        _refuse_if_stopped(name, root)
        skipped = [*events.fold(root).skipped, *failures.invalid_stop(root, name)]
        failures.report_skipped(skipped)
        # Before the survey, which goes by events: what vanished from the queue counts as lost.
        reconcile.settle(root)
        for line in repeats.notes(root):
            print(f"sweeps: {line}", file=sys.stderr)
        work = survey(runs, root, launcher, demand)
        say(report(request.study, planned, work, launcher, waiting, root))
        # Before anything is submitted: whatever dies now, the study can be launched by its name.
        tuning.write_winners(plan.winners_file(name, root), winners)
        plan.write(planned, work.seconds, name, request.study, root)
        folder = run_states.study_folder(root, name)
        launched.save(request.study, request.extra, folder, request.command_line)
        again = set(demand.again)
        submissions = launch.launch(work, name, execution, again) if work.due else []
    tasks = sum(len(submission.tasks) for submission in submissions)
    follow_up = f"python -m sweeps status {name} --root {root}"
    say(f"{len(submissions)} submissions, {tasks} tasks; {follow_up}")
    return submissions, work


def _refuse_if_stopped(name: str, root: str) -> None:
    if stop := failures.stopped(root, name):
        raise BadInput(
            f"{name} has stopped itself: {stop['why']}: {stop['error']}; "
            f"mend it, then: python -m sweeps retry {name} --all"
        )


def _print_failed(work: Work, execution: Execution) -> int:
    """Name the runs that failed on stderr; return 1 if there are any."""
    failed = run_states.why_failed(work.states, events.fold(execution.root))
    for uid, event in failed.items():
        print(f"failed {uid}: {event['error'] if event else 'a parent failed'}", file=sys.stderr)
    return 1 if failed else 0


def retry(study: str, root: str, *, classes: Sequence[str], uids: Sequence[str], all_: bool) -> int:
    """Forgive failures, by class, by uid or all, and launch the study again as it was.

    With a failure those of its ancestors are forgiven, without which the run cannot be done, and
    those of children that failed only because of the forgiven runs.

    Raises:
        BadInput: none are named, or there is no failure of such a class or uid.
    """
    if not (classes or uids or all_):
        raise BadInput("retry: which? --class CLASS, --uid UID or --all")
    family = launched.family(status.read_plan(study, root))
    failed_by = failures.failed_by(events.fold(root))
    failed = {uid: failed_by[uid] for uid in family if uid in failed_by}
    failed_classes = sorted({event["class"] for event in failed.values()})
    if unknown := set(classes) - set(failed_classes):
        there = failed_classes or "none"
        raise BadInput(f"--class {sorted(unknown)[0]}: no such failure; there: {there}")
    if unknown := set(uids) - failed.keys():
        raise BadInput(f"--uid {sorted(unknown)[0]}: it has not failed")
    forgiven = {u for u, event in failed.items() if all_ or event["class"] in classes or u in uids}
    forgiven |= launched.ancestors(forgiven, family) & failed.keys()
    forgiven |= {
        uid
        for uid, event in failed.items()
        if event["class"] == "parent_failed" and launched.ancestors({uid}, family) & forgiven
    }
    reconcile.forgive(root, sorted(forgiven))
    # Last: if `retry` is killed before this line, no task starts on failures that still count; the
    # study says that it has stopped, and `retry --all` goes on.
    failures.stop_file(root, study).unlink(missing_ok=True)
    say(f"{len(forgiven)} of {len(failed)} failures forgiven")
    return run_launch(launched_before(study, root), None, wait=False)


def cancel(study: str, root: str) -> int:
    """End a study's tasks, and say how many there were.

    Raises:
        BadInput: it was never launched.
    """
    status.read_plan(study, root)
    print(f"{reconcile.cancel(root, study)} tasks cancelled")
    return 0


def rerun(uid: str, root: str) -> int:
    """Repeat a run that is recorded, to bring back its outputs and its model.

    Args:
        uid: of the run; six digits do.
        root: where it was launched.

    Raises:
        BadInput: no study under the root has it.
    """
    damaged = []  # a damaged plan of one study must not hide another one that has the run
    for name in launched.studies(root):
        try:
            frame = status.read_plan(name, root)
        except BadInput as error:
            damaged.append(str(error))
            continue
        family = launched.family(frame)
        if (whole := launched.whole_uid(uid, family)) in family:
            return run_launch(launched_before(name, root), None, wait=False, again=[whole])
    raise BadInput("; ".join([f"no study under {root} has a run {uid}", *damaged]))
