"""Work that is due becomes submissions, level by level, each with its intent written before it.

`sweeps.submit.reconcile` says what the intents are for.
"""

import sys
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from kdlab.config import secrets
from kdlab.errors import BadInput
from kdlab.options.schema import Execution
from kdlab.run import Run, parents
from sweeps.journal import events, failures
from sweeps.launchers import choice, contract, controller
from sweeps.launchers.submission import Submission
from sweeps.plan.survey import Work
from sweeps.submit.code_snapshot import snapshot
from sweeps.submit.prefetch import fetch
from sweeps.task import shards

Tasks = Sequence[Sequence[Sequence[Run]]]  # each of cohorts of runs


@dataclass(frozen=True)
class Submitted:
    """A submission that a scheduler has taken.

    Attributes:
        intent: its unique name.
        job: the scheduler's id of it.
        tasks: for each task the uids of its runs.
    """

    intent: str
    job: str
    tasks: list[list[str]]


@dataclass(frozen=True)
class Launch:
    """What all submissions of one launch share.

    Attributes:
        work: what is to be done.
        study: the study's name.
        execution: where and how it is done; `root` absolute.
        launcher: that submits.
        predict: uids whose outputs on test splits are kept.
        again: uids that are repeated although they are recorded.
        code: the folder of the copied code.
        exclude: hosts to stay away from.
    """

    work: Work
    study: str
    execution: Execution
    launcher: choice.Launcher
    predict: Collection[str]
    again: set[str]
    code: Path
    exclude: Sequence[str]


def launch(work: Work, study: str, execution: Execution, again: set[str]) -> list[Submitted]:
    """Submit what is to be done, level by level; return the submissions.

    An array that is too large for SLURM now is halved. If not even one task is taken, the rest is
    left for the next launch, and a line on stderr says so.

    Args:
        work: as `survey` gives it, asked under the lock.
        study: its name.
        execution: where and how; `root` absolute.
        again: uids to repeat although they are recorded.

    Raises:
        RuntimeError: nothing was taken.
    """
    predict = set(work.states) if execution.predict_test else set()
    fetch(work.due, predict)  # while there is a network: tasks may have none
    code, history = snapshot(execution.root), events.fold(execution.root)
    exclude = [blame.host for blame in failures.blamed(history)]
    launcher = choice.launcher(execution)
    shared = Launch(work, study, execution, launcher, predict, again, code, exclude)
    earlier = _in_queue(execution.root, history)
    submitted: list[Submitted] = []
    try:
        for level, tasks in enumerate(work.levels):
            # Parents are in earlier levels, and so in the list by now; the tasks of one level do
            # not wait for each other.
            submit = partial(_submit, shared, level, [*earlier, *submitted])
            largest = launcher.file.largest_array() or len(tasks)
            for start in range(0, len(tasks), largest):
                # Appended one by one: if SLURM refuses one, those before it are in the list.
                for submission in _submit_halving(tasks[start : start + largest], submit):
                    submitted.append(submission)
    except controller.Crowded as error:
        _report_rest(work, submitted, str(error))
    return submitted


def _submit_halving(tasks: Tasks, submit: Callable[[Tasks], Submitted]) -> Iterator[Submitted]:
    """Submit tasks, in halves where they are too many for the scheduler now.

    Raises:
        controller.Crowded: not even one task more is taken.
    """
    size = len(tasks)
    while tasks:
        try:
            submission = submit(tasks[:size])
        except controller.Crowded:
            if size == 1:
                raise
            size //= 2
        else:
            yield submission
            tasks = tasks[size:]


def _submit(shared: Launch, level: int, earlier: Sequence[Submitted], tasks: Tasks) -> Submitted:
    """Make one submission, with its events before and after.

    Args:
        shared: the launch.
        level: the number of the tasks' level (`sweeps.plan.levels`).
        earlier: submissions that may train parents of these runs.
        tasks: to be submitted together.
    """
    root = Path(shared.execution.root)
    saved = shared.work.parents | shared.again
    files = [
        shards.write(cohorts, shared.study, shared.execution, saved, shared.again, shared.predict)
        for cohorts in tasks
    ]
    uids = [[run.uid for cohort in cohorts for run in cohort] for cohorts in tasks]
    intent = _intend(shared, level, uids, files)
    submission = Submission(
        intent=intent,
        title=f"{shared.study}, level {level}",
        shards=files,
        after=_after(tasks, earlier),
        exclude=shared.exclude,
        level_tasks=len(shared.work.levels[level]),
        root=root,
        code=shared.code,
        folder=root / "logs" / intent,
    )
    # SLURM does not make the folder of a task's log; without it tasks fail and print nothing.
    submission.folder.mkdir(parents=True, exist_ok=True)
    try:
        job = str(shared.launcher.call.bind()(submission))
    except (BadInput, controller.Crowded) as error:
        events.append(root, "refused", intent=intent, why=str(error))
        raise
    # After any other error the job may be there: the next launch looks for it.
    events.append(root, "submitted", intent=intent, job=job)
    return Submitted(intent, job, uids)


def _intend(shared: Launch, level: int, uids: list[list[str]], files: Sequence[Path]) -> str:
    """Write the `intent` of a submission; return its name. `uids` has a list for each task."""
    intent = uuid.uuid4().hex[:12]
    seconds = shared.work.seconds
    events.append(
        shared.execution.root,
        "intent",
        intent=intent,
        study=shared.study,
        level=level,
        launcher=shared.launcher.name,
        minutes=shared.launcher.call.knobs.get("time"),
        shards=[str(path) for path in files],
        uids=uids,
        user=controller.user(),
        seconds=round(sum(seconds[uid] for task in uids for uid in task), 1),
    )
    return intent


def _in_queue(root: str, history: events.History) -> list[Submitted]:
    """The submissions of earlier launches of which tasks are left."""
    intents = {task[0] for task in contract.live(root, history)}
    return [
        Submitted(intent, event["job"], event["uids"])
        for intent, event in history.intents.items()
        if intent in intents and "job" in event
    ]


def _after(tasks: Tasks, earlier: Sequence[Submitted]) -> dict[str, str]:
    """By intent the jobs that may still train a parent of these runs."""
    runs = (run for cohorts in tasks for cohort in cohorts for run in cohort)
    needed = {parent.uid for run in runs for parent in parents(run)}
    return {
        other.intent: other.job
        for other in earlier
        if any(not needed.isdisjoint(uids) for uids in other.tasks)
    }


def _report_rest(work: Work, submitted: Sequence[Submitted], why: str) -> None:
    """Say on stderr what is left to submit; raise where nothing was submitted."""
    tasks = sum(map(len, work.levels))
    rest = tasks - sum(len(submission.tasks) for submission in submitted)
    message = (
        f"SLURM takes no more jobs now ({why}): {rest} of {tasks} tasks are left; "
        "launch again when some have ended, as `launch --wait` does by itself"
    )
    if not submitted:
        raise RuntimeError(message)
    print(f"sweeps: {message}", file=sys.stderr, flush=True)


def prepared(execution: Execution, study: str) -> Execution:
    """An execution with an absolute root, whose live views are grouped by study.

    Raises:
        BadInput: an option of the launcher or the tracker has a secret in it.
    """
    for group in ("launcher", "tracker"):
        if why := secrets.why_secret(getattr(execution, group), group):
            raise BadInput(why)
    tracker = dict(execution.tracker)
    if tracker.get("group", study) is None:  # only a tracker that has groups has the key
        tracker["group"] = study
    root = str(Path(execution.root).expanduser().resolve())
    return replace(execution, root=root, tracker=tracker)
