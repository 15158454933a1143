"""Records made by hand: outputs of which so many rows are right."""

import numpy as np

from kdlab import metrics, record
from kdlab.record import Record

ROWS = 400


def outputs(labels: np.ndarray, right: int) -> np.ndarray:
    """Logits of which the first `right` rows are right."""
    predicted = np.where(np.arange(ROWS) < right, labels, 1 - labels).astype(int)
    return np.eye(2)[predicted]


def leave(root, uid: str, found: np.ndarray | None, labels: np.ndarray, **cost) -> None:
    if found is None:
        record.append(root, Record(uid, {}, [], {"status": "diverged", "steps": 3}, {}, {}))
        return
    address = record.write_outputs(root, {"select": found, "report": found})
    digest = record.write_examples(root, np.arange(ROWS), labels)
    score = {"accuracy": metrics.accuracy(labels, found)}
    result = {
        "status": "done",
        "scores": {"select": score, "report": score},
        "degenerate": [],
        "examples": {"select": digest, "report": digest},
    }
    record.append(root, Record(uid, {}, [], result, cost, {"outputs": address}))
