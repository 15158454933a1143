"""When a run that was recorded again is the same.

A run may be repeated: for lost outputs, for a model that was purged, by a task that was submitted
twice. What equality of the two results means depends on where they were computed:

- On CPUs a result is promised bit for bit, at equal code, versions, processor and `threads`.
- On GPUs it is not. Deterministic algorithms are used (`kdlab.device`), so that a repeat on the
  same model of GPU is mostly equal; an operation that has none is no reason to fail.
- With another device, processor, number of threads, library or commit, sums are added in
  another order, and nothing is promised.

So two results are `equal`; or `close`, if nothing was promised and every score is within TOLERANCE;
or else `apart`. A repeat never fails and is never lost: unless it is equal, it is a record of its
own. Records are counted, `diff` shows what differs, `tables` and `status` name what is apart.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdlab import record
from kdlab.record import Record

KINDS = EQUAL, CLOSE, APART = "equal", "close", "apart"
TOLERANCE = 0.02  # of every score, a fraction: about what another seed does on a few hundred rows
CPU = "cpu"
# Of a cost: what must be equal where a result is promised.
PROMISED = ("accelerator", "device", "threads", "torch", "transformers", "numpy", "commit")
SAID = {
    CLOSE: f"repeated with another result, all scores within {100 * TOLERANCE:g} points",
    APART: "REPEATED WITH A RESULT THAT NO RUN HAS TWICE (analysis diff UID UID shows it)",
}
SHOWN = 5  # uids in a line
LATER = ("examples_seen",)  # keys of a result that earlier records lack


def is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two results are equal, but for what one of them was recorded too early to have."""
    lacking = {key for key in LATER if key not in one or key not in other}
    return all(one.get(key) == other.get(key) for key in (one.keys() | other.keys()) - lacking)


def kind(one: Record, other: Record) -> str:
    """What two records of a run are to each other: equal, close or apart."""
    if is_same(one.result, other.result):
        return EQUAL
    if is_promised(one.cost, other.cost):
        return APART
    return CLOSE if _is_near(one.result, other.result) else APART


def is_promised(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether results with these costs must be equal bit for bit."""
    return one.get("accelerator") == CPU and all(one.get(k) == other.get(k) for k in PROMISED)


def notes(root: str | Path) -> list[str]:
    """What is not as it should be of the records under a root, to print."""
    several = {uid: each for uid, each in record.entries(root).items() if each[1:]}
    kinds = {uid: worst(record.read_all(root, each)) for uid, each in several.items()}
    lines = record.damaged(root)
    for kind, said in SAID.items():
        if uids := [uid for uid, each in kinds.items() if each == kind]:
            lines.append(f"{len(uids)} runs {said}: {' '.join(uids[:SHOWN])}")
    return lines


def worst(records: list[Record]) -> str:
    """What the records of a run are to the first of them, at the worst."""
    kinds = [kind(records[0], other) for other in records[1:]]
    return max(kinds, key=KINDS.index, default=EQUAL)


def _is_near(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if any(one.get(key) != other.get(key) for key in ("status", "steps")):
        return False
    ours, theirs = (_scores(result) for result in (one, other))
    return ours.keys() == theirs.keys() and all(
        abs(ours[place] - theirs[place]) <= TOLERANCE for place in ours
    )


def _scores(result: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    return {
        (split, metric): score
        for split, scores in result.get("scores", {}).items()
        for metric, score in scores.items()
    }
