"""Views: which part of a forward pass a term compares.

A view is a function of a trace that returns a tensor and the mask of its valid units (rows, or
tokens). What it takes beside the trace decides how a term uses it:

- `(trace)`: it has no layers, such as logits;
- `(trace, layer)`: one layer, 1-based; the term's matching says which layers are compared;
- `(trace, layers)`: all matched layers of a side at once, stacked.

A view that is `of_rows` is one vector a row, which no other row of the batch changes: what a
teacher says of a row is then computed once for all (`kdlab.training.teacher_outputs`).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from kdlab.errors import Misfit
from kdlab.models.trace import Trace

View = tuple[Tensor, Tensor]  # values [..., d] and the mask [...] of valid units
UNSEEN = -1e4  # the score of a key that a query cannot see: its exponential is 0, its square finite


def of_rows(view: Callable[..., View]) -> Callable[..., View]:
    """Mark a view of a classifier as [b, d] with one vector for each row of a batch."""
    view.of_rows = True  # type: ignore[attr-defined]
    return view


@of_rows
def logits(trace: Trace) -> View:
    """Logits [b, c]; of a language model [n, vocabulary], valid where the token is masked."""
    return trace.logits, trace.mask.any(-1) if trace.masked is None else trace.masked


def token_logits(trace: Trace) -> View:
    """A language model's logits [n, vocabulary] at every token, masked or not.

    Sanh et al. 2019, arXiv 1910.01108: their code without `restrict_ce_to_mask`.
    """
    if trace.masked is None:
        raise Misfit("view token_logits: a classifier has no outputs at tokens")
    return trace.logits, torch.ones_like(trace.masked)


def embeddings(trace: Trace) -> View:
    """The embedding output [b, t, d], which enters the first layer."""
    return trace.hidden[0], trace.mask


def tokens(trace: Trace, layer: int) -> View:
    """Hidden states [b, t, d] after a layer."""
    return trace.hidden[layer], trace.mask


@of_rows
def cls(trace: Trace, layer: int) -> View:
    """The first token's hidden state [b, d] after a layer."""
    return trace.hidden[layer][:, 0], trace.mask.any(-1)


@of_rows
def mean_tokens(trace: Trace, layer: int) -> View:
    """The mean of the valid tokens' hidden states [b, d] after a layer."""
    # Of valid tokens alone, or a row's mean would depend on how far its batch is padded.
    weights = trace.mask.unsqueeze(-1).float()
    mean = (trace.hidden[layer].float() * weights).sum(1) / weights.sum(1).clamp(min=1)
    return mean, trace.mask.any(-1)


def stacked_tokens(trace: Trace, layers: list[int]) -> View:
    """Hidden states [b, t, L, d] after each of L layers, in the order given."""
    return torch.stack([trace.hidden[layer] for layer in layers], dim=2), trace.mask


def stacked_with_embedding(trace: Trace, layers: list[int]) -> View:
    """Hidden states [b, t, 1 + L, d]: the embedding output, then those after each of L layers."""
    return stacked_tokens(trace, [0, *layers])


def attention_scores(trace: Trace, layer: int) -> View:
    """Scores before the softmax [b, h, t, t] of a layer.

    They are Q Kᵀ / √d, or where a family adds a bias of positions what it takes the softmax of.

    Where a query cannot see a key (causal attention, or a window), the score is `UNSEEN`: finite,
    and zero after a softmax. Compare layers whose queries see the same keys: in a squared
    difference, a key that only one side sees outweighs all others.
    """
    heads = trace.heads[layer]
    if heads.scores is not None:
        return heads.scores.float().clamp(min=UNSEEN), trace.mask
    scores = heads.query.float() @ heads.key.float().transpose(2, 3) * heads.scaling
    if heads.allowed is not None:
        scores = scores.masked_fill(~heads.allowed, UNSEEN)
    return scores, trace.mask


def mean_attention_scores(trace: Trace, layer: int) -> View:
    """The mean of a layer's `attention_scores` over its heads [b, 1, t, t]."""
    scores, mask = attention_scores(trace, layer)
    return scores.mean(1, keepdim=True), mask


def summed_attention_scores(trace: Trace, layer: int) -> View:
    """The sum of a layer's `attention_scores` over its heads [b, 1, t, t]."""
    scores, mask = attention_scores(trace, layer)
    return scores.sum(1, keepdim=True), mask


def queries(trace: Trace, layer: int) -> View:
    """Queries [b, h, t, d / h] of a layer."""
    return trace.heads[layer].query, trace.mask


def keys(trace: Trace, layer: int) -> View:
    """Keys [b, h, t, d / h] of a layer."""
    return trace.heads[layer].key, trace.mask


def values(trace: Trace, layer: int) -> View:
    """Values [b, h, t, d / h] of a layer."""
    return trace.heads[layer].value, trace.mask
