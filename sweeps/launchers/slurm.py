"""Tasks as SLURM job arrays, through submitit's executor.

What becomes of a task is read from our own records and events; SLURM is asked only what is in the
queue. submitit's own verdicts are not used: it takes a node failure as final, and counts a
preemption under a limit of ten minutes as a time-out.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge

from kdlab.errors import BadInput
from kdlab.storage.durable import write_whole
from sweeps.journal.events import Event, TaskId
from sweeps.launchers import controller, submitit_files
from sweeps.launchers.submission import Submission

QUEUE_AGE = 60.0  # seconds for which an answer of squeue serves every `status`
SPARED = 0.5  # of a partition's nodes that are up, which are never left out
RESERVED = {  # options by which a task is found again and told its end
    "array", "error", "job-name", "open-mode", "output", "parsable", "signal", "test-only", "wait",
    "wrap",
}  # fmt: skip
Number = Annotated[int, Ge(1)]
Minutes = Annotated[int, Ge(5)]  # submitit asks for a signal 90 s before the end


def submit(
    submission: Submission,
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
        submission: the tasks.
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
    # `afterany`, not `afterok`: a parent may be done although its task failed on another run, and
    # the worker of a child looks for the parent's model itself.
    after = submission.after.values()
    options = {
        "partition": partition,
        "account": account,
        "qos": qos,
        "constraint": constraint,
        "gres": gres,
        "gpus_per_node": gpus_per_node,
        "cpus_per_task": cpus_per_task,
        "mem": mem,
        "exclude": ",".join(_left_out(submission.exclude, partition)) or None,
        "dependency": "afterany:" + ":".join(after) if after else None,
        "time": time,
        # One of several arrays of a level gets its part of `parallel`, by its number of tasks.
        "array_parallelism": max(1, parallel * len(submission.shards) // submission.level_tasks),
        "setup": [*submitit_files.exports(submission.code), *setup],
        "additional_parameters": {"requeue": True, **_allowed(additional)},
    }
    job = _sbatch(submission, {key: value for key, value in options.items() if value is not None})
    submitit_files.write_calls(submission.folder, job, submission.intent, submission.shards, time)
    return job


def _sbatch(submission: Submission, options: Mapping[str, Any]) -> str:
    """Write the batch script and submit it; return its job id.

    If sbatch refuses the name of a host that is left out, no host is.
    """
    script = submitit_files.write_script(submission, options)
    name, env = controller.job_name(submission.intent), controller.environment(options)
    try:
        job = controller.sbatch(script, name, env)
    except BadInput as error:
        if "exclude" not in options or "node" not in str(error):
            raise
        print(f"sweeps: {error}; again, and no host is left out", flush=True)
        without_exclude = {key: value for key, value in options.items() if key != "exclude"}
        return _sbatch(submission, without_exclude)
    submitit_files.keep_script(script, job)
    return job


def live(root: Path, intents: Sequence[Event], fresh: bool) -> dict[TaskId, str]:
    """The tasks that are in the queue, with SLURM's word for their state.

    Args:
        root: where the last answer of squeue is kept.
        intents: whose tasks.
        fresh: ask now; else an answer of the last minute will do.

    Raises:
        RuntimeError: if SLURM does not answer.
    """
    by_name = {controller.job_name(event["intent"]): event for event in intents}
    tasks = {
        (by_name[row["name"]]["intent"], row["index"]): row["state"]
        for row in _queue(root, sorted(by_name), fresh)
        if row["index"] < len(by_name[row["name"]]["shards"])
    }
    of_others = [event for event in intents if event["user"] not in ("", controller.user())]
    if of_others and controller.hides_others():
        # What is hidden from this user is not gone: only whoever submitted it can tell.
        tasks |= {(e["intent"], n): "UNKNOWN" for e in of_others for n in range(len(e["shards"]))}
    return tasks


def _queue(root: Path, names: Sequence[str], fresh: bool) -> list[dict[str, Any]]:
    """Rows of squeue for these jobs: asked now and kept in a file, or from that file."""
    path = root / "queue.json"
    if not fresh:
        with suppress(OSError, ValueError, KeyError, TypeError):
            answer = json.loads(path.read_bytes())
            rows = [
                {key: row[key] for key in ("job", "index", "name", "state")}
                for row in answer["rows"]
            ]
            # Not from the future: another machine's clock, or one that was set back since.
            is_recent = 0 <= time.time() - answer["time"] < QUEUE_AGE
            if is_recent and set(names) <= set(answer["names"]):
                return [row for row in rows if row["name"] in names]
    rows = controller.queue(names)
    answer = {"time": time.time(), "names": list(names), "rows": rows}
    with suppress(OSError):  # somebody else's folder, or a full disk
        write_whole(path, json.dumps(answer).encode())
    return rows


def adopt(root: Path, intents: Sequence[Event]) -> dict[str, str]:
    """By intent the job id of those intents that have a job although no event says so.

    The launch may have ended before it wrote every task's call: they are written again.
    """
    by_name = {controller.job_name(event["intent"]): event for event in intents}
    # Should two jobs have the name, all launches adopt the same one of them.
    jobs: dict[str, str] = {}
    for row in controller.queue(sorted(by_name)):
        jobs[row["name"]] = min(row["job"], jobs.get(row["name"], row["job"]))
    for name, job in jobs.items():
        event = by_name[name]
        folder, minutes = root / "logs" / event["intent"], event["minutes"] or 0
        submitit_files.write_calls(folder, job, event["intent"], event["shards"], minutes)
    return {by_name[name]["intent"]: job for name, job in jobs.items()}


def cancel(root: Path, intent: Event) -> None:
    """Cancel an intent's tasks: those at work save their cohorts first."""
    name = controller.job_name(intent["intent"])
    for job in sorted({row["job"] for row in controller.queue([name])}):
        controller.ask("scancel", job)


def largest_array() -> int | None:
    """How many tasks an array may have: MaxArraySize bounds the index, which begins at 0."""
    sizes = [int(controller.config()["MaxArraySize"]), controller.submit_limit()]
    return min(size for size in sizes if size)


def limits() -> str:
    """The cluster's limits on arrays and jobs, and this user's."""
    config, submit_limit = controller.config(), controller.submit_limit()
    of_cluster = [f"{key} {config[key]}" for key in ("MaxArraySize", "MaxJobCount")]
    return ", ".join(of_cluster + ([f"MaxSubmitJobs {submit_limit}"] if submit_limit else []))


def _left_out(blamed: Sequence[str], partition: str | None) -> list[str]:
    """Those of the blamed hosts that can be spared: at least `SPARED` of what is up stays in."""
    if not blamed:
        return []
    try:
        up = controller.hosts(partition or os.environ.get("SBATCH_PARTITION"))
    except (BadInput, RuntimeError) as error:
        print(f"sweeps: no host is left out: {error}", flush=True)
        return []
    # sbatch refuses a name that its partition does not have, so only hosts that are up count.
    here = [host for host in blamed if host in up]
    left_out = here[: int(len(up) * (1 - SPARED))]
    if spared := here[len(left_out) :]:
        print(
            f"sweeps: {', '.join(spared)}: blamed, but not left out: of {len(up)} nodes that are "
            f"up at least {SPARED:.0%} stay in",
            flush=True,
        )
    return left_out


def _allowed(additional: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options that a launcher adds, refused where kdlab sets them."""
    for key in additional:
        if key.replace("_", "-") in RESERVED:
            raise BadInput(f"launcher.additional.{key}: kdlab sets this itself")
    return additional
