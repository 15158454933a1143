"""Classes of failure, and what follows from each.

| class | told by | consequence |
|---|---|---|
| preempted | SIGTERM or SIGUSR2 to the task | saved, requeued, never counted (an event `stopped`) |
| time_limit | SIGUSR2 shortly before the end, or the scheduler's word | saved and resumed |
| gpu_oom, host_oom | exception, the kernel's or the scheduler's word | run alone; then failed |
| crashed | a process that died without an exception | again; then one by one; alone twice: failed |
| node_failure | a device error, a task gone with its node | elsewhere; then alone; thrice: failed |
| io_error | a stale or broken file system | again after a pause; then alone; thrice: failed |
| code_error | any other exception | one by one, failed; ten alike, no success: a stop |
| parent_failed | a parent failed or diverged | failed, until its parents are done |
| disk_full | no space, no quota | the task ends, nothing is held against its runs |
| lost, cancelled | a task that ended without a word | nothing is held against its runs |

A diverged run is a result.

A host is blamed, and left out of what is submitted, while different runs crashed on it or met
`node_failure` within the last `BLAME` seconds and nobody called `retry` since.
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

from kdlab.record import write_whole
from sweeps.journal.events import Event, State, identity

# How often a run may meet a class when alone; classes that are not here never fail a run.
ALONE = {
    "code_error": 1,
    "gpu_oom": 1,
    "host_oom": 1,
    "crashed": 2,
    "parent_failed": 1,
    "node_failure": 3,
    "io_error": 3,
}
APART = {  # in company, before alone
    "gpu_oom": 1,
    "host_oom": 1,
    "code_error": 1,
    "crashed": 2,
    "node_failure": 3,
    "io_error": 3,
}
BLAMED = {"crashed", "node_failure"}
HOST_INCIDENTS = 2  # of different runs, before a host is left out
BLAME = 24 * 3600.0  # seconds after which an incident is no longer held against its host
PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before what met an io_error is tried again
STOP = ("why", "error")  # what a STOP file says
ALIKE = 10  # equal fingerprints, without a success, that stop a sweep
ODD = 10  # lines that were passed over, by name
_SAID: set[str] = set()
DISK = {errno.ENOSPC, errno.EDQUOT}
BROKEN = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EREMOTEIO}
DEVICE = re.compile(r"CUDA error|cuDNN error|uncorrectable ECC|NCCL error|CUBLAS_STATUS")
HOST_MEMORY = re.compile(r"can't allocate memory|not enough memory|Cannot allocate memory")


def describe(error: BaseException) -> dict[str, str]:
    """An exception's class, one line, fingerprint and traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{Path(f.filename).name}:{f.name}:{f.lineno}" for f in frames[-5:]]
    line = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return {
        "class": classify(error),
        "error": line[:500],
        "fingerprint": _digest(type(error).__name__, *where),
        "traceback": "".join(traceback.format_exception(error))[-4000:],
    }


