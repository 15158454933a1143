"""What SLURM's commands are told and say: sbatch, squeue, sinfo, scontrol, sacctmgr, scancel.

Lines that are not in the form that was asked for (notices, banners, other people's jobs) are passed
over, and nothing rests on who the environment says that we are.
"""

import os
import pwd
import re
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from time import sleep
from typing import Any

from kdlab.errors import BadInput

TRIES = 6  # of an sbatch that SLURM refuses for reasons that pass
TIMEOUT = 120  # seconds for a SLURM command
PASSING = re.compile(
    "(?i)timed out|no answer|unable to contact|temporarily|try again|connection refused"
    "|connect failure|communication"
)
CROWDED = re.compile("(?i)submit ?(limit|job)|MaxJobCount|invalid job array specification")
# Queue names are ours alone; squeue's other fields have no vertical line.
ROW = re.compile(r"(\d+)(?:_(\d+))?\|([A-Z_]+)\|(kdlab-[\w-]+)")
SUBMITTED = re.compile(r"(?:Submitted batch job )?(\d+)(?:;\S*| on cluster \S+)?")
GONE = re.compile(r"(?i)(down|drain|fail|maint|unk|inval|reboot)|.*\*$")
# What an allocation says of itself, and a job that is submitted from within must not inherit.
ALLOCATION = ("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SUBMITIT_", "PMI_", "PMIX_")
DEVICES = {"CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"}
CLUSTER = {"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT"}  # how to reach it
# What a user may set for all of their jobs; a launcher that says otherwise goes before.
USUAL = ("ACCOUNT", "PARTITION", "QOS", "CONSTRAINT", "GRES", "RESERVATION", "CLUSTERS", "WCKEY")
FILTERS = ("SQUEUE_", "SCANCEL_", "SINFO_", "SACCTMGR_")  # would change what commands say


class Crowded(RuntimeError):
    """SLURM takes no array of this size now: too many jobs of this user, or of all."""


def job_name(intent: str) -> str:
    """The name in the queue of a submission."""
    return f"kdlab-{intent}"


def user() -> str:
    """Whose process this is, whatever the environment says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container without a list of users
        return str(os.getuid())


def ask(*command: str, env: Mapping[str, str] | None = None) -> str:
    """What a SLURM command prints.

    Raises:
        BadInput: there is no such command.
        RuntimeError: it fails, or does not answer.
    """
    if env is None:
        env = {key: value for key, value in os.environ.items() if not key.startswith(FILTERS)}
    try:
        return subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=TIMEOUT, env=env
        ).stdout
    except FileNotFoundError:
        raise BadInput(f"launcher=slurm: there is no {command[0]} here") from None
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{command[0]}: no answer in {TIMEOUT} s") from None
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split()) or "failed"
        raise RuntimeError(said if command[0] in said else f"{command[0]}: {said}") from None


def environment(stated: Collection[str]) -> dict[str, str]:
    """The environment for sbatch, which its job inherits.

    Variables of sbatch go before what a script says: only those are kept that a user may set for
    all of their jobs and that the launcher does not state. From within an allocation nothing goes
    along that says what that allocation is.

    Args:
        stated: names of the options that the launcher states, such as `partition`.
    """
    own = {name.upper() for name in stated}
    kept = {f"SBATCH_{name}" for name in USUAL if name not in own}
    inside = "SLURM_JOB_ID" in os.environ
    if inside:
        kept = set()
    foreign = ALLOCATION if inside else ("SBATCH_",)
    return {
        key: value
        for key, value in os.environ.items()
        if key in kept | CLUSTER or not (key.startswith(foreign) or (inside and key in DEVICES))
    }


def sbatch(script: Path, name: str, env: Mapping[str, str]) -> str:
    """Submit a script; return its job id.

    A call that fails may have been taken all the same: before it is repeated, the queue is asked
    for the script's name.

    Args:
        script: the file.
        name: of the job, which no other has.
        env: of the call.

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
            continue
        if jobs:
            print(f"sweeps: job {min(jobs)} was submitted all the same", flush=True)
            return min(jobs)
        job, why = _try(script, env)
        if job:
            return job
    raise RuntimeError(f"tried {TRIES} times: {why}")


def _try(script: Path, env: Mapping[str, str]) -> tuple[str, str]:
    """The job id of a submission, or why it is not known."""
    try:
        printed = ask("sbatch", "--parsable", str(script), env=env)
    except RuntimeError as error:
        if CROWDED.search(str(error)):
            raise Crowded(str(error)) from None
        if not PASSING.search(str(error)):
            raise BadInput(f"launcher=slurm: {error}") from None
        return "", str(error)
    # The id stands on a line of its own, among whatever else is printed there.
    lines = [SUBMITTED.fullmatch(line.strip()) for line in printed.splitlines()]
    ids = {found[1] for found in lines if found}
    why = f"sbatch: no job id in {' '.join(printed.split())!r}"
    return (ids.pop(), "") if len(ids) == 1 else ("", why)


def queue(names: Sequence[str]) -> list[dict[str, Any]]:
    """The tasks in the queue of jobs with these names, whoever submitted them.

    Raises:
        RuntimeError: if SLURM does not answer.
    """
    return list(_rows(names)) if names else []


def _rows(names: Sequence[str]) -> Iterator[dict[str, Any]]:
    printed = ask("squeue", "-h", "-r", f"--name={','.join(names)}", "-o", "%i|%T|%j")
    wanted = set(names)
    for line in printed.splitlines():
        found = ROW.fullmatch(line.strip())
        if found and found[4] in wanted:
            job, index, state, name = found.groups()
            yield {"job": job, "index": int(index or 0), "name": name, "state": state}


def hides_others() -> bool:
    """Whether this user is shown their own jobs alone."""
    return "jobs" in config().get("PrivateData", "")


def hosts(partition: str | None) -> list[str]:
    """The nodes of a partition, of the default one unless given, that are up.

    Raises:
        RuntimeError: if SLURM does not answer.
    """
    chosen = [f"--partition={partition}"] if partition else []
    found = [
        line.split("|") for line in ask("sinfo", "-h", "-N", *chosen, "-o", "%N|%P|%T").splitlines()
    ]
    nodes = [parts for parts in found if len(parts) == 3]
    defaults = [parts for parts in nodes if parts[1].endswith("*")]
    named = nodes if partition else defaults or nodes
    return list(dict.fromkeys(name for name, _, state in named if not GONE.match(state)))


def config() -> Mapping[str, str]:
    """The cluster's configuration."""
    lines = ask("scontrol", "show", "config").splitlines()
    pairs = (line.partition("=") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def submit_limit() -> int | None:
    """The smallest MaxSubmitJobs of this user's accounts; None where none is set or told."""
    command = ("sacctmgr", "-n", "-P", "show", "assoc", f"user={user()}", "format=MaxSubmitJobs")
    try:
        printed = ask(*command)
    except (BadInput, RuntimeError):
        return None
    numbers = [int(line) for line in printed.split() if line.isdecimal()]
    return min((number for number in numbers if number > 0), default=None)
