"""Batches: which rows, how padded, and the same for every arm."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kdlab.config.compose import compose
from kdlab.data import tokens
from kdlab.data.splits import Rows

TRAIN = compose("teacher=none", "knowledge=none", "train.batch_size=8", "train.epochs=3").train


def encoded(classes: int = 2) -> tokens.Encoded:
    texts = [tuple("abcdefgh"[: 1 + i % 8]) for i in range(20)]
    rows = Rows(np.arange(20), [(" ".join(t),) for t in texts], np.arange(20) % 2.0)
    return tokens.encode(rows, tokens.word_level(rows), 32, classes)


def test_pairs_get_both_texts_and_segments():
    rows = Rows(np.arange(2), [("a b", "c"), ("c", "a")], np.zeros(2))
    data = tokens.encode(rows, tokens.word_level(rows), 32, 2)
    segments = [data.row("token_type_ids", row).tolist() for row in (0, 1)]
    assert segments == [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1]]
    assert [data.row("input_ids", row)[0] for row in (0, 1)] == [2, 2]  # [CLS]


def test_a_batch_is_padded_to_a_multiple_and_masked():
    data = encoded()
    batch = tokens.batch(data, np.array([0, 7]), torch.device("cpu"))
    assert batch["input_ids"].shape == (2, tokens.PAD_TO)
    assert batch["attention_mask"].sum(1).tolist() == [3, 10]
    assert (batch["input_ids"][batch["attention_mask"] == 0] == 0).all()


def test_hidden_labels_are_marked():
    data = encoded()
    data.labels[1] = np.nan
    assert tokens.labels(data, np.array([1, 3]), torch.device("cpu")).tolist() == [-100, 1]
    regression = replace(data, classes=1)
    found = tokens.labels(regression, np.array([1, 3]), torch.device("cpu"))
    assert found.isnan().tolist() == [True, False]


@pytest.mark.parametrize("batching", ["bucket", "random"])
def test_an_epoch_sees_every_row_once(batching):
    lengths = encoded().lengths
    train = TRAIN.__class__(**(TRAIN.__dict__ | {"batching": batching}))
    batches = tokens.schedule(lengths, 20, train, seed=0)
    assert len(batches) == 9
    for epoch in range(3):
        seen = np.concatenate(batches[3 * epoch : 3 * epoch + 3])
        assert sorted(seen.tolist()) == list(range(20))
    assert [b.tolist() for b in batches] == [
        b.tolist() for b in tokens.schedule(lengths, 20, train, seed=0)
    ]
    assert [b.tolist() for b in batches] != [
        b.tolist() for b in tokens.schedule(lengths, 20, train, seed=1)
    ]


def test_bucketed_batches_are_shorter_than_random_ones():
    random = np.random.default_rng(0)
    lengths = random.integers(4, 128, size=2000)

    def padded(batching):
        train = TRAIN.__class__(**(TRAIN.__dict__ | {"batching": batching}))
        return sum(lengths[b].max() * len(b) for b in tokens.schedule(lengths, 2000, train, 0))

    assert padded("bucket") < 0.7 * padded("random")


def test_a_transfer_set_makes_the_same_number_of_updates():
    lengths = np.ones(100, dtype=int)
    assert len(tokens.schedule(lengths, 100, TRAIN, 0)) == len(
        tokens.schedule(np.ones(300), 100, TRAIN, 0)
    )


def test_scoring_batches_cover_every_row_once():
    batches = tokens.scoring_batches((5, 1, 3, 2, 4), 2)
    assert sorted(np.concatenate(batches).tolist()) == [0, 1, 2, 3, 4]
    assert batches[0].tolist() == [1, 3]
