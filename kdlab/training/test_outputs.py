"""Outputs on test splits: of a student just trained, or of the saved model of an earlier run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from kdlab.data import test_splits
from kdlab.data.task_data import TaskData
from kdlab.models import heads, saving
from kdlab.models.saved_files import flaw, folder, is_whole
from kdlab.options.schema import Execution
from kdlab.record import Record
from kdlab.run import Run
from kdlab.storage import example_outputs, ledger
from kdlab.storage.durable import Damaged
from kdlab.training import scoring


def artifacts(root: str, task: TaskData, outputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Write outputs of scored and test splits; return a record's `artifacts`."""
    if not outputs:  # of a diverged run
        return {}
    addresses: dict[str, Any] = {
        "outputs": example_outputs.write_outputs(root, outputs, exact=task.tests)
    }
    if task.tests:
        addresses["examples"] = {
            name: example_outputs.write_examples(root, task.ids[name], data.labels)
            for name, data in task.tests.items()
        }
    return addresses


def untrained(runs: Sequence[Run], execution: Execution) -> list[Run]:
    """Of runs that lack something, those that have to be trained.

    The others lack test outputs alone, and have a saved model that can compute them.
    """
    unpredicted = test_splits.lacking(runs, execution.root) if execution.predict_test else set()
    return [r for r in runs if r.uid not in unpredicted or not is_whole(execution.root, r.uid)]


def complete(runs: Sequence[Run], task: TaskData, root: str, device: torch.device) -> list[str]:
    """Record runs that lack nothing but test outputs again, with those of their saved models.

    A run whose model is gone, damaged, or that of none of the run's records is left to be trained
    again.

    Returns:
        The uids of the runs that were completed.

    Raises:
        Damaged: a model is not what its folder says, though its files are as they were written.
    """
    unpredicted, recorded = test_splits.lacking(runs, root), ledger.entries(root)
    completed = []
    for uid in [run.uid for run in runs if run.uid in unpredicted]:
        records = ledger.read_all(root, recorded[uid])
        if why := flaw(root, uid, {str(past.result.get("weights")) for past in records}):
            print(f"run {uid} is trained again for test outputs: {why}")
            continue
        model = heads.load_with_head(runs[0].task, folder(root, uid)).eval().to(device)
        weights = saving.digest(model)
        # A run may have been recorded with different results: outputs belong to their own model's.
        of_model = [past for past in records if past.result.get("weights") == weights]
        if not of_model:
            raise Damaged(f"{folder(root, uid)} does not hold the weights that it says")
        earlier = max(of_model, key=lambda past: len(example_outputs.kept(root, past)))
        outputs = _scored_outputs(model, earlier, task, root, device)
        outputs |= scoring.predict_splits(model, task.tests, device)
        # A line more, as ledgers are only appended to; `ledger.best` prefers it to the earlier one.
        ledger.append(root, replace(earlier, artifacts=artifacts(root, task, outputs)))
        completed.append(uid)
    return completed


def _scored_outputs(
    model: nn.Module, earlier: Record, task: TaskData, root: str, device: torch.device
) -> dict[str, np.ndarray]:
    """The outputs of the scored splits as they were kept, or of the model where they are lost."""
    kept = example_outputs.kept(root, earlier)
    return {
        name: example_outputs.read_outputs(root, earlier, name)
        if name in kept
        else scoring.predict(model, data, device)
        for name, data in task.scored.items()
    }
