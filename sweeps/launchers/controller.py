"""SLURM's commands and their answers: sbatch, squeue, sinfo, scontrol, sacctmgr, scancel.

Lines that are not in the form that was asked for (notices, banners, other people's jobs) are passed
over. The environment is not trusted: neither for the user's name nor for options of the commands.
"""

import os
import pwd
import re
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from time import sleep
from typing import Any

from kdlab.errors import BadInput

TRIES = 6  # of an sbatch that fails for a passing reason; 1, 2, 4, 8 and 16 s apart
TIMEOUT = 120  # seconds for a SLURM command
PASSING_ERROR = re.compile(
    "(?i)timed out|no answer|unable to contact|temporarily|try again|connection refused"
    "|connect failure|communication"
)
CROWDED_ERROR = re.compile("(?i)submit ?(limit|job)|MaxJobCount|invalid job array specification")
# Job id, array index, state and name. Names are made by `job_name`; no other field has a |.
QUEUE_ROW = re.compile(r"(\d+)(?:_(\d+))?\|([A-Z_]+)\|(kdlab-[\w-]+)")
SUBMITTED_LINE = re.compile(r"(?:Submitted batch job )?(\d+)(?:;\S*| on cluster \S+)?")
DOWN_STATE = re.compile(r"(?i)(down|drain|fail|maint|unk|inval|reboot)|.*\*$")
# Variables that describe an allocation: a job that is submitted from within must not inherit them.
OF_ALLOCATION = ("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SUBMITIT_", "PMI_", "PMIX_")
DEVICES = {"CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"}
CLUSTER = {"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT"}  # how to reach it
# The SBATCH_* variables that a user may set for all jobs; a launcher's own option goes first.
USER_DEFAULTS = (
    "ACCOUNT", "PARTITION", "QOS", "CONSTRAINT", "GRES", "RESERVATION", "CLUSTERS", "WCKEY",
)  # fmt: skip
FILTER_PREFIXES = ("SQUEUE_", "SCANCEL_", "SINFO_", "SACCTMGR_")  # would change what commands say


class Crowded(RuntimeError):
    """SLURM takes no array of this size now: too many jobs of this user, or of all."""


def job_name(intent: str) -> str:
    """The name that a submission's job has in the queue."""
    return f"kdlab-{intent}"


