"""Classes of failure, and what follows from each.

| class | told by | consequence |
|---|---|---|
| preempted | SIGTERM or SIGUSR2 to the task | saved, requeued, never counted (an event `stopped`) |
| time_limit | SIGUSR2 shortly before the end, or the scheduler's word | saved and resumed |
| gpu_oom, host_oom | exception, the kernel's or the scheduler's word | run alone; then failed |
| crashed | a process that died without an exception | again; then one by one; alone twice: failed |
| node_failure | a device error, or a task gone with its node | elsewhere; alone thrice: failed |
| io_error | a stale or broken file system | again; alone thrice: failed |
| code_error | any other exception | one by one, failed; ten alike, no success: a stop |
| parent_failed | a parent failed or diverged | failed, until its parents are done |
| disk_full | no space, no quota | the task ends, nothing is held against its runs |
| lost, cancelled | a task that ended without a word | nothing is held against its runs |

A diverged run is a result.
"""

import errno
import hashlib
import json
import re
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kdlab.record import write_whole
from sweeps.events import Event, State

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
APART = {"gpu_oom": 1, "host_oom": 1, "code_error": 1, "crashed": 2}  # in company, before alone
BLAMED = {"crashed", "node_failure"}
HOST_INCIDENTS = 2  # of different runs, before a host is left out
ALIKE = 10  # equal fingerprints, without a success, that stop a sweep
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


def blamed(state: State) -> list[str]:
    """Hosts on which different runs came to grief."""
    incidents: dict[str, list[set[str]]] = {}
    for event in unique(trouble for each in state.trouble.values() for trouble in each):
        if event["class"] in BLAMED:
            seen = incidents.setdefault(event["node"], [])
            # The same run again is no new evidence against the host.
            if all(not other & set(event["uids"]) for other in seen):
                seen.append(set(event["uids"]))
    return sorted(host for host, seen in incidents.items() if len(seen) >= HOST_INCIDENTS)


def unique(trouble: Iterable[Event]) -> list[Event]:
    """Events once each: one of a cohort is held against each of its runs."""
    return list({id(event): event for event in trouble}.values())


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
    """Why a study stopped itself; None if it did not."""
    path = stop_file(root, study)
    return json.loads(path.read_text()) if path.is_file() else None
