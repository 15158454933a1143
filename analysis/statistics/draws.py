"""Scores of recorded runs on resampled examples, each run read and resampled once."""

import json
from collections.abc import Callable

import numpy as np
import pandas as pd

from analysis.statistics.bootstrap import resample_each
from kdlab.record import Record
from kdlab.storage.example_outputs import read_examples, read_outputs

BLOCK = 32  # runs resampled together: one product of matrices for many of a matrix and a vector
# Of a run (uid, split, metric): the ids of its examples [n], and its scores, fractions, on draws
# of them [DRAWS].
Draws = Callable[[str, str, str], tuple[np.ndarray, np.ndarray]]


def sampler(frame: pd.DataFrame) -> Draws:
    """A function that gives a run's scores on resampled examples.

    It reads and resamples each run once, however many cells the run is compared in, and each time
    a whole block of runs of one task, which is much faster than one by one.

    Args:
        frame: as `analysis.load` gives it.
    """
    blocks, root = _blocks(frame), frame.attrs["root"]
    record_of = _addresses(frame)
    examples: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    resampled: dict[tuple[str, str, str], tuple[np.ndarray, np.ndarray]] = {}

    def digest_of(uid: str, split: str) -> str | None:
        return record_of[uid].result["examples"].get(split) if uid in record_of else None

    def draws(uid: str, split: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        if (uid, split, metric) not in resampled:
            digest = digest_of(uid, split)
            assert digest, f"run {uid} has a score on {split}, and no outputs"
            if digest not in examples:
                examples[digest] = read_examples(root, record_of[uid], split)
            ids, labels = examples[digest]
            # The run itself first: it has to be there, also where it is of no block.
            block = [uid, *(member for member in blocks.get(uid, ()) if member != uid)]
            # Only runs that were scored on the very same rows share a draw of them.
            block = [member for member in block if digest_of(member, split) == digest]
            outputs = np.stack([read_outputs(root, record_of[member], split) for member in block])
            # A copy, so that a kept row does not keep the whole block's memory.
            scores = resample_each(metric, labels, outputs).T.copy()
            for member, of_member in zip(block, scores, strict=True):
                resampled[member, split, metric] = (ids, of_member)
        return resampled[uid, split, metric]

    return draws


def _addresses(frame: pd.DataFrame) -> dict[str, Record]:
    """By uid a record that only says where a run's outputs and examples are."""
    rows = frame[frame["outputs"].notna()].drop_duplicates("uid")
    columns = (rows[name].tolist() for name in ("uid", "outputs", "examples"))
    records = {}
    for uid, outputs, examples in zip(*columns, strict=True):
        artifacts = {"outputs": json.loads(outputs)}
        records[uid] = Record(uid, {}, [], {"examples": json.loads(examples)}, {}, artifacts)
    return records


def _blocks(frame: pd.DataFrame) -> dict[str, list[str]]:
    """By uid the runs that are resampled together with it: done, of its task, no trials."""
    done = frame[(frame["state"] == "done") & (frame["stage"] != "tune")].drop_duplicates("uid")
    blocks: dict[str, list[str]] = {}
    for _, of_task in done.groupby("task", sort=False):
        uids = list(of_task["uid"])
        for start in range(0, len(uids), BLOCK):
            block = uids[start : start + BLOCK]
            blocks |= dict.fromkeys(block, block)
    return blocks
