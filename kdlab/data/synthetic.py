"""A task that needs composition: generated here, no download, and its ceiling is known."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from kdlab import streams
from kdlab.data.source import Source

VERSION = 1  # raised when the same knobs would come to give other rows


def source(
    *, train_rows: int, report_rows: int, words: int, pairs: int, sharpness: float
) -> Source:
    """Sentences of (keep or flip, word) pairs and a noisy label.

    Half of the words mean +1, half -1; a word after `flip` counts the other way round, and always
    half of the pairs are flipped, so that the bag of words is independent of the label. The label
    is 1 with probability sigmoid(sharpness * score), score being the pairs' sum over √pairs.

    Args:
        train_rows, report_rows: how many rows the splits train and validation have.
        words: size of the vocabulary of content words.
        pairs: pairs in a sentence, an even number.
        sharpness: how sure the label is; 3 with six pairs gives a Bayes accuracy near 0.85.
    """
    if pairs % 2 or pairs < 2 or words % 2 or words < 2:
        raise ValueError("task: pairs and words must be even")
    knobs = {"words": words, "pairs": pairs, "sharpness": sharpness}
    rows = {"train": train_rows, "validation": report_rows}
    return Source(partial(_read, rows, knobs), partial(_identity, rows, knobs))


def _read(rows: dict[str, int], knobs: dict[str, Any], split: str) -> pd.DataFrame:
    return generate(split, rows[split], **knobs)[0]


def _identity(rows: dict[str, int], knobs: dict[str, Any], splits: Sequence[str]) -> Any:
    return {"version": VERSION, **knobs, "rows": {split: rows[split] for split in splits}}


def generate(
    split: str, rows: int, words: int, pairs: int, sharpness: float
) -> tuple[pd.DataFrame, float]:
    """The rows of a split, and the accuracy of the best possible classifier on them."""
    random = np.random.Generator(np.random.PCG64(streams.key(0, f"synthetic/{split}")))
    flips = np.tile(np.arange(pairs) % 2, (rows, 1))
    flips = random.permuted(flips, axis=1)
    content = random.integers(words, size=(rows, pairs))
    signs = np.where(content % 2 == 0, 1, -1) * np.where(flips == 1, -1, 1)
    probability = 1 / (1 + np.exp(-sharpness * signs.sum(1) / np.sqrt(pairs)))
    labels = (random.random(rows) < probability).astype(np.int64)
    sentences = [
        " ".join(f"{'flip' if flip else 'keep'} w{word}" for flip, word in zip(f, c, strict=True))
        for f, c in zip(flips, content, strict=True)
    ]
    table = pd.DataFrame({"sentence": sentences, "label": labels, "idx": np.arange(rows)})
    return table, float(np.maximum(probability, 1 - probability).mean())
