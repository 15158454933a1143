"""A task of eight classes, and runs of five steps on it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from composed import compose

import kdlab
from kdlab.config.compose import execution
from kdlab.config.identity import batch_key, teacher_key
from kdlab.run import Run

WORDS, LENGTH, CLASSES = 24, 9, 8


def write(folder: Path) -> None:
    """Sentences whose label is the commonest of eight kinds of words, rows of unequal length."""
    random = np.random.Generator(np.random.PCG64(8))
    for split, rows in (("train", 200), ("validation", 40), ("test", 40)):
        lengths = random.integers(LENGTH // 2, LENGTH + 1, size=rows)
        words = [random.integers(WORDS, size=length) for length in lengths]
        labels = [np.bincount(row % CLASSES, minlength=CLASSES).argmax() for row in words]
        sentences = [" ".join(f"w{word}" for word in row) for row in words]
        frame = pd.DataFrame({"sentence": sentences, "label": labels, "idx": np.arange(rows)})
        frame["other"] = (frame["label"] + 1) % CLASSES
        frame["reversed"] = [" ".join(text.split()[::-1]) for text in sentences]
        frame.to_parquet(folder / f"{split}.parquet")


def base(folder: Path) -> tuple[str, ...]:
    """Overrides: a teacher of seven layers, a narrower student of three, five steps, all scored."""
    return (
        "task=table", f"task.path={folder}", "task.text=[sentence]", f"task.classes={CLASSES}",
        "task.max_length=16", "task.test=test", "protocol.select=0.2", "train.lr=5e-3",
        "teacher.size=l7_h32_a4", "teacher.epochs=8", "teacher.lr=3e-3",
        "size=l3_h16_a4",
        "train.epochs=1", "train.batch_size=32", "threads=1",
    )  # fmt: skip


def results(runs: Sequence[Run], root: Path) -> dict[str, dict[str, Any]]:
    """The result of every run by uid; runs that may share a teacher's pass do."""
    cohorts: dict[tuple[str, str | None], dict[str, Run]] = defaultdict(dict)
    for run in runs:
        cohorts[batch_key(run), teacher_key(run)][run.uid] = run
    where = replace(execution(), root=str(root), threads=1)
    return {
        record.uid: record.result
        for cohort in cohorts.values()
        for record in kdlab.distill(list(cohort.values()), where)
    }


def composed(overrides: Sequence[str]) -> Run:
    """The run of overrides, later ones in the place of earlier ones for the same group."""
    return compose(*_chosen(overrides))


def composed_each(pages: Iterable[Sequence[str]]) -> Iterator[Run]:
    """As `composed`, one after the other."""
    return map(composed, pages)


def _chosen(overrides: Sequence[str]) -> tuple[str, ...]:
    return tuple({text.partition("=")[0]: text for text in overrides}.values())
