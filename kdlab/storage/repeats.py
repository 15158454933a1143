"""Whether a run that was recorded again has the same result.

A run may be repeated: for lost outputs, for a model that was deleted, by a task that was submitted
twice. What equality of the two results means depends on where they were computed:

- On a CPU a result is the same bit for bit, at equal code, versions, processor and `threads`.
- On a GPU this is not promised. Deterministic algorithms are used (`kdlab.device`), so that a
  repeat on the same model of GPU is mostly equal; an operation that has none is allowed.
- With another device, processor, number of threads, library or commit, sums are added in
  another order, and nothing is promised.

So two results are `equal`; or `close`, if nothing was promised and every score is within TOLERANCE;
or else `apart`. A repeat never fails and is never lost: unless it is equal, it is a record of its
own. `diff` shows what differs, `tables` and `status` name the runs whose records are apart.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdlab.record import Record
from kdlab.storage import ledger

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


def kind(one: Record, other: Record) -> str:
    """How alike two records of a run are: equal, close or apart."""
    if one.result == other.result:
        return EQUAL
    if is_promised(one.cost, other.cost):
        return APART
    return CLOSE if _is_near(one.result, other.result) else APART


def is_promised(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether results with these costs must be equal bit for bit."""
    return one.get("accelerator") == CPU and all(one.get(k) == other.get(k) for k in PROMISED)


def notes(root: str | Path) -> list[str]:
    """A sentence for each thing that is wrong with the records under a root."""
    # Only runs with several records are read: there are few of them, and many runs.
    repeated = {uid: entries for uid, entries in ledger.entries(root).items() if entries[1:]}
    kinds = {uid: worst(ledger.read_all(root, entries)) for uid, entries in repeated.items()}
    lines = ledger.damaged(root)
    for kind, sentence in SAID.items():
        if uids := [uid for uid, worst_kind in kinds.items() if worst_kind == kind]:
            lines.append(f"{len(uids)} runs {sentence}: {' '.join(uids[:SHOWN])}")
    return lines


def worst(records: list[Record]) -> str:
    """The kind of the record that is least like the first one of the run."""
    kinds = [kind(records[0], other) for other in records[1:]]
    return max(kinds, key=KINDS.index, default=EQUAL)


def _is_near(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two results have the same status, steps and metrics, and scores within TOLERANCE."""
    if any(one.get(key) != other.get(key) for key in ("status", "steps")):
        return False
    first, second = (_scores(result) for result in (one, other))
    return first.keys() == second.keys() and all(
        abs(first[name] - second[name]) <= TOLERANCE for name in first
    )


def _scores(result: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """The scores of a result by split and metric."""
    return {
        (split, metric): score
        for split, scores in result.get("scores", {}).items()
        for metric, score in scores.items()
    }
