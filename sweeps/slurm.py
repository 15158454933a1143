"""Tasks as SLURM job arrays, through submitit's executor.

What becomes of a task is read from our own records and events; SLURM is asked only what is in the
queue. submitit's verdicts are not used: it takes a node failure as final, and counts a preemption
under a limit of ten minutes as a time-out.
"""

import getpass
import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge

from kdlab.record import write_whole
from kdlab.schema import BadInput
from sweeps.array import Array, environment
from sweeps.events import Event, Task

EVERY = 60.0  # seconds for which an answer of squeue serves every `status`
TRIES = 6  # of an sbatch that SLURM refuses for reasons that pass
TIMEOUT = 120  # seconds for a SLURM command
PASSING = re.compile(
    "(?i)timed out|unable to contact|temporarily|try again|connection refused|connect failure"
    "|communication|submit ?limit|MaxSubmit|MaxJobCount"
)
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
        RuntimeError: if SLURM did not take it for long.
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
        "exclude": ",".join(array.exclude) or None,
        "dependency": "afterany:" + ":".join(array.after.values()) if array.after else None,
    }
    executor = _executor(array.folder)
    executor.update_parameters(
        **{key: value for key, value in stated.items() if value is not None},
        job_name=_job_name(array.intent),
        comment=array.name,
        time=time,
        array_parallelism=max(1, parallel // array.share),
        setup=[*_exports(array.code), *setup],
        stderr_to_stdout=True,
        additional_parameters={"requeue": True, **additional},
    )
    jobs = _patiently(lambda: executor.submit_array(_calls(array.intent, array.shards, time)))
    for script in array.folder.glob("*.sh"):
        script.chmod(0o600)  # what a shell runs is its owner's business
    return str(jobs[0].job_id).partition("_")[0]


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

    from sweeps.worker import work

    return [
        partial(work, str(shard), intent, index, float(minutes))
        for index, shard in enumerate(shards)
    ]


def _patiently(call: Any) -> Any:
    """An sbatch, again and later if SLURM refuses it for a reason that passes."""
    from submitit.core.utils import FailedJobError

    for attempt in range(TRIES):
        try:
            return call()
        except FailedJobError as error:
            why = " ".join(str(error).split())
            if not PASSING.search(why):
                raise BadInput(f"launcher=slurm: sbatch: {why}") from None
            if attempt == TRIES - 1:
                raise RuntimeError(f"sbatch was refused {TRIES} times: {why}") from None
            print(f"sweeps: sbatch: {why}; again in {2**attempt} s", flush=True)
            time.sleep(2**attempt)


def _job_name(intent: str) -> str:
    return f"kdlab-{intent}"


def live(root: str | Path, intents: Sequence[Event], fresh: bool = True) -> dict[Task, str]:
    """The tasks that are in the queue, with SLURM's word for their state.

    Args:
        root: where the last answer of squeue is kept.
        intents: whose tasks.
        fresh: ask now; else an answer of the last minute will do.

    Raises:
        RuntimeError: if SLURM does not answer.
    """
    names = {_job_name(event["intent"]): event["intent"] for event in intents}
    return {
        (names[row["name"]], row["index"]): row["state"]
        for row in _queue(Path(root), fresh)
        if row["name"] in names
    }


def _queue(root: Path, fresh: bool) -> list[dict[str, Any]]:
    path = root / "queue.json"
    if not fresh and path.is_file():
        page = json.loads(path.read_text())
        if time.time() - page["time"] < EVERY:
            return list(page["rows"])
    rows = list(_squeue())
    write_whole(path, json.dumps({"time": time.time(), "rows": rows}).encode())
    return rows


def _squeue() -> Iterator[dict[str, Any]]:
    printed = _slurm("squeue", "-h", "-r", "-u", getpass.getuser(), "-o", "%i|%j|%T")
    for line in printed.splitlines():
        job, name, state = line.split("|")
        number, _, index = job.partition("_")
        yield {"job": number, "index": int(index or 0), "name": name, "state": state}


def _slurm(*command: str) -> str:
    try:
        return subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=TIMEOUT
        ).stdout
    except FileNotFoundError:
        raise BadInput(f"launcher=slurm: there is no {command[0]} here") from None
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{command[0]}: no answer in {TIMEOUT} s") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["failed"])[-1]
        raise RuntimeError(last if command[0] in last else f"{command[0]}: {last}") from None


def adopt(root: str | Path, event: Event) -> str | None:
    """The job id of an intent whose submission was not noted; None if there is no such job.

    The launch may have ended before submitit gave every task its pickle: they are given again.
    """
    from submitit.core.utils import DelayedSubmission, JobPaths

    name = _job_name(event["intent"])
    jobs = {row["job"] for row in _queue(Path(root), fresh=True) if row["name"] == name}
    if not jobs:
        return None
    job = min(jobs)
    for index, call in enumerate(_calls(event["intent"], event["shards"], event["minutes"])):
        own = job if len(event["shards"]) == 1 else f"{job}_{index}"
        path = JobPaths(folder=Path(root) / "logs" / event["intent"], job_id=own).submitted_pickle
        if not path.exists():
            delayed = DelayedSubmission(call)
            delayed.set_timeout(event["minutes"], 3)
            partial = path.with_suffix(".partial")
            delayed.dump(partial)
            os.replace(partial, path)
    return job


def cancel(root: str | Path, event: Event) -> None:
    """Cancel an intent's tasks: those at work save their cohorts first."""
    _slurm("scancel", event["job"])


def largest_array() -> int | None:
    """How many tasks an array may have: MaxArraySize bounds the index, which begins at 0."""
    return int(_config()["MaxArraySize"])


def limits() -> str:
    """What bounds a launch here."""
    config = _config()
    return ", ".join(f"{key} {config[key]}" for key in ("MaxArraySize", "MaxJobCount"))


def _config() -> Mapping[str, str]:
    lines = _slurm("scontrol", "show", "config").splitlines()
    pairs = (line.partition("=") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}
