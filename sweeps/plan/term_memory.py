"""Bytes that a term of knowledge takes in a step, counted: its loss is computed without values.

PyTorch's `meta` device has shapes and no memory. A term's loss and its backward pass are computed
there, on a batch as long as it gets, and the tensors that are alive are counted. So a new loss
needs no word about its memory.
"""

import weakref
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from kdlab.encoders.architecture import Architecture
from kdlab.encoders.families import FAMILIES
from kdlab.models.attention_heads import Heads
from kdlab.models.trace import Trace
from kdlab.objective.term_loss import Moment, TermLoss
from kdlab.options.memo import by_content
from kdlab.run import Matching, Term
from sweeps.plan.activations import Pass

META = torch.device("meta")
VIEWS = 4.0  # of both sides that a loss takes which asks for values, about


@dataclass(frozen=True)
class TermBytes:
    """What a term takes beside the traces that it compares.

    Attributes:
        kept: bytes for its backward pass.
        peak: bytes at most, at some time of its forward or backward pass.
        learned: parameters of its own.
    """

    kept: float
    peak: float
    learned: int


def term_bytes(
    term: Term, student: Architecture, teacher: Architecture, of: Pass, outputs: Any
) -> TermBytes:
    """What a term takes in a step.

    Args:
        term: what is compared.
        student, teacher: the dimensions of both.
        of: the batch.
        outputs: the shape of the logits: [b, c], or of a language model [n, vocabulary].
    """
    matching = term.matching
    single, pairs = _single(matching) if matching else (None, 1)
    # What changes no shape is taken out, so that one count serves thousands of runs.
    alike = replace(term, matching=single, weight=1.0, schedules={})
    one = _counted(alike, student, teacher, of, tuple(outputs))
    maps = pairs if matching is None or single is None else _maps(term, matching)
    return TermBytes(one.kept * pairs, one.kept * (pairs - 1) + one.peak, one.learned * maps)


def _single(matching: Matching) -> tuple[Matching, int]:
    """A matching of which one count tells all, and by how many pairs to multiply it."""
    students, teachers = (sorted(set(layers)) for layers in zip(*matching.pairs, strict=True))
    if matching.stacked or matching.mix == "features":
        return replace(matching, weigh=None), 1
    # Whoever weighs the pairs in each step asks for the losses of all of them.
    pairs = list(product(students, teachers)) if matching.weigh else list(matching.pairs)
    return replace(matching, weigh=None, pairs=tuple(pairs[:1])), len(pairs)


def _maps(term: Term, matching: Matching) -> int:
    """How many times a term learns what it learns for one pair."""
    if term.projection is None or term.projection.shared or matching.mix == "features":
        return 1
    return len({pair[0] for pair in matching.pairs})


@by_content
def _counted(
    term: Term, student: Architecture, teacher: Architecture, of: Pass, outputs: tuple[int, ...]
) -> TermBytes:
    """The bytes of a term's forward and backward pass, on tensors without values."""
    with _Alive() as alive:
        term_loss = TermLoss(term, student, teacher, seed=0).to(META)
        learned = sum(parameter.numel() for parameter in term_loss.parameters())
        layers = {
            side: [pair[side] for pair in term.matching.pairs] if term.matching else []
            for side in (0, 1)
        }
        traces = (
            _trace(student, of, outputs, layers[0], True),
            _trace(teacher, of, outputs, layers[1], False),
        )
        before = alive.bytes
        alive.peak = before
        try:
            loss = term_loss(*traces, Moment(0, 0, 0.0), torch.sum)
            kept = alive.bytes - before
            loss.backward()
        except RuntimeError:  # it asks for values, which are not there
            return _by_views(term, term_loss, traces, learned)
        return TermBytes(float(kept), float(alive.peak - before), learned)


def _by_views(
    term: Term, term_loss: TermLoss, traces: tuple[Trace, Trace], learned: int
) -> TermBytes:
    """A term that cannot be counted, by the size of what it compares."""
    size = 0
    for number, trace in enumerate(traces):
        layers = [pair[number] for pair in term.matching.pairs] if term.matching else []
        arguments = [layers] if term.matching and term.matching.stacked else layers[:1]
        size += 4 * term_loss.view(trace, *arguments)[0].numel()
    return TermBytes(VIEWS * size, VIEWS * size, learned)


def _trace(
    model: Architecture, of: Pass, outputs: tuple[int, ...], layers: list[int], learns: bool
) -> Trace:
    """A forward pass that never happened, of tensors without values."""
    passed = torch.bfloat16 if of.is_bf16 else torch.float32

    def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(*shape, dtype=dtype, device=META, requires_grad=learns)

    def heads() -> Heads:
        shape = (of.rows, model.heads, of.tokens, model.hidden // model.heads)
        scores = empty(*shape[:3], of.tokens) if FAMILIES[model.family].projections else None
        query, key, value = (empty(*shape, dtype=passed) for _ in range(3))
        return Heads(query, key, value, 1.0, scores=scores)

    hidden = tuple(empty(of.rows, of.tokens, model.hidden) for _ in range(model.layers + 1))
    mask = torch.ones(of.rows, of.tokens, dtype=torch.bool, device=META)
    masked = (
        None if outputs[0] == of.rows else torch.ones(outputs[0], dtype=torch.bool, device=META)
    )
    return Trace(
        empty(*outputs, dtype=passed), hidden, {n: heads() for n in set(layers)}, mask, masked
    )


class _Alive(TorchDispatchMode):
    """Counts the bytes of all tensors that are made while it is entered, until they are gone.

    A class, because PyTorch has no other way to see every operation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.peak = 0
        self.storages: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        results = function(*arguments, **(keywords or {}))
        for result in results if isinstance(results, (tuple, list)) else (results,):
            if isinstance(result, Tensor):
                self._count(result.untyped_storage())
        return results

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self.storages:  # a view of what is counted
            return

        def gone(_: Any) -> None:
            del self.storages[key]
            self.bytes -= size

        self.storages[key] = weakref.ref(storage, gone)
        self.bytes += size
        self.peak = max(self.peak, self.bytes)