def classify(error: BaseException) -> str:
    """The class of an exception, or of what caused it."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for each in chain:
        number = each.errno if isinstance(each, OSError) else None
        if number in DISK or "No space left on device" in str(each):
            return "disk_full"
        if type(each).__name__ == "OutOfMemoryError" or "CUDA out of memory" in str(each):
            return "gpu_oom"
        if isinstance(each, MemoryError) or HOST_MEMORY.search(str(each)):
            return "host_oom"
        if DEVICE.search(str(each)):
            return "node_failure"
        if number in BROKEN:
            return "io_error"
    return "code_error"


def death(code: int | None, oom_kills: int) -> dict[str, str]:
    """A process that died without an exception: how, and whether for want of memory."""
    kind = "host_oom" if oom_kills else "crashed"
    how = f"died of signal {-code}" if code and code < 0 else f"exited with code {code}"
    return {"class": kind, "error": f"the process {how}", "fingerprint": _digest(how)}


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=4).hexdigest()


LOGGED = {
    "host_oom": r"oom[-_ ]kill|exceeded memory limit|Out Of Memory",
    "time_limit": r"DUE TO TIME LIMIT",
    "node_failure": r"DUE TO NODE FAIL|NODE_FAIL",
    "cancelled": r"CANCELLED AT",
}


def epitaph(log: Path) -> str:
    """The class of a task's end by the scheduler's last words in its log; else `lost`."""
    try:
        end = log.read_bytes()[-20000:].decode(errors="replace")
    except OSError:
        return "lost"
    return next((kind for kind, text in LOGGED.items() if re.search(text, end)), "lost")


def failure(trouble: Sequence[Event]) -> Event | None:
    """The trouble that fails a run, if what is held against it does."""
    for kind, limit in ALONE.items():
        alone = [event for event in trouble if event["class"] == kind and len(event["uids"]) == 1]
        if len(alone) >= limit:
            return alone[-1]
    return None


def must_be_alone(trouble: Sequence[Event]) -> bool:
    """Whether a run must not be given company any more."""
    met = [event["class"] for event in trouble]
    return any(met.count(kind) >= limit for kind, limit in APART.items())


def pause(trouble: Iterable[Event]) -> float:
    """Seconds before runs that this trouble is held against are tried again: doubled each time."""
    met = sum(1 for event in unique(trouble) if event["class"] == "io_error")
    return min(PAUSE * 2 ** min(met - 1, 10), LONGEST_PAUSE) if met else 0.0


@dataclass(frozen=True)
class Blame:
    """A host that is left out.

    Attributes:
        incidents: what different runs met on it.
        until: when there are too few of them left, in seconds since the epoch.
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


def blamed(state: State) -> list[Blame]:
    """Hosts on which different runs came to grief of late, the worst first."""
    now = time.time()
    found: dict[str, list[Event]] = {}
    for event in unique(trouble for each in state.trouble.values() for trouble in each):
        # A time to come is of a clock that was set back: it must not blame for years.
        is_recent = abs(now - event["time"]) < BLAME
        counts = event["class"] in BLAMED and event["node"] and is_recent
        if counts and identity(event) not in state.pardoned:
            found.setdefault(event["node"], []).append(event)
    blames = [
        Blame(host, met, min(met[-HOST_INCIDENTS]["time"], now) + BLAME)
        for host, events in found.items()
        if len(met := _of_different_runs(events)) >= HOST_INCIDENTS
    ]
    return sorted(blames, key=lambda blame: (-len(blame.incidents), blame.host))


def _of_different_runs(incidents: Iterable[Event]) -> list[Event]:
    """Incidents, oldest first, but for those of a run that was met before: no new evidence."""
    met: list[Event] = []
    for event in sorted(incidents, key=lambda event: event["time"]):
        if all(not set(other["uids"]) & set(event["uids"]) for other in met):
            met.append(event)
    return met


def unique(trouble: Iterable[Event]) -> list[Event]:
    """Events once each: one of a cohort is held against each of its runs."""
    return list({identity(event): event for event in trouble}.values())


def stop_if_hopeless(root: str | Path, state: State, study: str) -> None:
    """Write the study's STOP file if runs fail alike and none at their depth succeeds."""
    well = {event["level"] for event in state.ends if event["study"] == study}
    alike: dict[str, list[Event]] = {}
    for events in state.trouble.values():
        found = failure(events)
        if found and found["class"] == "code_error" and found["study"] == study:
            alike.setdefault(found["fingerprint"], []).append(found)
    for events in alike.values():
        if len(events) >= ALIKE and events[0]["level"] not in well:
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
        page = json.loads(stop_file(root, study).read_bytes())
        if isinstance(page, dict) and all(isinstance(page.get(key), str) for key in STOP):
            return page
    return None


def say_odd(odd: Sequence[str]) -> None:
    """Name lines and files that were passed over, each once in a process."""
    new = [line for line in dict.fromkeys(odd) if line not in _SAID]
    _SAID.update(new)
    for line in new[:ODD]:
        print(f"sweeps: passed over: {line}", file=sys.stderr)
    if len(new) > ODD:
        print(f"sweeps: passed over: {len(new) - ODD} lines more", file=sys.stderr)


def odd_stop(root: str | Path, study: str) -> list[str]:
    """A STOP file that is there and stops nothing, in words."""
    path = stop_file(root, study)
    is_odd = path.is_file() and stopped(root, study) is None
    return [f"studies/{study}/STOP: it does not say why the study has stopped"] if is_odd else []
