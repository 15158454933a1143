"""Where a task runs: its node, its job and its log, by the scheduler's variables."""

import os
import socket
import subprocess


def node() -> str:
    """The machine, by the scheduler's name for it."""
    # `sinfo` and `--exclude` go by this name, which need not be the machine's own.
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def job() -> str:
    """The scheduler's id of this task; outside of SLURM the process id."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    if array:
        return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return os.environ.get("SLURM_JOB_ID", str(os.getpid()))


def restarts() -> int:
    """How often the scheduler has started this task again."""
    return int(os.environ.get("SLURM_RESTART_COUNT", "0"))


def log() -> str:
    """The file to which this task prints; "" if it is not known."""
    if "SUBMITIT_FOLDER" in os.environ:
        import submitit

        return str(submitit.JobEnvironment().paths.stdout)
    try:
        return os.readlink("/proc/self/fd/1")
    except OSError:  # no Linux
        return ""


def is_down(host: str) -> bool:
    """Whether SLURM takes another node for down, drained or failing."""
    # A machine that can ask is not down, whatever sinfo says of it a moment after a reboot.
    if "SLURM_JOB_ID" not in os.environ or host == node():
        return False
    states = subprocess.run(
        ["sinfo", "-h", "-n", host, "-o", "%T"], capture_output=True, text=True, timeout=60
    ).stdout
    return any(word in states for word in ("down", "drain", "fail"))


def requeue() -> None:
    """Put this task back into the queue of SLURM, if it is one of SLURM's.

    Whatever submitit does about it: it requeues only some of the tasks that are signalled.
    """
    if "SLURM_JOB_ID" in os.environ:
        subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], timeout=60)
