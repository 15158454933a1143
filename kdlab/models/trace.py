"""What one forward pass of a Hugging Face transformer exposes.

transformers lets a model's attention function be chosen by name. Ours notes queries, keys and
values of the wanted layers, in the order of the calls, and then calls PyTorch's scaled dot
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
        scaling: of the scores.
        allowed: where a query sees part of the row only (causal attention, or a window), the keys
            that it sees, without padding, [b or 1, 1, t, t]; None where it sees every token.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    scaling: float
    allowed: Tensor | None = None


@dataclass(frozen=True)
class PredictedTokens:
    """Where a language model is asked for outputs.

    Attributes:
        at: [b, t], true at n tokens.
        masked: [n], true at those that are masked.
    """

    at: Tensor
    masked: Tensor


@dataclass(frozen=True)
class Trace:
    """One forward pass. `hidden[0]` is the embedding output, layers are 1-based.

    Attributes:
        logits: [b, c]; of a language model [n, vocabulary], at the n tokens that were asked for.
        hidden: layers + 1 tensors [b, t, d]; the last after the model's final norm, if it has one.
        heads: of the wanted layers only.
        mask: true at tokens [b, t].
        masked: of a language model's outputs [n], those whose token is masked; else None.
    """

    logits: Tensor
    hidden: tuple[Tensor, ...]
    heads: Mapping[int, Heads]
    mask: Tensor
    masked: Tensor | None = None


@dataclass
class _Tape:
    wanted: frozenset[int]
    calls: int = 0
    heads: dict[int, Heads] = field(default_factory=dict)


_tape: ContextVar[_Tape | None] = ContextVar("kdlab_tape", default=None)


def _noted_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **rest: Any
) -> tuple[Tensor, None]:
    if tape := _tape.get():
        tape.calls += 1
        if tape.calls in tape.wanted:
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
    scaling = rest.get("scaling") or query.shape[-1] ** -0.5
    if (shared := query.shape[1] // key.shape[1]) > 1:
        key, value = (states.repeat_interleave(shared, dim=1) for states in (key, value))
    causal = rest.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal  # as SDPA's function
    allowed = mask if causal or rest.get("sliding_window") else None
    if causal and mask is None:
        allowed = torch.ones(query.shape[2], key.shape[2], device=query.device).tril().bool()
        allowed = allowed[None, None]
    return Heads(query, key, value, scaling, allowed)


AttentionInterface.register(NAME, _noted_attention)
# Without a mask function of the same name the mask would silently be None.
AttentionMaskInterface.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])


def trace(
    model: nn.Module,
    batch: Mapping[str, Tensor],
    wanted: frozenset[int],
    asked: PredictedTokens | None = None,
) -> Trace:
    """Run a model on a batch and note the heads of the `wanted` layers.

    A sequence classifier has one output a row; a language model is `asked` for some.

    Raises:
        RuntimeError: if a wanted layer's attention did not pass through the interface.
    """
    tape = _Tape(wanted)
    token = _tape.set(tape)
    try:
        with _only(model, asked):
            output = model(**_inputs(model, batch), output_hidden_states=True)
    finally:
        _tape.reset(token)
    if missing := wanted - set(tape.heads):
        raise RuntimeError(
            f"{type(model).__name__}: attention of layers {sorted(missing)} was not seen"
        )
    mask = batch["attention_mask"].bool()
    logits = output.logits if asked is None else output.logits[0]
    masked = None if asked is None else asked.masked
    return Trace(logits, output.hidden_states, tape.heads, mask, masked)


def outputs(
    model: nn.Module, batch: Mapping[str, Tensor], asked: PredictedTokens | None = None
) -> Tensor:
    """Logits [b, c], or [n, vocabulary] where `asked`, in float32, without gradient."""
    with torch.no_grad(), _only(model, asked):
        logits = model(**_inputs(model, batch)).logits.float()
    return logits if asked is None else logits[0]


@contextmanager
def _only(model: Any, asked: PredictedTokens | None) -> Iterator[None]:
    """Let a language model's head see the asked tokens alone, as one row.

    A vocabulary of 30,000 makes the head dearer than a small encoder, and masks are few.
    """
    if asked is None:
        yield
        return

    def keep(module: nn.Module, given: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[asked.at].unsqueeze(0)
        return output

    handle = model.base_model.register_forward_hook(keep)
    try:
        yield
    finally:
        handle.remove()


def joined(parts: Sequence[Trace], order: Tensor) -> Trace:
    """Traces of parts of a batch as that of the whole.

    Args:
        parts: of equal padded length and the same layers.
        order: [b], the row of the parts, one after the other, that each row of the whole is.
    """

    def join(values: Sequence[Any]) -> Any:
        first = values[0]
        if isinstance(first, Tensor):
            return torch.cat(list(values))[order]
        if isinstance(first, tuple):
            return tuple(join(each) for each in zip(*values, strict=True))
        if isinstance(first, Mapping):
            return {key: join([value[key] for value in values]) for key in first}
        if is_dataclass(first) and not isinstance(first, type):
            names = [field.name for field in fields(first)]
            return replace(first, **{n: join([getattr(v, n) for v in values]) for n in names})
        return first  # the same in every part, as is the scale of scores

    whole: Trace = join(parts)
    return whole


def _inputs(model: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a model takes of a batch: segments only where it knows two, whatever the tokenizer."""
    segments = getattr(model.config, "type_vocab_size", 0) > 1
    return {name: x for name, x in batch.items() if segments or name != "token_type_ids"}
