"""What one forward pass of a Hugging Face transformer exposes: logits, hidden states, attention."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from kdlab.models import layer_list
from kdlab.models.attention_heads import Heads, recorded


@dataclass(frozen=True)
class PredictedTokens:
    """The tokens for which a language model computes logits.

    Attributes:
        positions: [n], where in the batch [b, t], flattened, they are: column + t * row.
        masked: [n], true for those of the n tokens that are masked.
    """

    positions: Tensor
    masked: Tensor


@dataclass(frozen=True)
class Trace:
    """One forward pass.

    Attributes:
        logits: [b, c]; of a language model [n, vocabulary], at the n predicted tokens.
        hidden: layers + 1 tensors [b, t, d]: the embedding output, then each layer's output, so
            that `hidden[1]` is after layer 1; the last after the model's final norm, if it has one.
        heads: of the traced layers only, by their 1-based number.
        mask: [b, t], true at tokens, false at padding.
        masked: [n], true for those predicted tokens that are masked; None of a classifier.
    """

    logits: Tensor
    hidden: tuple[Tensor, ...]
    heads: Mapping[int, Heads]
    mask: Tensor
    masked: Tensor | None = None


def trace(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    layers: frozenset[int],
    predicted: PredictedTokens | None = None,
    depth: int | None = None,
) -> Trace:
    """One forward pass of a model, with the heads of some layers.

    Args:
        model: loaded with its family's `kdlab.models.attention_heads.implementation`.
        inputs: `input_ids`, `attention_mask` and, of some tokenizers, `token_type_ids`, [b, t].
        layers: 1-based, whose queries, keys and values are kept.
        predicted: the tokens at which a language model computes logits; None of a classifier.
        depth: the highest layer that is looked at: what lies above it is not computed, and the
            logits are NaN; None: all layers.

    Raises:
        RuntimeError: the attention of one of the layers was not seen.
    """
    # Heads first: layers are found by their number, which a cut changes.
    with recorded(model, layers) as heads, _head_at(model, predicted), _cut(model, depth) as is_cut:
        output = model(**_accepted(model, inputs), output_hidden_states=True)
    if missing := layers - set(heads):
        raise RuntimeError(
            f"{type(model).__name__}: attention of layers {sorted(missing)} was not seen"
        )
    mask = inputs["attention_mask"].bool()
    logits = output.logits if predicted is None else output.logits[0]
    if is_cut:  # they are of some layer's state: no term shall learn from them unnoticed
        logits = torch.full_like(logits, torch.nan)
    masked = None if predicted is None else predicted.masked
    return Trace(logits, output.hidden_states, heads, mask, masked)


def inference_logits(
    model: nn.Module, inputs: Mapping[str, Tensor], predicted: PredictedTokens | None = None
) -> Tensor:
    """Logits [b, c], or [n, vocabulary] at n `predicted` tokens, in float32, without gradient."""
    with torch.no_grad(), _head_at(model, predicted):
        logits = model(**_accepted(model, inputs)).logits.float()
    return logits if predicted is None else logits[0]


@contextmanager
def _head_at(model: Any, predicted: PredictedTokens | None) -> Iterator[None]:
    """Let a language model's head see the predicted tokens alone, as one row [1, n, d].

    A vocabulary of 30,000 makes the head dearer than a small encoder, and few tokens are masked.
    """
    if predicted is None:
        yield
        return

    def keep(module: nn.Module, arguments: Any, output: Any) -> Any:
        states = output.last_hidden_state.flatten(0, 1)
        output.last_hidden_state = states[predicted.positions].unsqueeze(0)
        return output

    handle = model.base_model.register_forward_hook(keep)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _cut(model: Any, depth: int | None) -> Iterator[bool]:
    """Let an encoder end a layer above `depth`; tell whether anything was cut off.

    One layer more, because some families have a norm after the last one, which is none of its
    output.
    """
    if depth is None or depth + 1 >= model.config.num_hidden_layers:
        yield False
        return
    encoder, name = layer_list.holder(model.base_model)
    layers = getattr(encoder, name)
    setattr(encoder, name, layers[: depth + 1])
    try:
        yield True
    finally:
        setattr(encoder, name, layers)


def joined(parts: Sequence[Trace], order: Tensor) -> Trace:
    """The traces of parts of a batch, joined to that of the whole.

    Args:
        parts: of equal padded length and the same layers.
        order: [b], for each row of the whole its position among the rows of all parts in turn.

    Example:
        Parts with rows (0, 2) and (1, 3) of a batch have `order` (0, 2, 1, 3).
    """

    def join(values: Sequence[Any]) -> Any:
        first = values[0]
        if isinstance(first, Tensor):
            return torch.cat(list(values))[order]
        if isinstance(first, tuple):
            return tuple(join(items) for items in zip(*values, strict=True))
        if isinstance(first, Mapping):
            return {key: join([value[key] for value in values]) for key in first}
        if is_dataclass(first) and not isinstance(first, type):
            names = [field.name for field in fields(first)]
            return replace(first, **{n: join([getattr(v, n) for v in values]) for n in names})
        return first  # the same in every part: the scaling of scores, or None

    whole: Trace = join(parts)
    return whole


def _accepted(model: Any, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inputs that a model takes: segment ids only where it has two, whatever the tokenizer."""
    has_segments = getattr(model.config, "type_vocab_size", 0) > 1
    return {name: x for name, x in inputs.items() if has_segments or name != "token_type_ids"}
