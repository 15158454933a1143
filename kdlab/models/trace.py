"""What one forward pass of a Hugging Face transformer exposes: logits, hidden states, attention.

transformers lets a model's attention function be chosen by name. Ours keeps queries, keys and
values of the traced layers, in the order of the calls, and then calls PyTorch's scaled dot
product attention: no hooks, no eager attention, for every model that uses that interface.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

NAME = "kdlab"  # the attention implementation that models are loaded with


@dataclass(frozen=True)
class Heads:
    """Queries, keys and values [b, h, t, d / h] of one layer, as its attention takes them.

    Rotary positions are already in queries and keys. Keys and values that several query heads
    share are repeated for each.

    Attributes:
        scaling: the factor of the scores Q Kᵀ, such as 1 / √(d / h).
        allowed: [b or 1, 1, t, t], true where a query may attend to a key, padding left out, if
            queries see part of the row only (causal attention, or a window); None if they see all.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    scaling: float
    allowed: Tensor | None = None


@dataclass(frozen=True)
class PredictedTokens:
    """The tokens for which a language model computes logits.

    Attributes:
        at: [b, t], true at n tokens.
        masked: [n], true for those of the n tokens that are masked.
    """

    at: Tensor
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


@dataclass
class _Tape:
    """What is recorded during one forward pass: layers are counted by the calls of attention."""

    layers: frozenset[int]
    calls: int = 0
    heads: dict[int, Heads] = field(default_factory=dict)


# A context variable, since attention functions are called by transformers with its own arguments.
_tape: ContextVar[_Tape | None] = ContextVar("kdlab_tape", default=None)


def _recording_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **rest: Any
) -> tuple[Tensor, None]:
    if tape := _tape.get():
        tape.calls += 1
        if tape.calls in tape.layers:
            tape.heads[tape.calls] = _heads(module, query, key, value, mask, rest)
    return sdpa_attention_forward(module, query, key, value, mask, **rest)


def _heads(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    rest: Mapping[str, Any],
) -> Heads:
    """What an attention is called with, as `Heads`; which keys are allowed as SDPA's function."""
    scaling = rest.get("scaling") or query.shape[-1] ** -0.5
    if (shared := query.shape[1] // key.shape[1]) > 1:
        key, value = (states.repeat_interleave(shared, dim=1) for states in (key, value))
    causal = rest.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    allowed = mask if causal or rest.get("sliding_window") else None
    if causal and mask is None:  # without padding transformers leaves the triangle to SDPA
        allowed = torch.ones(query.shape[2], key.shape[2], device=query.device).tril().bool()
        allowed = allowed[None, None]
    return Heads(query, key, value, scaling, allowed)


AttentionInterface.register(NAME, _recording_attention)
# Without a mask function of the same name the mask would silently be None.
AttentionMaskInterface.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])


def trace(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    layers: frozenset[int],
    predicted: PredictedTokens | None = None,
    depth: int | None = None,
) -> Trace:
    """One forward pass of a model, with the heads of some layers.

    Args:
        model: loaded with the attention implementation `NAME`.
        inputs: `input_ids`, `attention_mask` and, of some tokenizers, `token_type_ids`, [b, t].
        layers: 1-based, whose queries, keys and values are kept.
        predicted: the tokens at which a language model computes logits; None of a classifier.
        depth: the highest layer that is looked at: what lies above it is not computed, and the
            logits are NaN; None: all layers.

    Raises:
        RuntimeError: the attention of one of the layers did not go through transformers' interface.
    """
    tape = _Tape(layers)
    token = _tape.set(tape)
    try:
        with _head_at(model, predicted), _cut(model, depth) as is_cut:
            output = model(**_accepted(model, inputs), output_hidden_states=True)
    finally:
        _tape.reset(token)
    if missing := layers - set(tape.heads):
        raise RuntimeError(
            f"{type(model).__name__}: attention of layers {sorted(missing)} was not seen"
        )
    mask = inputs["attention_mask"].bool()
    logits = output.logits if predicted is None else output.logits[0]
    if is_cut:  # they are of some layer's state: no term shall learn from them unnoticed
        logits = torch.full_like(logits, torch.nan)
    masked = None if predicted is None else predicted.masked
    return Trace(logits, output.hidden_states, tape.heads, mask, masked)


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
        output.last_hidden_state = output.last_hidden_state[predicted.at].unsqueeze(0)
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
    encoder, name = _layers(model.base_model)
    layers = getattr(encoder, name)
    setattr(encoder, name, layers[: depth + 1])
    try:
        yield True
    finally:
        setattr(encoder, name, layers)


def _layers(encoder: Any) -> tuple[Any, str]:
    """The module that holds the list of an encoder's layers, and the list's name in it."""
    depth = encoder.config.num_hidden_layers
    for module in encoder.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == depth:
                return module, name
    raise RuntimeError(f"{type(encoder).__name__}: no list of {depth} layers")


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
