"""What is to be done becomes submissions: once each, whatever happened to the last launch.

An intent is written before a submission and its job id after it. A launch that was killed in
between, or that got no answer, left an intent without a job: the next one, or `cancel`, finds the
job by its name and adopts it.
"""

import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kdlab import record
from kdlab.config import secrets
from kdlab.data import test_splits
from kdlab.errors import BadInput
from kdlab.models import checkpoints
from kdlab.options.schema import Execution
from kdlab.run import Run, parents
from sweeps.journal import events, failures, run_states
from sweeps.journal.events import State
from sweeps.launchers import controller
from sweeps.launchers.choice import Launcher, launcher
from sweeps.launchers.submission import Array
from sweeps.plan.plan import Work
from sweeps.submit.code_snapshot import snapshot
from sweeps.task import shards, worker

PATIENCE = 10.0  # seconds for another launch to end
SHARED = 0o666  # colleagues share a root as far as their umask says
UNSEEN = "no such job"  # why an intent counts as refused although nobody refused it


def lock(root: str | Path) -> FileLock:
    """Held by whoever submits, so that two launches never submit the same run.

    Raises:
        BadInput: if another launch holds it.
    """
    path = Path(root) / "locks" / "launch.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(path, mode=SHARED)
    try:
        held.acquire(timeout=PATIENCE)
    except Timeout:
        raise BadInput(f"another launch is at work under {root}") from None
    return held


def settle(root: str | Path) -> None:
    """Bring the events up to date: stray submissions adopted, vanished tasks told.

    Raises:
        RuntimeError: if a scheduler does not answer.
    """
    for intent in _adopt(root, events.fold(root)):
        events.append(root, "refused", intent=intent, why=UNSEEN)
    state = events.fold(root)
    live = run_states.live(root, state)
    for task, incarnations in state.workers.items():
        last = incarnations[-1]
        gone = task not in live and last["file"] not in state.exits
        if gone and last["file"] in state.running:
            kind = failures.epitaph(Path(last["log"]))
            worker.note_lost(str(root), last, state.running[last["file"]], kind)


def _adopt(root: str | Path, state: State) -> list[str]:
    """Note the jobs of submissions that have one unnoted; return the intents that have none.

    A job may appear after its intent was given up: it is adopted even then.
    """
    missing: list[str] = []
    for name in run_states.by_launcher(state):
        strays = {
            intent: event
            for intent, event in state.intents.items()
            if event["launcher"] == name and "job" not in event
            if state.refused.get(intent, UNSEEN) == UNSEEN
        }
        jobs = run_states.module(name).adopt(root, list(strays.values())) if strays else {}
        for intent, job in jobs.items():
            print(f"sweeps: adopted job {job} of an earlier launch", flush=True)
            events.append(root, "submitted", intent=intent, job=job)
        missing += strays.keys() - jobs.keys() - state.refused.keys()
    return missing


Chunk = Sequence[Sequence[Sequence[Run]]]  # tasks, each of cohorts of runs
Held = list[tuple[str, str, set[str]]]


def launch(work: Work, study: str, execution: Execution, again: set[str]) -> list[str]:
    """Submit what is to be done, level by level; return the intents.

    An array that is too large for SLURM now is halved; if not even one task is taken, the rest is
    left for the next launch, and said.

    Args:
        work: as `plan.survey` gives it, asked under the lock.
        study: its name.
        place: where and how; `root` absolute.
        again: uids to repeat although they are recorded.

    Raises:
        RuntimeError: nothing was taken.
    """
    chosen = launcher(execution)
    predict = set(work.states) if execution.predict_test else set()
    fetch(work.due, predict)
    code, state = snapshot(execution.root), events.fold(execution.root)
    exclude, held = [blame.host for blame in failures.blamed(state)], _held(execution.root, state)
    submitted: list[str] = []

    def submit(chunk: Chunk, level: int) -> None:
        files = [
            shards.write(cohorts, study, execution, work.parents | again, again, predict)
            for cohorts in chunk
        ]
        intent = _intend(files, chunk, study, level, execution, chosen, work.seconds)
        array = Array(
            intent=intent,
            name=f"{study}, level {level}",
            shards=files,
            after=_before(chunk, held),
            exclude=exclude,
            level=len(work.levels[level]),
            root=Path(execution.root),
            code=code,
            folder=Path(execution.root) / "logs" / intent,
        )
        job = _submit(array, chosen)
        held.append((intent, job, {run.uid for c in chunk for each in c for run in each}))
        submitted.append(intent)

    try:
        for level, packed in enumerate(work.levels):
            for chunk in _chunks(packed, run_states.module(chosen.name).largest_array()):
                _halved(chunk, partial(submit, level=level))
    except controller.Crowded as error:
        _say_rest(work, submitted, execution.root, str(error))
    return submitted


def _chunks(packed: Chunk, largest: int | None) -> Iterator[Chunk]:
    size = largest or len(packed)
    return (packed[start : start + size] for start in range(0, len(packed), size))


def _halved(chunk: Chunk, submit: Callable[[Chunk], None]) -> None:
    """Submit a chunk, in halves where it is too large.

    Raises:
        controller.Crowded: not even one task more is taken.
    """
    size = len(chunk)
    while chunk:
        try:
            submit(chunk[:size])
        except controller.Crowded:
            if size == 1:
                raise
            size //= 2
        else:
            chunk = chunk[size:]


def count_tasks(root: str, intents: Sequence[str]) -> int:
    """How many tasks these submissions have."""
    known = events.fold(root).intents if intents else {}
    return sum(len(known[intent]["uids"]) for intent in intents)


