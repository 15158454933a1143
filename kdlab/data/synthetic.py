"""A generated task in which word order decides: no download, and the best accuracy is known."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from kdlab import streams
from kdlab.data.source import Source
from kdlab.errors import BadInput
from kdlab.options.schema import Count, Positive

VERSION = 1  # raised when the same knobs would come to give other rows


def source(
    *, train_rows: Count, report_rows: Count, words: Count, length: Count, sharpness: Positive
) -> Source:
    """Sentences of valued words, every other place counting the other way round, a noisy label.

    A word has a fixed value; values are normal quantiles of unit variance. The score is the sum
    of the values in odd places minus the sum in even places, over the root of the length. Words
    fall into places at random, so that a bag of words says nothing about the label, which is 1
    with probability sigmoid(sharpness * score).

    Args:
        train_rows, report_rows: how many rows the splits train and validation have.
        words: size of the vocabulary.
        length: words in a sentence, an even number.
        sharpness: how sure the label is; 3 gives a Bayes accuracy near 0.83.
    """
    if length % 2 or words < 2:
        raise BadInput(f"task.length={length}: an even number; task.words={words}: at least 2")
    knobs = {"words": words, "length": length, "sharpness": sharpness}
    rows = {"train": train_rows, "validation": report_rows}
    return Source(partial(_read, rows, knobs), partial(_identity, rows, knobs))


def _read(rows: dict[str, int], knobs: dict[str, Any], split: str) -> pd.DataFrame:
    return generate(split, rows[split], **knobs)[0]


def _identity(rows: dict[str, int], knobs: dict[str, Any], splits: Sequence[str]) -> Any:
    return {"version": VERSION, **knobs, "rows": {split: rows[split] for split in splits}}


def generate(
    split: str, rows: int, words: int, length: int, sharpness: float
) -> tuple[pd.DataFrame, float]:
    """The rows of a split, and the accuracy of the best possible classifier on them."""
    random = np.random.Generator(np.random.PCG64(streams.key(0, f"synthetic/{split}")))
    values = ndtri((np.arange(words) + 0.5) / words)
    values /= values.std()
    content = random.integers(words, size=(rows, length))
    signs = np.where(np.arange(length) % 2 == 0, 1.0, -1.0)
    score = (values[content] * signs).sum(1) / np.sqrt(length)
    probability = 1 / (1 + np.exp(-sharpness * score))
    labels = (random.random(rows) < probability).astype(np.int64)
    sentences = [" ".join(f"w{word}" for word in row) for row in content]
    table = pd.DataFrame({"sentence": sentences, "label": labels, "idx": np.arange(rows)})
    return table, float(np.maximum(probability, 1 - probability).mean())
