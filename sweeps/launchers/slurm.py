"""Tasks as SLURM job arrays, through submitit's executor.

What becomes of a task is read from our own records and events; SLURM is asked only what is in the
queue. submitit's verdicts are not used: it takes a node failure as final, and counts a preemption
under a limit of ten minutes as a time-out.
"""

import json
import os
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge

from kdlab.errors import BadInput
from kdlab.record import write_whole
from sweeps.journal.events import Event, Task
from sweeps.launchers import controller
from sweeps.launchers.submission import Array, environment

EVERY = 60.0  # seconds for which an answer of squeue serves every `status`
KEPT = 0.5  # of a partition's nodes that are up, which are never left out
OURS = {
    "array",
    "error",
    "job-name",
    "open-mode",
    "output",
    "parsable",
    "signal",
    "test-only",
    "wait",
    "wrap",
}
Number = Annotated[int, Ge(1)]
Minutes = Annotated[int, Ge(5)]  # submitit asks for a signal 90 s before the end


def submit(
    array: Array,
    *,
    partition: str | None,
    account: str | None,
    qos: str | None,
    constraint: str | None,
    gres: str | None,
    gpus_per_node: Number | None,
    cpus_per_task: Number | None,
    mem: str | None,
    time: Minutes,
    parallel: Number,
    setup: list[str],
    additional: dict[str, Any],
) -> str:
    """Submit an array; return its job id.

    Args:
        array: the tasks.
        partition, account, qos, constraint, gres, gpus_per_node, cpus_per_task, mem: sbatch's.
        time: minutes; a task that needs longer saves its cohort, is requeued, and goes on.
        parallel: array tasks that run at a time.
        setup: shell lines before the work.
        additional: any other sbatch option.

    Raises:
        BadInput: if SLURM will never take it.
        controller.Crowded: if SLURM takes no array of this size now.
        RuntimeError: if SLURM did not take it for long, or whether it did is not known.
    """
    stated = {
        "partition": partition,
        "account": account,
        "qos": qos,
        "constraint": constraint,
        "gres": gres,
        "gpus_per_node": gpus_per_node,
        "cpus_per_task": cpus_per_task,
        "mem": mem,
        "exclude": ",".join(_left_out(array.exclude, partition)) or None,
        "dependency": "afterany:" + ":".join(array.after.values()) if array.after else None,
    }
    executor = _executor(array.folder)
    if len(array.shards) > 1:
        executor.parameters["map_count"] = len(array.shards)
    executor.update_parameters(
        **{key: value for key, value in stated.items() if value is not None},
        job_name=controller.job_name(array.intent),
        comment=array.name,
        time=time,
        array_parallelism=max(1, parallel * len(array.shards) // array.level),
        setup=[*_exports(array.code), *setup],
        stderr_to_stdout=True,
        additional_parameters={"requeue": True, **_allowed(additional)},
    )
    try:
        job = _sbatch(executor, array, stated)
    except BadInput as error:
        if not (executor.parameters.pop("exclude", None) and "node" in str(error)):
            raise
        print(f"sweeps: {error}; again, and no host is left out", flush=True)
        job = _sbatch(executor, array, stated)
    _hand_over(array.folder, job, array.intent, array.shards, time)
    return job


def _sbatch(executor: Any, array: Array, stated: Mapping[str, str | int | None]) -> str:
    """Hand submitit's script to sbatch, and keep it beside the logs."""
    from submitit.core.utils import JobPaths

    text = executor._make_submission_file_text(executor._submitit_command_str, array.intent)
    path = array.folder / "submission.sh"
    write_whole(path, text.encode(), private=True)  # what a shell runs is its owner's business
    names = [name for name, value in stated.items() if value is not None]
    job = controller.sbatch(path, controller.job_name(array.intent), controller.environment(names))
    path.replace(JobPaths(folder=array.folder, job_id=job).submission_file)
    return job


def _executor(folder: Path) -> Any:
    import submitit

    if shutil.which("srun") is None:
        raise BadInput("launcher=slurm: there is no srun here; is this a login node?")
    folder.mkdir(parents=True, exist_ok=True)
    return submitit.SlurmExecutor(folder=folder)


def _exports(code: Path) -> list[str]:
    lines = [f"export {key}={shlex.quote(value)}" for key, value in environment(code).items()]
    return [
        *(line + "${PYTHONPATH:+:$PYTHONPATH}" if "PYTHONPATH" in line else line for line in lines),
        # Since 22.05 srun does not take this from sbatch by itself.
        'export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"',
    ]


def _calls(intent: str, shards: Sequence[Path | str], minutes: int) -> list[Any]:
    from functools import partial

    from sweeps.task.worker import work

    return [
        partial(work, str(shard), intent, index, float(minutes))
        for index, shard in enumerate(shards)
    ]


def live(root: str | Path, intents: Sequence[Event], fresh: bool = True) -> dict[Task, str]:
    """The tasks that are in the queue, with SLURM's word for their state.

    Args:
        root: where the last answer of squeue is kept.
        intents: whose tasks.
        fresh: ask now; else an answer of the last minute will do.

    Raises:
        RuntimeError: if SLURM does not answer.
    """
    names = {controller.job_name(event["intent"]): event for event in intents}
    found = {
        (names[row["name"]]["intent"], row["index"]): row["state"]
        for row in _queue(Path(root), sorted(names), fresh)
        if row["index"] < len(names[row["name"]]["shards"])
    }
    others = [event for event in intents if event["user"] not in ("", controller.user())]
    if others and controller.hides_others():
        # Not seen is not gone: whoever submitted them can tell.
        found |= {(e["intent"], n): "UNKNOWN" for e in others for n in range(len(e["shards"]))}
    return found


def _queue(root: Path, names: Sequence[str], fresh: bool) -> list[dict[str, Any]]:
    path = root / "queue.json"
    if not fresh:
        with suppress(OSError, ValueError, KeyError, TypeError):
            page = json.loads(path.read_bytes())
            rows = [
                {key: row[key] for key in ("job", "index", "name", "state")} for row in page["rows"]
            ]
            if 0 <= time.time() - page["time"] < EVERY and set(names) <= set(page["names"]):
                return [row for row in rows if row["name"] in names]
    rows = controller.queue(names)
    page = {"time": time.time(), "names": list(names), "rows": rows}
    with suppress(OSError):  # somebody else's folder, or a full disk
        write_whole(path, json.dumps(page).encode())
    return rows


def adopt(root: str | Path, intents: Sequence[Event]) -> dict[str, str]:
    """The job ids of those intents, of which none was noted, that have a job.

    The launch may have ended before every task had its pickle: they are given again.
    """
    names = {controller.job_name(event["intent"]): event for event in intents}
    jobs: dict[str, str] = {}
    for row in controller.queue(sorted(names)):
        jobs[row["name"]] = min(row["job"], jobs.get(row["name"], row["job"]))
    for name, job in jobs.items():
        event = names[name]
        folder = Path(root) / "logs" / event["intent"]
        _hand_over(folder, job, event["intent"], event["shards"], event["minutes"] or 0)
    return {names[name]["intent"]: job for name, job in jobs.items()}


def _hand_over(
    folder: Path, job: str, intent: str, shards: Sequence[Path | str], minutes: float
) -> None:
    """Give every task of a job the call that it waits for."""
    from submitit.core.utils import DelayedSubmission, JobPaths

    for index, call in enumerate(_calls(intent, shards, int(minutes))):
        own = job if len(shards) == 1 else f"{job}_{index}"
        path = JobPaths(folder=folder, job_id=own).submitted_pickle
        if not path.exists():
            delayed = DelayedSubmission(call)
            delayed.set_timeout(int(minutes), 3)
            partial = path.with_suffix(".partial")
            delayed.dump(partial)
            os.replace(partial, path)


def cancel(root: str | Path, event: Event) -> None:
    """Cancel an intent's tasks: those at work save their cohorts first."""
    name = controller.job_name(event["intent"])
    for job in sorted({row["job"] for row in controller.queue([name])}):
        controller.ask("scancel", job)


def largest_array() -> int | None:
    """How many tasks an array may have: MaxArraySize bounds the index, which begins at 0."""
    sizes = [int(controller.config()["MaxArraySize"]), controller.submit_limit()]
    return min(size for size in sizes if size)


def limits() -> str:
    """What bounds a launch here."""
    config, own = controller.config(), controller.submit_limit()
    found = [f"{key} {config[key]}" for key in ("MaxArraySize", "MaxJobCount")]
    return ", ".join([*found, *([f"MaxSubmitJobs {own}"] if own else [])])


def _left_out(blamed: Sequence[str], partition: str | None) -> list[str]:
    """Those of the blamed hosts that can be spared: at least `KEPT` of what is up stays in."""
    if not blamed:
        return []
    try:
        up = controller.hosts(partition or os.environ.get("SBATCH_PARTITION"))
    except (BadInput, RuntimeError) as error:
        print(f"sweeps: no host is left out: {error}", flush=True)
        return []
    own = [host for host in blamed if host in up]
    chosen = own[: int(len(up) * (1 - KEPT))]
    if kept := own[len(chosen) :]:
        print(
            f"sweeps: {', '.join(kept)}: blamed, but not left out: of {len(up)} nodes that are up "
            f"at least {KEPT:.0%} stay in",
            flush=True,
        )
    return chosen


def _allowed(additional: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options that a launcher adds; by those of `OURS` a task is found again and told its end."""
    for key in additional:
        if key.replace("_", "-") in OURS:
            raise BadInput(f"launcher.additional.{key}: kdlab sets this itself")
    return additional
