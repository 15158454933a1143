"""Classes of trouble, and when trouble fails a run.

The words, as `status`, `retry` and the tables of `analysis` use them:

- *trouble* is an event that says that a cohort did not end, and why: its class. It is held against
  each run of the cohort until a `retry` forgives it.
- a *failure* is the trouble that makes a run not worth another try: `failure` decides by class and
  number. A class that a run of the same cohort may have caused counts only once the run is alone.
- a run has *failed* while it has no record and a failure stands, its own or that of a parent:
  `sweeps.journal.run_states` decides. A run that diverged has not failed: that is a result.

| class | known by | consequence |
|---|---|---|
| preempted | SIGTERM or SIGUSR2 to the task | saved, requeued, never counted (an event `stopped`) |
| time_limit | SIGUSR2 shortly before the end, or the scheduler's log | saved and resumed |
| gpu_oom, host_oom | exception, the kernel's count, the scheduler's log | run alone; then failed |
| crashed | a process that died without an exception | again; then one by one; alone twice: failed |
| node_failure | a device error, a task gone with its node | elsewhere; then alone; thrice: failed |
| io_error | a stale or broken file system | again after a pause; then alone; thrice: failed |
| code_error | any other exception | one by one, failed; ten alike, no success: a stop |
| parent_failed | a parent failed or diverged | failed, until its parents are done |
| disk_full | no space, no quota | the task ends, nothing is held against its runs |
| lost, cancelled | a task that ended without an event | nothing is held against its runs |

A host is blamed, and left out of what is submitted, while different runs crashed on it or met
`node_failure` within the last `BLAME_SECONDS` and nobody called `retry` since.
"""

import errno
import hashlib
import json
import re
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdlab.storage.durable import write_whole
from sweeps.journal.events import Event, History, event_id

# How often a run may meet a class when it is alone; of a class that is not here it never fails.
# An error in the code or a lack of memory comes back at every try; a crash, a bad node or a file
# system that does not answer may not.
ALONE_LIMITS = {
    "code_error": 1,
    "gpu_oom": 1,
    "host_oom": 1,
    "crashed": 2,
    "parent_failed": 1,
    "node_failure": 3,
    "io_error": 3,
}
# How often it may meet a class in a cohort before it is tried alone. A parent's failure is left
# out, as no other run of the cohort can have caused it.
COHORT_LIMITS = {kind: n for kind, n in ALONE_LIMITS.items() if kind != "parent_failed"}
HOST_CLASSES = {"crashed", "node_failure"}  # what may be a host's fault
HOST_INCIDENTS = 2  # of different runs, before a host is left out
BLAME_SECONDS = 24 * 3600.0  # after which an incident is no longer held against its host
PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before what met an io_error is tried again
STOP_KEYS = ("why", "error")  # of a STOP file
ALIKE = 10  # equal fingerprints, without a success, that stop a sweep
MOST_SKIPPED = 10  # invalid lines that are named on stderr one by one
_REPORTED: set[str] = set()
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT}
FILE_SYSTEM_ERRORS = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EREMOTEIO}
DEVICE_ERROR = re.compile(r"CUDA error|cuDNN error|uncorrectable ECC|NCCL error|CUBLAS_STATUS")
HOST_MEMORY_ERROR = re.compile(r"can't allocate memory|not enough memory|Cannot allocate memory")


def describe(error: BaseException) -> dict[str, str]:
    """Describe an exception for a `trouble` event.

    Returns:
        Its class, its message in one line, the end of its traceback, and a fingerprint: a hash of
        the exception's type and the last five places in the code. Equal fingerprints are the same
        mistake, whatever the message says of paths and numbers.
    """
    frames = traceback.extract_tb(error.__traceback__)
    # Names without folders, as each copy of the code lies in a folder of its own.
    where = [f"{Path(f.filename).name}:{f.name}:{f.lineno}" for f in frames[-5:]]
    line = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return {
        "class": classify(error),
        "error": line[:500],
        "fingerprint": _digest(type(error).__name__, *where),
        "traceback": "".join(traceback.format_exception(error))[-4000:],
    }


