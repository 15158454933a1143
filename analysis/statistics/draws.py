"""Scores of recorded runs on resampled examples, each run read and resampled once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.read.frame import entries
from analysis.statistics.bootstrap import resample_each
from kdlab.record import Record, read_all, read_examples, read_outputs

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
    read = _addresses(frame, blocks)
    examples: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    resampled: dict[tuple[str, str, str], tuple[np.ndarray, np.ndarray]] = {}

    def draws(uid: str, split: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        if (uid, split, metric) not in resampled:
            digest = read(uid).result["examples"][split]
            if digest not in examples:
                examples[digest] = read_examples(root, read(uid), split)
            ids, labels = examples[digest]
            # The run itself first: it has to be there, also where it is of no block.
            block = [uid, *(member for member in blocks.get(uid, ()) if member != uid)]
            # Only runs that were scored on the very same rows share a draw of them.
            block = [m for m in block if read(m).result["examples"].get(split) == digest]
            outputs = np.stack([read_outputs(root, read(member), split) for member in block])
            # A copy, so that a kept row does not keep the whole block's memory.
            scores = resample_each(metric, labels, outputs).T.copy()
            for member, of_member in zip(block, scores, strict=True):
                resampled[member, split, metric] = (ids, of_member)
        return resampled[uid, split, metric]

    return draws


def _addresses(frame: pd.DataFrame, blocks: Mapping[str, Sequence[str]]) -> Callable[[str], Record]:
    """A reader of records that keeps of each only where its outputs and examples are.

    It reads a block at a time. All runs' records stay in memory, and their curves would fill it.
    """
    entry_of, root = entries(frame), frame.attrs["root"]
    stripped: dict[str, Record] = {}

    def addresses(uid: str) -> Record:
        if uid not in stripped:
            block = blocks.get(uid, [uid])
            for record in read_all(root, [entry_of[member] for member in block]):
                # Without outputs a run has nothing to resample: it is of no block's examples.
                has_outputs = bool(record.artifacts.get("outputs"))
                examples = record.result["examples"] if has_outputs else {}
                stripped[record.uid] = replace(
                    record, result={"examples": examples}, cost={}, choices={}, overrides=[]
                )
        return stripped[uid]

    return addresses


def _blocks(frame: pd.DataFrame) -> dict[str, list[str]]:
    """By uid the runs that are resampled with it: done, of its task, and no trials."""
    done = frame[(frame["state"] == "done") & (frame["stage"] != "tune")].drop_duplicates("uid")
    blocks: dict[str, list[str]] = {}
    for _, of_task in done.groupby("task", sort=False):
        uids = list(of_task["uid"])
        for start in range(0, len(uids), BLOCK):
            block = uids[start : start + BLOCK]
            blocks |= dict.fromkeys(block, block)
    return blocks
