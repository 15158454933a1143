"""Records made by hand: outputs of which so many rows are right."""

import numpy as np

from kdlab import metrics
from kdlab.record import Record
from kdlab.run import Run
from kdlab.storage import durable, example_outputs, ledger

ROWS = 400
WHOLE = 2000  # rows of a split of `leave_run`
COST = {
    "parameters": {"embeddings": 30_000, "transformer": 100_000, "total": 140_000},
    "flops": 33_554_432,
    "latency": 1.25,
    "seconds": 9.5,
    "teacher_seconds": 3.25,
    "cohort": 5,
    "threads": 2,
    "commit": "0123456789ab",
    "host": "node1",
    "device": "a processor",
    "torch": "2.9.0",
}


def outputs(labels: np.ndarray, right: int) -> np.ndarray:
    """Logits of which the first `right` rows are right."""
    predicted = np.where(np.arange(ROWS) < right, labels, 1 - labels).astype(int)
    return np.eye(2)[predicted]


def leave(root, uid: str, found: np.ndarray | None, labels: np.ndarray, **cost) -> None:
    if found is None:
        ledger.append(root, Record(uid, {}, [], {"status": "diverged", "steps": 3}, {}, {}))
        return
    address = example_outputs.write_outputs(root, {"select": found, "report": found})
    digest = example_outputs.write_examples(root, np.arange(ROWS), labels)
    score = {"accuracy": metrics.accuracy(labels, found)}
    result = {
        "status": "done",
        "scores": {"select": score, "report": score},
        "degenerate": [],
        "examples": {"select": digest, "report": digest},
    }
    ledger.append(root, Record(uid, {}, [], result, cost, {"outputs": address}))


def leave_run(root, run: Run, right: int | None, *, constant: bool = False, **cost) -> None:
    """A whole record of a run: on all of its splits `right` of every WHOLE rows are right.

    Nothing in it depends on a machine. None: it diverged; constant: it always says class 1.
    """
    if right is None:
        result = {"status": "diverged", "steps": 3}
        ledger.append(root, Record(run.uid, dict(run.choices), [*run.overrides], result, COST, {}))
        return
    labels = np.array([(n * n + n // 3) % run.task.classes for n in range(WHOLE)], dtype=float)
    ours = _logits(labels.astype(int), right, run.task.classes, run.seed)
    ours = np.eye(run.task.classes)[np.ones(WHOLE, int)] if constant else ours
    splits = ("select", *run.task.report)
    scores = {name: metrics.NAMES[name](labels, ours) for name in run.task.metrics}
    digest = example_outputs.write_examples(root, np.arange(WHOLE), labels)
    result = {
        "status": "done",
        "steps": 300,
        "scored_step": 200,
        "examples_seen": 9600,
        "scores": dict.fromkeys(splits, scores),
        "curves": {"hard": [0.7, 0.5, 0.4], "select": [0.5, 0.6, right / WHOLE]},
        "select_degenerate": [True, False, constant],
        "shares": {"0.1": {"hard": 1.0}, "0.9": {"hard": 0.25, "logits_kl": 0.75}},
        "agreement": {"report": {"top1": 0.9, "kl": 0.125}},
        "degenerate": list(splits) if constant else [],
        "weights": "0" * 32,
        "outputs": {split: durable.short_digest(ours.tobytes()) for split in splits},
        "examples": dict.fromkeys(splits, digest),
    }
    address = {"outputs": example_outputs.write_outputs(root, dict.fromkeys(splits, ours))}
    page = Record(run.uid, dict(run.choices), [*run.overrides], result, COST | cost, address)
    ledger.append(root, page)


def _logits(labels: np.ndarray, right: int, classes: int, seed: int) -> np.ndarray:
    """The rows that are right are spread over all, and others for each seed."""
    is_right = (np.arange(WHOLE) * 37 + 11 * seed) % WHOLE < right
    return np.eye(classes)[np.where(is_right, labels, (labels + 1) % classes).astype(int)]