def _say_rest(work: Work, submitted: Sequence[str], root: str, why: str) -> None:
    tasks = sum(len(packed) for packed in work.levels)
    rest = tasks - count_tasks(root, submitted)
    said = f"SLURM takes no more jobs now ({why}): {rest} of {tasks} tasks are left"
    advice = "launch again when some have ended, as `launch --wait` does by itself"
    if not submitted:
        raise RuntimeError(f"{said}; {advice}")
    print(f"sweeps: {said}; {advice}", file=sys.stderr, flush=True)


def _held(root: str, state: State) -> Held:
    """What earlier launches still have in a queue: intent, job id, uids."""
    intents = {task[0] for task in run_states.live(root, state)}
    return [
        (intent, event["job"], {uid for uids in event["uids"] for uid in uids})
        for intent, event in state.intents.items()
        if intent in intents and "job" in event
    ]


def _intend(
    files: Sequence[Path],
    chunk: Chunk,
    study: str,
    level: int,
    execution: Execution,
    chosen: Launcher,
    seconds: Mapping[str, float],
) -> str:
    intent = uuid.uuid4().hex[:12]
    uids = [[run.uid for cohort in cohorts for run in cohort] for cohorts in chunk]
    events.append(
        execution.root,
        "intent",
        intent=intent,
        study=study,
        level=level,
        launcher=chosen.name,
        minutes=chosen.call.knobs.get("time"),
        shards=[str(path) for path in files],
        uids=uids,
        user=controller.user(),
        seconds=round(sum(seconds[uid] for task in uids for uid in task), 1),
    )
    return intent


def _submit(array: Array, chosen: Launcher) -> str:
    array.folder.mkdir(parents=True, exist_ok=True)
    try:
        job = str(chosen.call.bind()(array))
    except (BadInput, controller.Crowded) as error:
        events.append(array.root, "refused", intent=array.intent, why=str(error))
        raise
    # After any other error the job may be there: the next launch looks for it.
    events.append(array.root, "submitted", intent=array.intent, job=job)
    return job


def _before(chunk: Chunk, held: Held) -> dict[str, str]:
    """The submissions that may still train a parent of these runs."""
    runs = (run for cohorts in chunk for cohort in cohorts for run in cohort)
    wanted = {parent.uid for run in runs for parent in parents(run)}
    return {intent: job for intent, job, uids in held if wanted & uids}


def fetch(runs: Sequence[Run], predict: Collection[str]) -> None:
    """Bring here what runs read, since workers have no network.

    Args:
        runs: to be submitted.
        predict: uids of those that predict test splits.

    Raises:
        BadInput: something is not there.
    """
    names = {name for run in runs for name in _checkpoints(run)}
    for name in sorted(names):
        checkpoints.locate(name)
    sources: dict[str, Any] = {}
    for run in runs:
        splits = [run.task.train, *run.task.report.values()]
        if run.task.test and run.data.transfer == "unlabelled" and run.data.extra_split == "test":
            splits.append(run.task.test)
        sources.setdefault(repr((run.source, splits)), (run.source, splits))
    for source, splits in sources.values():
        for split in splits:
            source.bind()().read(split)
    tested = {repr((r.source, r.task)): r for r in runs if r.uid in predict}
    for run in tested.values():
        test_splits.rows(run.task, run.source.bind()())


def _checkpoints(run: Run) -> set[str]:
    return {n for n in (run.init.checkpoint, run.tokenizer, run.teacher_checkpoint) if n}


def settled(execution: Execution, study: str) -> Execution:
    """A place whose root means the same everywhere, its live views grouped by study.

    Raises:
        BadInput: what a launcher or a tracker is told has a secret in it.
    """
    for where in ("launcher", "tracker"):
        if why := secrets.why_secret(getattr(execution, where), where):
            raise BadInput(why)
    tracker = dict(execution.tracker)
    if tracker.get("group", study) is None:
        tracker["group"] = study
    return replace(
        execution, root=str(Path(execution.root).expanduser().resolve()), tracker=tracker
    )


def forgive(root: str | Path, uids: Sequence[str]) -> None:
    """Hold nothing against these runs any more, and nothing against any host."""
    state = events.fold(root)
    trouble = events.numbers(event for uid in uids for event in state.trouble.get(uid, []))
    hosts = events.numbers(e for blame in failures.blamed(state) for e in blame.incidents)
    if trouble or hosts:
        events.append(root, "retry", uids=list(uids), trouble=trouble, hosts=hosts)


def cancel(root: str | Path, study: str) -> int:
    """End every task of a study; return how many there were."""
    _adopt(root, events.fold(root))
    state = events.fold(root)
    live = run_states.live(root, state)
    intents = {task[0] for task in live if state.intents[task[0]]["study"] == study}
    for intent in sorted(intents):
        event = state.intents[intent]
        run_states.module(event["launcher"]).cancel(root, event)
    return sum(1 for task in live if task[0] in intents)


def wait(root: str | Path, uids: Sequence[str], every: float) -> None:
    """Follow runs until no task is left that was given one of them, whoever submitted it.

    Args:
        root: where records are.
        uids: the runs, which are counted on the bar.
        every: seconds between two questions to the scheduler.
    """
    from tqdm import tqdm

    asked, wanted = -every, set(uids)
    with tqdm(total=len(uids), unit="run", desc="study", dynamic_ncols=True) as bar:
        while True:
            bar.n = run_states.recorded(record.index(root), uids)
            bar.refresh()
            state = events.fold(root)
            known = [event for each in run_states.by_launcher(state).values() for event in each]
            ours = {e["intent"] for e in known if any(wanted & set(task) for task in e["uids"])}
            if not ours:
                return
            if time.monotonic() - asked >= every:
                asked = time.monotonic()
                if not any(task[0] in ours for task in run_states.live(root, state)):
                    return
            time.sleep(1.0)
