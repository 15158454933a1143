"""What one forward pass of a Hugging Face encoder exposes.

transformers lets a model's attention function be chosen by name. Ours notes queries, keys and
values of the wanted layers, in the order of the calls, and then calls PyTorch's scaled dot
product attention: no hooks, no eager attention, for every model that uses that interface.
"""

from collections.abc import Mapping, Sequence
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
    """Queries, keys and values [b, h, t, d / h] of one layer, and the scale of its scores."""

    query: Tensor
    key: Tensor
    value: Tensor
    scaling: float


@dataclass(frozen=True)
class Trace:
    """One forward pass. `hidden[0]` is the embedding output, layers are 1-based.

    Attributes:
        logits: [b, c].
        hidden: layers + 1 tensors [b, t, d].
        heads: of the wanted layers only.
        mask: true at tokens [b, t].
    """

    logits: Tensor
    hidden: tuple[Tensor, ...]
    heads: Mapping[int, Heads]
    mask: Tensor


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
            scaling = rest.get("scaling") or query.shape[-1] ** -0.5
            tape.heads[tape.calls] = Heads(query, key, value, scaling)
    return sdpa_attention_forward(module, query, key, value, mask, **rest)


AttentionInterface.register(NAME, _noted_attention)
# Without a mask function of the same name the mask would silently be None.
AttentionMaskInterface.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])


def trace(model: nn.Module, batch: Mapping[str, Tensor], wanted: frozenset[int]) -> Trace:
    """Run a sequence classifier on a batch and note the heads of the `wanted` layers.

    Raises:
        RuntimeError: if a wanted layer's attention did not pass through the interface.
    """
    tape = _Tape(wanted)
    token = _tape.set(tape)
    try:
        output = model(**batch, output_hidden_states=True)
    finally:
        _tape.reset(token)
    if missing := wanted - set(tape.heads):
        raise RuntimeError(
            f"{type(model).__name__}: attention of layers {sorted(missing)} was not seen"
        )
    return Trace(output.logits, output.hidden_states, tape.heads, batch["attention_mask"].bool())


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


def outputs(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Logits [b, c] in float32, without gradient."""
    with torch.no_grad():
        return model(**batch).logits.float()