def classify(error: BaseException) -> str:
    """The class of an exception, by the first of its chain of causes that is a known one."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for link in chain:
        number = link.errno if isinstance(link, OSError) else None
        if number in DISK_ERRORS or "No space left on device" in str(link):
            return "disk_full"
        # By its name: importing the class would load torch, which the worker must not.
        if type(link).__name__ == "OutOfMemoryError" or "CUDA out of memory" in str(link):
            return "gpu_oom"
        if isinstance(link, MemoryError) or HOST_MEMORY_ERROR.search(str(link)):
            return "host_oom"
        if DEVICE_ERROR.search(str(link)):
            return "node_failure"
        if number in FILE_SYSTEM_ERRORS:
            return "io_error"
    return "code_error"


def describe_death(code: int | None, oom_kills: int) -> dict[str, str]:
    """Describe, for a `trouble` event, a process that died without an exception.

    Args:
        code: its exit code; a negative one is the signal that ended it.
        oom_kills: how many processes the kernel killed meanwhile because memory ran out.
    """
    kind = "host_oom" if oom_kills else "crashed"
    how = f"died of signal {-code}" if code and code < 0 else f"exited with code {code}"
    return {"class": kind, "error": f"the process {how}", "fingerprint": _digest(how)}


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=4).hexdigest()


# What the scheduler writes at the end of a task's log.
LOG_PATTERNS = {
    "host_oom": r"oom[-_ ]kill|exceeded memory limit|Out Of Memory",
    "time_limit": r"DUE TO TIME LIMIT",
    "node_failure": r"DUE TO NODE FAIL|NODE_FAIL",
    "cancelled": r"CANCELLED AT",
}


def class_from_log(log: Path) -> str:
    """The class of a task's end by what the scheduler wrote into its log; `lost` by default."""
    # SLURM writes at the end; earlier lines are the runs' own, and may have such words too.
    try:
        end = log.read_bytes()[-20000:].decode(errors="replace")
    except OSError:
        return "lost"
    return next((kind for kind, pattern in LOG_PATTERNS.items() if re.search(pattern, end)), "lost")


def failure(trouble: Sequence[Event]) -> Event | None:
    """The event that fails a run, of the trouble that is held against it; None if none does."""
    for kind, limit in ALONE_LIMITS.items():
        alone = [event for event in trouble if event["class"] == kind and len(event["uids"]) == 1]
        if len(alone) >= limit:
            return alone[-1]
    return None


def failed_by(history: History) -> dict[str, Event]:
    """By uid of every run with a failure the event that fails it."""
    return {uid: event for uid, trouble in history.trouble.items() if (event := failure(trouble))}


def must_be_alone(trouble: Sequence[Event]) -> bool:
    """Whether a run must be tried alone, so that its trouble is known to be its own."""
    classes = [event["class"] for event in trouble]
    return any(classes.count(kind) >= limit for kind, limit in COHORT_LIMITS.items())


def pause(trouble: Iterable[Event]) -> float:
    """Seconds to wait before runs with this trouble are tried again: doubled each time."""
    # The exponent is bounded, as 2 ** 1024 is too large for a float.
    times = sum(1 for event in distinct(trouble) if event["class"] == "io_error")
    return min(PAUSE * 2 ** min(times - 1, 10), LONGEST_PAUSE) if times else 0.0


@dataclass(frozen=True)
class Blame:
    """A host that is left out of what is submitted.

    Attributes:
        incidents: trouble of different runs on it, oldest first.
        until: when too few of them are recent, in seconds since the epoch.
    """

    host: str
    incidents: list[Event]
    until: float

    @property
    def why(self) -> str:
        """The incidents in words."""
        classes = " and ".join(dict.fromkeys(event["class"] for event in self.incidents))
        last = self.incidents[-1]["error"]
        return f"{len(self.incidents)} different runs met {classes}" + (last and f"; last: {last}")


