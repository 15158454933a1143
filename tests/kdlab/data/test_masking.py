"""Which tokens are masked, and what they become."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from kdlab.data import masking, tokens
from kdlab.data.masking import NO_LABEL
from kdlab.data.splits import Rows
from kdlab.errors import BadInput

WORDS = [f"w{i}" for i in range(60)]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def made():
    draw = np.random.default_rng(0)
    lengths = [*draw.integers(2, 60, size=1000), 0, 1]
    texts = [(" ".join(draw.choice(WORDS, size=n)),) for n in lengths]
    rows = Rows(np.arange(len(texts)), texts, np.zeros(len(texts)))
    tokenizer = tokens.word_level(Rows(np.arange(1), [(" ".join(WORDS),)], np.zeros(1)))
    data = tokens.encode(rows, tokenizer, 50, 0)
    return tokenizer, tokens.masked(data, tokenizer, 0.15), lengths


def drawn(data, positions, key, all_tokens=False):
    return tokens.examples(data, np.array(positions), CPU, key, all_tokens)


def grid(data, key):
    """Every row: ids before and after, and labels, [n, t]."""
    every = np.arange(len(data.labels))
    ids = tokens.batch(data, every, CPU)["input_ids"].numpy()
    return (ids, *masking.mask(ids, data.masking, key))


def within(successes, trials, share):
    return abs(successes - share * trials) < 4 * np.sqrt(trials * share * (1 - share))


def test_a_row_has_its_share_of_masks_and_at_least_one(made):
    _, data, lengths = made
    _, _, labels = grid(data, 1)
    found = (labels != NO_LABEL).sum(1)
    assert found.tolist() == data.labels.tolist()
    ordinary = np.minimum(lengths, 48)  # 50 less [CLS] and [SEP]
    assert found.tolist() == [0 if n == 0 else max(1, round(0.15 * n)) for n in ordinary.tolist()]
    assert found.sum() / ordinary.sum() == pytest.approx(0.15, abs=0.01)


def test_every_ordinary_place_is_as_likely(made):
    _, data, _ = made
    row = int(np.flatnonzero(data.lengths == 50)[0])
    ids = np.repeat(data.row("input_ids", row)[None], 5000, axis=0)
    _, labels = masking.mask(ids, data.masking, 3)
    chosen = (labels != NO_LABEL).sum(0)
    assert chosen[0] == chosen[49] == 0
    assert all(within(n, 5000, 7 / 48) for n in chosen[1:49])


def test_four_fifths_are_masked_a_tenth_replaced_a_tenth_kept(made):
    tokenizer, data, _ = made
    draws = [grid(data, key) for key in range(5)]
    before, after, labels = (np.concatenate(part).ravel() for part in zip(*draws, strict=True))
    asked = labels != NO_LABEL
    assert np.array_equal(labels[asked], before[asked])
    assert np.array_equal(after[~asked], before[~asked])
    total, hidden = asked.sum(), (after[asked] == tokenizer.mask_token_id).sum()
    assert within(hidden, total, 0.8)
    other = asked & (after != tokenizer.mask_token_id) & (after != before)
    assert within(other.sum(), total, 0.1 * 59 / 60)  # another token may be the same one
    counts = np.bincount(after[other], minlength=len(tokenizer))
    assert counts[data.masking.special].sum() == 0
    assert all(within(n, counts.sum(), 1 / 60) for n in counts[data.masking.ordinary])


def test_special_tokens_are_never_masked(made):
    tokenizer, data, _ = made
    assert sorted(data.masking.special) == sorted(tokenizer.all_special_ids)
    rows = Rows(np.arange(1), [("w1 never_seen w2",)], np.zeros(1))
    unknown = tokens.masked(tokens.encode(rows, tokenizer, 16, 0), tokenizer, 0.9)
    for key in range(50):
        before, after, labels = grid(unknown, key)
        special = np.isin(before, unknown.masking.special)
        assert special.sum() == 16 - 2  # padding and [UNK] too
        assert (labels[special] == NO_LABEL).all()
        assert np.array_equal(after[special], before[special])


def test_equal_keys_give_equal_masks_and_others_do_not(made):
    _, data, _ = made
    one, same, other = (drawn(data, range(64), key) for key in (1, 1, 2))
    assert torch.equal(one[0]["input_ids"], same[0]["input_ids"])
    assert torch.equal(one[1], same[1])
    assert not torch.equal(one[0]["input_ids"], other[0]["input_ids"])
    assert not torch.equal(one[2].positions, other[2].positions)


def test_outputs_are_asked_for_where_tokens_are_masked_or_everywhere(made):
    _, data, _ = made
    inputs, labels, asked = drawn(data, range(64), 5)
    whole, labels_too, everywhere = drawn(data, range(64), 5, all_tokens=True)
    assert torch.equal(inputs["input_ids"], whole["input_ids"])
    assert len(labels) == len(asked.positions) == int(data.labels[:64].sum())
    assert asked.masked.all()
    assert torch.equal(everywhere.positions, whole["attention_mask"].flatten().nonzero()[:, 0])
    assert torch.equal(labels_too[everywhere.masked], labels)
    assert (labels_too[~everywhere.masked] == NO_LABEL).all()


def test_a_tokenizer_without_a_mask_token_is_refused():
    plain = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0})))
    with pytest.raises(BadInput, match="no mask token"):
        masking.masking(plain, 0.15)
