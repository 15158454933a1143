"""From text to token ids, and from token ids to padded batches of tensors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdlab import streams
from kdlab.data import masking
from kdlab.data.masking import Masking
from kdlab.data.splits import Rows
from kdlab.device import moved
from kdlab.models.trace import PredictedTokens
from kdlab.options.schema import Train

PAD_TO = 16  # padded lengths are multiples of it, so that there are few different shapes
POOL = 50  # batches that are sorted by length together, where `train.batching` is `bucket`
VOCABULARY = 30_000  # words of a word-level tokenizer, at most


@dataclass(frozen=True)
class Encoded:
    """Tokenised rows, one after the other without padding.

    Attributes:
        features: `input_ids`, and `token_type_ids` if the tokenizer gives them: int32, of the
            tokens of all rows.
        lengths: [n], tokens of each row.
        labels: [n], class numbers or values, NaN for none; with `masking` how many tokens of each
            row are masked.
        padding: the id that pads each feature.
        classes: columns of the outputs: classes, 1 of regression, with `masking` COLUMNS.
        masking: how tokens are masked; None of other tasks.
    """

    features: Mapping[str, Tensor]
    lengths: np.ndarray
    labels: np.ndarray
    padding: dict[str, int]
    classes: int
    masking: Masking | None = None

    @cached_property
    def starts(self) -> np.ndarray:
        """[n], where each row begins among the tokens of all."""
        return np.cumsum(self.lengths) - self.lengths

    def row(self, name: str, position: int) -> np.ndarray:
        """One row of a feature [t]."""
        start = self.starts[position]
        return self.features[name][start : start + self.lengths[position]].numpy()

    def on(self, device: torch.device) -> "Encoded":
        """The rows with their tokens on a device; where tokens are masked as they are."""
        if self.masking is not None:
            return self
        return replace(self, features={n: moved(x, device) for n, x in self.features.items()})


def pretrained(checkpoint: str) -> Any:
    """The tokenizer of a checkpoint."""
    from transformers import AutoTokenizer

    from kdlab.models.checkpoints import locate

    return AutoTokenizer.from_pretrained(locate(checkpoint))


def word_level(rows: Rows) -> Any:
    """One word, one token: a vocabulary made from rows, with BERT's special tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(
        vocab_size=VOCABULARY, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator((part for text in rows.texts for part in text), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, special.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **{f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")},
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def encode(rows: Rows, tokenizer: Any, max_length: int, classes: int) -> Encoded:
    """Tokenise rows, truncated to `max_length` tokens, the longer text first."""
    columns = [list(column) for column in zip(*rows.texts, strict=True)]
    by_row: dict[str, list[list[int]]] = (
        dict(tokenizer(*columns, truncation=True, max_length=max_length, padding=False))
        if columns
        else {"input_ids": []}
    )
    by_row.pop("attention_mask", None)
    features = {
        name: torch.from_numpy(np.fromiter(chain.from_iterable(values), dtype=np.int32))
        for name, values in by_row.items()
    }
    lengths = np.array([len(row) for row in by_row["input_ids"]], dtype=np.int64)
    padding = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
    return Encoded(features, lengths, rows.labels, padding, classes)


def masked(data: Encoded, tokenizer: Any, share: float) -> Encoded:
    """Tokenised rows whose tokens are masked in every batch."""
    rule = masking.masking(tokenizer, share)
    labels = rule.counts(data.features["input_ids"].numpy(), data.lengths)
    return replace(data, labels=labels, classes=masking.COLUMNS, masking=rule)


def examples(
    data: Encoded, positions: np.ndarray, device: torch.device, key: int, all_tokens: bool
) -> tuple[dict[str, Tensor], Tensor, PredictedTokens | None]:
    """A batch: the model's inputs, the labels of its logits, and the tokens that it predicts.

    Args:
        data: the rows.
        positions: [b], of the batch's rows.
        device: where the tensors go.
        key: of the random stream of the masks, where tokens are masked.
        all_tokens: whether a language model computes logits at every token, not only masked ones.

    Returns:
        Inputs by name [b, t]; labels [b], or [n] of the n predicted tokens; those tokens, or None
        of a classifier.
    """
    if data.masking is None:
        return batch(data, positions, device), labels(data, positions, device), None
    inputs = batch(data, positions, torch.device("cpu"))
    ids, token_labels = masking.mask(inputs["input_ids"].numpy(), data.masking, key)
    inputs["input_ids"] = torch.from_numpy(ids)
    is_masked = torch.from_numpy(token_labels != masking.NO_LABEL)
    at = inputs["attention_mask"].bool() if all_tokens else is_masked
    flat = at.flatten().nonzero()[:, 0]
    predicted = PredictedTokens(moved(flat, device), moved(is_masked[at], device))
    inputs = {name: moved(tensor, device) for name, tensor in inputs.items()}
    return inputs, moved(torch.from_numpy(token_labels)[at], device), predicted


def batch(data: Encoded, positions: np.ndarray, device: torch.device) -> dict[str, Tensor]:
    """The inputs of a model by name [b, t]: rows padded on the right to a multiple of PAD_TO."""
    length = -(-int(data.lengths[positions].max()) // PAD_TO) * PAD_TO
    where = data.features["input_ids"].device
    rows = np.stack([data.starts[positions], data.lengths[positions]])
    starts, lengths = moved(torch.from_numpy(rows), where)[:, :, None]
    columns = torch.arange(length, device=where)
    mask = columns < lengths
    at = (starts + columns).where(mask, 0)
    inputs = {
        name: tokens[at].long().masked_fill(~mask, data.padding[name])
        for name, tokens in data.features.items()
    }
    inputs["attention_mask"] = mask.long()
    return {name: moved(tensor, device) for name, tensor in inputs.items()}


def labels(data: Encoded, positions: np.ndarray, device: torch.device) -> Tensor:
    """Labels [b]: class numbers with -100 for none, or float32 with NaN for none."""
    values = torch.tensor(data.labels[positions], dtype=torch.float32)
    if data.classes == 1:
        return moved(values, device)
    return moved(torch.where(values.isnan(), torch.tensor(-100.0), values).long(), device)


def schedule(lengths: np.ndarray, labelled: int, train: Train, seed: int) -> list[np.ndarray]:
    """The positions of the rows of every batch of a whole training, known before it starts.

    There are `train.epochs * ceil(labelled / batch_size)` batches whatever the number of further
    rows, so that arms with and without a transfer set make the same number of updates.

    Args:
        lengths: tokens of each row [n], labelled rows first.
        labelled: how many rows have labels.
        train: epochs, batch size and how rows are put into batches.
        seed: of the run.

    Example:
        3 epochs of 100 labelled rows in batches of 32 are 12 batches. With 100 unlabelled rows
        beside, those 12 batches are one and a half passes over the 200 rows.
    """
    steps = train.epochs * -(-labelled // train.batch_size)
    batches: list[np.ndarray] = []
    for epoch in range(steps):  # an upper bound: each pass over the rows has at least one batch
        if len(batches) >= steps:
            break
        batches += _epoch(lengths, train, streams.key(seed, f"order/{epoch}"))
    return batches[:steps]


def _epoch(lengths: np.ndarray, train: Train, key: int) -> Iterator[np.ndarray]:
    """The batches of one pass over all rows; `bucket` puts rows of like length together."""
    random = np.random.Generator(np.random.PCG64(key))
    shuffled = random.permutation(len(lengths))
    size = train.batch_size
    if train.batching == "bucket":
        pools = [shuffled[i : i + POOL * size] for i in range(0, len(shuffled), POOL * size)]
        shuffled = np.concatenate([p[np.argsort(lengths[p], kind="stable")] for p in pools])
    batches = [shuffled[i : i + size] for i in range(0, len(shuffled), size)]
    if train.batching == "bucket":
        batches = [batches[i] for i in random.permutation(len(batches))]
    return iter(batches)


@cache
def scoring_batches(lengths: tuple[int, ...], size: int) -> list[np.ndarray]:
    """All rows in order of length, in batches that the lengths alone decide."""
    ordered = np.argsort(np.array(lengths), kind="stable")
    return [ordered[i : i + size] for i in range(0, len(ordered), size)]