def user() -> str:
    """The user of this process by its number, whatever the environment says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container without a list of users
        return str(os.getuid())


def ask(*command: str, env: Mapping[str, str] | None = None) -> str:
    """Run a SLURM command and return what it prints.

    Raises:
        BadInput: there is no such command.
        RuntimeError: it fails, or does not answer.
    """
    if env is None:
        env = {k: v for k, v in os.environ.items() if not k.startswith(FILTER_PREFIXES)}
    try:
        return subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=TIMEOUT, env=env
        ).stdout
    except FileNotFoundError:
        raise BadInput(f"launcher=slurm: there is no {command[0]} here") from None
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{command[0]}: no answer in {TIMEOUT} s") from None
    except subprocess.CalledProcessError as error:
        message = " ".join(error.stderr.split()) or "failed"
        is_named = command[0] in message
        raise RuntimeError(message if is_named else f"{command[0]}: {message}") from None


def environment(stated: Collection[str]) -> dict[str, str]:
    """The environment for a call of sbatch, which the job inherits.

    For sbatch its variables count more than the script: only those of `USER_DEFAULTS` are kept
    whose option the launcher does not state. From within an allocation no variable goes along
    that describes it.

    Args:
        stated: names of the options that the launcher states, such as `partition`.
    """
    in_script = {name.upper() for name in stated}
    users = {f"SBATCH_{name}" for name in USER_DEFAULTS if name not in in_script}
    is_inside = "SLURM_JOB_ID" in os.environ
    # Inside, an SBATCH_* may be what the surrounding job was submitted with.
    inherited = CLUSTER if is_inside else CLUSTER | users
    foreign = OF_ALLOCATION if is_inside else ("SBATCH_",)
    return {
        key: value
        for key, value in os.environ.items()
        if key in inherited or not (key.startswith(foreign) or (is_inside and key in DEVICES))
    }


def sbatch(script: Path, name: str, env: Mapping[str, str]) -> str:
    """Submit a script; return its job id.

    SLURM may have taken the job of a call that failed: before the call is repeated, the queue is
    asked for the job's name.

    Args:
        script: the file.
        name: of the job; no other job has it.
        env: the environment of the call.

    Raises:
        BadInput: SLURM will never take it.
        Crowded: SLURM takes no array of this size now.
        RuntimeError: SLURM does not answer; whether it took the script is not known.
    """
    why = ""
    for attempt in range(TRIES):
        if attempt:
            print(f"sweeps: {why}; again in {2 ** (attempt - 1)} s", flush=True)
            sleep(2 ** (attempt - 1))
        try:
            jobs = {row["job"] for row in queue([name])} if attempt else set()
        except RuntimeError as error:
            why = str(error)
            continue  # while the queue is unknown, a second call could be a second job
        if jobs:
            print(f"sweeps: job {min(jobs)} was submitted all the same", flush=True)
            return min(jobs)
        job, why = _try(script, env)
        if job:
            return job
    raise RuntimeError(f"tried {TRIES} times: {why}")


def _try(script: Path, env: Mapping[str, str]) -> tuple[str, str]:
    """Call sbatch once; return the job id and "", or, if it is not known, "" and the reason."""
    try:
        printed = ask("sbatch", "--parsable", str(script), env=env)
    except RuntimeError as error:
        if CROWDED_ERROR.search(str(error)):
            raise Crowded(str(error)) from None
        if not PASSING_ERROR.search(str(error)):
            raise BadInput(f"launcher=slurm: {error}") from None
        return "", str(error)
    # The id stands on a line of its own, among whatever else is printed there.
    lines = [SUBMITTED_LINE.fullmatch(line.strip()) for line in printed.splitlines()]
    ids = {match[1] for match in lines if match}
    why = f"sbatch: no job id in {' '.join(printed.split())!r}"
    return (ids.pop(), "") if len(ids) == 1 else ("", why)


def queue(names: Sequence[str]) -> list[dict[str, Any]]:
    """The tasks in the queue of jobs with these names, whoever submitted them.

    Each has its `job` id, its `index` in the array, the job's `name`, and its `state`.

    Raises:
        RuntimeError: if SLURM does not answer.
    """
    if not names:
        return []
    # By name, as the id of a job may never have been heard, and squeue fails for an id that it has
    # forgotten. -r: a line for each task, also of those that wait together.
    printed = ask("squeue", "-h", "-r", f"--name={','.join(names)}", "-o", "%i|%T|%j")
    distinct = set(names)
    rows = [QUEUE_ROW.fullmatch(line.strip()) for line in printed.splitlines()]
    return [
        {"job": row[1], "index": int(row[2] or 0), "name": row[4], "state": row[3]}
        for row in rows
        if row and row[4] in distinct
    ]


def hides_others() -> bool:
    """Whether squeue shows this user only their own jobs."""
    return "jobs" in config().get("PrivateData", "")


def hosts(partition: str | None) -> list[str]:
    """The nodes of a partition, of the default one unless given, that are up.

    Raises:
        RuntimeError: if SLURM does not answer.
    """
    option = [f"--partition={partition}"] if partition else []
    lines = ask("sinfo", "-h", "-N", *option, "-o", "%N|%P|%T").splitlines()
    nodes = [parts for line in lines if len(parts := line.split("|")) == 3]
    # sinfo marks the default partition, where jobs without one go, by an asterisk.
    of_default = [parts for parts in nodes if parts[1].endswith("*")]
    candidates = nodes if partition else of_default or nodes
    return list(dict.fromkeys(name for name, _, state in candidates if not DOWN_STATE.match(state)))


def config() -> Mapping[str, str]:
    """The cluster's configuration, as `scontrol show config` prints it."""
    lines = ask("scontrol", "show", "config").splitlines()
    pairs = (line.partition("=") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def submit_limit() -> int | None:
    """The smallest MaxSubmitJobs of this user's accounts; None where none is set or shown."""
    command = ("sacctmgr", "-n", "-P", "show", "assoc", f"user={user()}", "format=MaxSubmitJobs")
    # Many clusters have no accounting: halving (`sweeps.submit.launch`) finds the limit as well.
    try:
        printed = ask(*command)
    except (BadInput, RuntimeError):
        return None
    numbers = [int(line) for line in printed.split() if line.isdecimal()]
    return min((number for number in numbers if number > 0), default=None)
