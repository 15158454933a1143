"""Outputs on test splits: of a student just trained, or of the saved model of an earlier run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from kdlab import heads, models, predictions, record, score
from kdlab.data.task_data import TaskData
from kdlab.record import Record
from kdlab.run import Run


def outputs(model: nn.Module, task: TaskData, device: torch.device) -> dict[str, np.ndarray]:
    """Outputs [n, classes] on each test split that the data was read with."""
    return {name: score.predict(model, data, device) for name, data in task.tests.items()}


def artifacts(root: str, task: TaskData, found: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Write outputs of scored and test splits; return a record's artifacts."""
    if not found:
        return {}
    left: dict[str, Any] = {"outputs": record.write_outputs(root, found, exact=task.tests)}
    if task.tests:
        left["examples"] = {
            name: record.write_examples(root, task.ids[name], data.labels)
            for name, data in task.tests.items()
        }
    return left


def complete(runs: Sequence[Run], task: TaskData, root: str, device: torch.device) -> list[str]:
    """Record runs that lack nothing but test outputs again, with those of their saved models.

    Returns their uids. A run whose model is gone is left to be trained again.

    Raises:
        RuntimeError: a saved model is not the one of the record.
    """
    unpredicted, recorded = predictions.lacking(runs, root), record.entries(root)
    done = []
    for uid in [run.uid for run in runs if run.uid in unpredicted]:
        folder = models.folder(root, uid)
        if not folder.is_dir():
            print(f"run {uid}: its model was not saved, so it is trained again for test outputs")
            continue
        earlier = record.best(root, recorded[uid])
        model = heads.load(runs[0].task, folder).eval().to(device)
        if models.digest(model) != earlier.result["weights"]:
            raise RuntimeError(f"{folder} is not the model of the record: move it away")
        found = _scored(model, earlier, task, root, device) | outputs(model, task, device)
        record.append(root, replace(earlier, artifacts=artifacts(root, task, found)))
        done.append(uid)
    return done


def _scored(
    model: nn.Module, earlier: Record, task: TaskData, root: str, device: torch.device
) -> dict[str, np.ndarray]:
    """The outputs of the scored splits as they were kept, or of the model where they are lost."""
    kept = record.kept(root, earlier)
    return {
        name: record.read_outputs(root, earlier, name)
        if name in kept
        else score.predict(model, data, device)
        for name, data in task.scored.items()
    }
