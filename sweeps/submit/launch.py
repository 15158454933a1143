"""Work that is due becomes submissions, level by level, each with its intent written before it.

`sweeps.submit.reconcile` says what the intents are for.
"""

import sys
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from kdlab.config import secrets
from kdlab.errors import BadInput
from kdlab.options.schema import Execution
from kdlab.run import Run, parents
from sweeps.journal import events, failures
from sweeps.journal.events import History
from sweeps.launchers import contract, controller
from sweeps.launchers.choice import Launcher, launcher
from sweeps.launchers.submission import Submission
from sweeps.plan.survey import Work
from sweeps.submit.code_snapshot import snapshot
from sweeps.submit.prefetch import fetch
from sweeps.task import shards

Tasks = Sequence[Sequence[Sequence[Run]]]  # each of cohorts of runs


@dataclass(frozen=True)
class InQueue:
    """A submission that a scheduler still has: its intent, its job id, and the runs in it."""

    intent: str
    job: str
    uids: set[str]


@dataclass(frozen=True)
class Launch:
    """What all submissions of one launch share.

    Attributes:
        predict: uids whose outputs on test splits are kept.
        again: uids that are repeated although they are recorded.
        code: the folder of the copied code.
        exclude: hosts to stay away from.
        in_queue: submissions of this launch and of earlier ones, which children wait for.
        intents: those of this launch.
    """

    work: Work
    study: str
    execution: Execution
    launcher: Launcher
    predict: Collection[str]
    again: set[str]
    code: Path
    exclude: Sequence[str]
    in_queue: list[InQueue]
    intents: list[str] = field(default_factory=list)


def launch(work: Work, study: str, execution: Execution, again: set[str]) -> list[str]:
    """Submit what is to be done, level by level; return the intents.

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
    chosen = launcher(execution)
    predict = set(work.states) if execution.predict_test else set()
    fetch(work.due, predict)
    code, history = snapshot(execution.root), events.fold(execution.root)
    exclude = [blame.host for blame in failures.blamed(history)]
    in_queue = _in_queue(execution.root, history)
    this = Launch(work, study, execution, chosen, predict, again, code, exclude, in_queue)
    try:
        for level, tasks in enumerate(work.levels):
            for part in _parts(tasks, chosen.file.largest_array()):
                _submit_halving(part, partial(_submit, this, level))
    except controller.Crowded as error:
        _report_rest(this, str(error))
    return this.intents


def _parts(tasks: Tasks, largest: int | None) -> Iterator[Tasks]:
    size = largest or len(tasks)
    return (tasks[start : start + size] for start in range(0, len(tasks), size))


def _submit_halving(tasks: Tasks, submit: Callable[[Tasks], None]) -> None:
    """Submit tasks, in halves where they are too many for the scheduler now.

    Raises:
        controller.Crowded: not even one task more is taken.
    """
    size = len(tasks)
    while tasks:
        try:
            submit(tasks[:size])
        except controller.Crowded:
            if size == 1:
                raise
            size //= 2
        else:
            tasks = tasks[size:]


def _submit(this: Launch, level: int, tasks: Tasks) -> None:
    """Make one submission, with its events before and after."""
    root = Path(this.execution.root)
    saved = this.work.parents | this.again
    files = [
        shards.write(cohorts, this.study, this.execution, saved, this.again, this.predict)
        for cohorts in tasks
    ]
    intent = _intend(this, level, tasks, files)
    submission = Submission(
        intent=intent,
        title=f"{this.study}, level {level}",
        shards=files,
        after=_after(tasks, this.in_queue),
        exclude=this.exclude,
        level_tasks=len(this.work.levels[level]),
        root=root,
        code=this.code,
        folder=root / "logs" / intent,
    )
    submission.folder.mkdir(parents=True, exist_ok=True)
    try:
        job = str(this.launcher.call.bind()(submission))
    except (BadInput, controller.Crowded) as error:
        events.append(root, "refused", intent=intent, why=str(error))
        raise
    # After any other error the job may be there: the next launch looks for it.
    events.append(root, "submitted", intent=intent, job=job)
    this.in_queue.append(InQueue(intent, job, {run.uid for run in _runs(tasks)}))
    this.intents.append(intent)


def _intend(this: Launch, level: int, tasks: Tasks, files: Sequence[Path]) -> str:
    """Write the `intent` of a submission; return its name."""
    intent = uuid.uuid4().hex[:12]
    uids = [[run.uid for cohort in cohorts for run in cohort] for cohorts in tasks]
    seconds = this.work.seconds
    events.append(
        this.execution.root,
        "intent",
        intent=intent,
        study=this.study,
        level=level,
        launcher=this.launcher.name,
        minutes=this.launcher.call.knobs.get("time"),
        shards=[str(path) for path in files],
        uids=uids,
        user=controller.user(),
        seconds=round(sum(seconds[uid] for task in uids for uid in task), 1),
    )
    return intent


def _in_queue(root: str, history: History) -> list[InQueue]:
    """The submissions of earlier launches of which tasks are left."""
    intents = {task[0] for task in contract.live(root, history)}
    return [
        InQueue(intent, event["job"], {uid for uids in event["uids"] for uid in uids})
        for intent, event in history.intents.items()
        if intent in intents and "job" in event
    ]


def _after(tasks: Tasks, in_queue: Sequence[InQueue]) -> dict[str, str]:
    """By intent the jobs that may still train a parent of these runs."""
    needed = {parent.uid for run in _runs(tasks) for parent in parents(run)}
    return {other.intent: other.job for other in in_queue if needed & other.uids}


def _runs(tasks: Tasks) -> Iterator[Run]:
    return (run for cohorts in tasks for cohort in cohorts for run in cohort)


def count_tasks(root: str, intents: Sequence[str]) -> int:
    """How many tasks these submissions have."""
    known = events.fold(root).intents if intents else {}
    return sum(len(known[intent]["uids"]) for intent in intents)


def _report_rest(this: Launch, why: str) -> None:
    """Say on stderr what is left to submit; raise where nothing was submitted."""
    tasks = sum(map(len, this.work.levels))
    rest = tasks - count_tasks(this.execution.root, this.intents)
    message = (
        f"SLURM takes no more jobs now ({why}): {rest} of {tasks} tasks are left; "
        "launch again when some have ended, as `launch --wait` does by itself"
    )
    if not this.intents:
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
