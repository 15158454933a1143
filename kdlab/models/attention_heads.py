"""How the heads of an encoder's attention are seen, in one of two ways.

Most families let their attention function be chosen by name. Ours keeps queries, keys and values
of the traced layers, in the order of the calls, and then calls PyTorch's scaled dot product
attention: no hooks, and no eager attention.

Families that add a position's bias to their scores (MPNet, DeBERTa) compute attention in code of
their own. There queries, keys and values are what comes out of a layer's projections
(`Family.projections`), and the scores are what the layer takes its softmax of.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from kdlab.encoders.families import FAMILIES, Family
from kdlab.models import layer_list

# Where a mask is asked whether there is padding at all: a GPU would be waited for in every pass.
ASKED = ("cpu",)
NAME = "kdlab"  # the attention implementation of models whose function can be chosen


@dataclass(frozen=True)
class Heads:
    """Queries, keys and values [b, h, t, d / h] of one layer, as its attention takes them.

    Rotary positions are already in queries and keys. Keys and values that several query heads
    share are repeated for each.

    Attributes:
        scaling: the factor of the scores Q Kᵀ, such as 1 / √(d / h); of no use beside `scores`.
        allowed: [b or 1, 1, t, t], true where a query may attend to a key, padding left out, if
            queries see part of the row only (causal attention, or a window); None if they see all.
        scores: [b, h, t, t], the layer's own, where they are more than scaled Q Kᵀ: with a bias of
            positions, in the precision of the pass, and very low at padded keys; else None.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    scaling: float
    allowed: Tensor | None = None
    scores: Tensor | None = None


def implementation(model_type: str) -> str:
    """The attention implementation with which to load a model of a family."""
    family = FAMILIES.get(model_type)
    if family and family.projections:
        return "eager"  # its masks are numbers to be added, as a family's own attention expects
    _register()
    return NAME


@cache
def _register() -> None:
    # Not at the top, as everywhere below: these modules take two seconds to load, and whoever only
    # composes or plans runs loads no model.
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, _recording_attention)
    # Without a mask function of the same name the mask would silently be None.
    AttentionMaskInterface.register(NAME, _mask)


@contextmanager
def recorded(model: Any, layers: frozenset[int]) -> Iterator[dict[int, Heads]]:
    """Keep the heads of some layers, by their 1-based numbers, during one forward pass."""
    family = FAMILIES.get(model.config.model_type)
    if family and family.projections:
        # It would add the masks of any other implementation, which are no numbers, to its scores.
        assert model.config._attn_implementation == "eager", "loaded without `implementation`"
        with _watched_layers(model, family, layers) as heads:
            yield heads
        return
    tape = _Tape(layers)
    token = _tape.set(tape)
    try:
        yield tape.heads
    finally:
        _tape.reset(token)


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
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

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


def _mask(*arguments: Any, **keywords: Any) -> Tensor | None:
    """The mask for PyTorch's attention; on a GPU a batch without padding has one, too."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    mask = keywords.get("attention_mask")
    if mask is not None and mask.device.type not in ASKED:
        keywords["allow_is_bidirectional_skip"] = False
    return ALL_MASK_ATTENTION_FUNCTIONS["sdpa"](*arguments, **keywords)


@contextmanager
def _watched_layers(
    model: Any, family: Family, layers: frozenset[int]
) -> Iterator[dict[int, Heads]]:
    """`recorded` of a family whose attention is code of its own."""
    assert family.projections
    (path,) = {name.rpartition(".")[0] for name in family.projections}
    names = [name.rpartition(".")[2] for name in family.projections]
    count = getattr(model.config, family.names[2])
    heads: dict[int, Heads] = {}
    with ExitStack() as stack:
        for number, layer in enumerate(layer_list.layers(model.base_model), 1):
            if number in layers:
                attention = layer.get_submodule(path)
                keep = _keeper(heads, number, count)
                stack.enter_context(_watched(attention, names, keep))
        yield heads


def _keeper(heads: dict[int, Heads], number: int, count: int) -> Callable[..., None]:
    """A function that puts what was seen of a layer into `heads`."""

    def keep(scores: Tensor, *projected: Tensor) -> None:
        query, key, value = (x.unflatten(-1, (count, -1)).transpose(1, 2) for x in projected)
        heads[number] = Heads(query, key, value, query.shape[-1] ** -0.5, scores=scores)

    return keep


@contextmanager
def _watched(attention: Any, names: Sequence[str], keep: Callable[..., None]) -> Iterator[None]:
    """Let `keep` have the scores and the projections of every pass through an attention module."""
    projected: dict[str, Tensor] = {}
    plain = attention.forward

    def remember(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: Any, output: Tensor) -> None:
            # The first call's: DeBERTa projects its table of positions by the same matrices.
            projected.setdefault(name, output)

        return hook

    def forward(*arguments: Any, **keywords: Any) -> Any:
        with _FirstSoftmax() as softmax:
            output = plain(*arguments, **keywords)
        if softmax.scores is not None and projected.keys() == set(names):
            keep(softmax.scores, *(projected.pop(name) for name in names))
        return output

    handles = [getattr(attention, n).register_forward_hook(remember(n)) for n in names]
    attention.forward = forward  # of this one module, and until the end of the pass
    try:
        yield
    finally:
        del attention.forward
        for handle in handles:
            handle.remove()


class _FirstSoftmax(TorchFunctionMode):
    """While it is entered, remembers what the first softmax is taken of.

    A class, because PyTorch has no other way to see a function's argument where no module has it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scores: Tensor | None = None

    def __torch_function__(
        self, function: Any, types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        if function is torch.nn.functional.softmax and self.scores is None:
            self.scores = arguments[0]
        return function(*arguments, **(keywords or {}))