def blamed(history: History) -> list[Blame]:
    """The hosts on which different runs met trouble of late, the worst first."""
    now = time.time()
    incidents: dict[str, list[Event]] = {}
    for event in distinct(event for trouble in history.trouble.values() for event in trouble):
        # A time in the future is of a clock that was set back: it must not blame for years.
        is_recent = abs(now - event["time"]) < BLAME_SECONDS
        counts = event["class"] in HOST_CLASSES and event["node"] and is_recent
        if counts and event_id(event) not in history.pardoned:
            incidents.setdefault(event["node"], []).append(event)
    # A host is free once all but `HOST_INCIDENTS` - 1 of its incidents are too old to count.
    blames = [
        Blame(host, evidence, min(evidence[-HOST_INCIDENTS]["time"], now) + BLAME_SECONDS)
        for host, on_host in incidents.items()
        if len(evidence := _of_different_runs(on_host)) >= HOST_INCIDENTS
    ]
    return sorted(blames, key=lambda blame: (-len(blame.incidents), blame.host))


def _of_different_runs(incidents: Iterable[Event]) -> list[Event]:
    """The incidents that share no run with an earlier one, oldest first.

    A run that crashes twice on a host may be to blame itself: only another run is new evidence.
    """
    evidence: list[Event] = []
    for event in sorted(incidents, key=lambda event: event["time"]):
        if all(not set(earlier["uids"]) & set(event["uids"]) for earlier in evidence):
            evidence.append(event)
    return evidence


def distinct(trouble: Iterable[Event]) -> list[Event]:
    """Every event once: the event of a cohort is listed under each of the cohort's runs."""
    return list({event_id(event): event for event in trouble}.values())


def stop_if_hopeless(root: str | Path, history: History, study: str) -> None:
    """Write the study's STOP file if `ALIKE` runs fail alike and none at their depth succeeds.

    Depth is the number of generations of parents that a run has: teachers may succeed although
    what makes all of their students fail is a mistake.
    """
    successful = {event["level"] for event in history.ends if event["study"] == study}
    alike: dict[str, list[Event]] = {}
    for event in failed_by(history).values():
        if event["class"] == "code_error" and event["study"] == study:
            alike.setdefault(event["fingerprint"], []).append(event)
    for events in alike.values():
        if len(events) >= ALIKE and events[0]["level"] not in successful:
            why = {"why": f"{len(events)} runs failed alike and none succeeded", **events[0]}
            write_whole(stop_file(root, study), json.dumps(why, indent=1).encode())


def stop_file(root: str | Path, study: str) -> Path:
    """The file that stops a study's tasks between cohorts."""
    return Path(root) / "studies" / study / "STOP"


def stopped(root: str | Path, study: str) -> dict[str, Any] | None:
    """Why a study stopped itself, as `why` and `error`; None if it did not.

    A file that does not say so stops nothing: ten more runs that fail alike write it anew.
    """
    with suppress(OSError, ValueError, RecursionError):
        reason = json.loads(stop_file(root, study).read_bytes())
        if isinstance(reason, dict) and all(isinstance(reason.get(k), str) for k in STOP_KEYS):
            return reason
    return None


def report_skipped(skipped: Sequence[str]) -> None:
    """Name invalid lines and files on stderr, each once in a process."""
    new = [line for line in dict.fromkeys(skipped) if line not in _REPORTED]
    _REPORTED.update(new)
    for line in new[:MOST_SKIPPED]:
        print(f"sweeps: passed over: {line}", file=sys.stderr)
    if len(new) > MOST_SKIPPED:
        print(f"sweeps: passed over: {len(new) - MOST_SKIPPED} lines more", file=sys.stderr)


def invalid_stop(root: str | Path, study: str) -> list[str]:
    """A line that names a STOP file which exists and stops nothing; nothing where all is well."""
    is_invalid = stop_file(root, study).is_file() and stopped(root, study) is None
    line = f"studies/{study}/STOP: it does not say why the study has stopped"
    return [line] if is_invalid else []
