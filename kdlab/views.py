"""What a term looks at: functions of a trace, or of a trace and a layer.

A view returns a tensor and the mask of its valid units. Taking `layer` makes a term layered: its
matching says which layers meet.
"""

import torch
from torch import Tensor

from kdlab.trace import Trace

View = tuple[Tensor, Tensor]


def logits(trace: Trace) -> View:
    """Outputs [b, c]; of a language model [n, vocabulary], counted where a token is masked."""
    return trace.logits, trace.mask.any(-1) if trace.masked is None else trace.masked


def token_logits(trace: Trace) -> View:
    """A language model's outputs [n, vocabulary] at every token, masked or not.

    Sanh et al. 2019, arXiv 1910.01108: their code without `restrict_ce_to_mask`.
    """
    if trace.masked is None:
        raise ValueError("view token_logits: a classifier has no outputs at tokens")
    return trace.logits, torch.ones_like(trace.masked)


def tokens(trace: Trace, layer: int) -> View:
    """Hidden states [b, t, d] after a layer."""
    return trace.hidden[layer], trace.mask


def cls(trace: Trace, layer: int) -> View:
    """The first token's hidden state [b, d] after a layer."""
    return trace.hidden[layer][:, 0], trace.mask.any(-1)


def mean_tokens(trace: Trace, layer: int) -> View:
    """The mean of the valid tokens' hidden states [b, d] after a layer."""
    weights = trace.mask.unsqueeze(-1).float()
    mean = (trace.hidden[layer].float() * weights).sum(1) / weights.sum(1).clamp(min=1)
    return mean, trace.mask.any(-1)


def attention_scores(trace: Trace, layer: int) -> View:
    """Scaled scores Q Kᵀ / √d before mask and softmax [b, h, t, t] of a layer."""
    heads = trace.heads[layer]
    return heads.query.float() @ heads.key.float().transpose(2, 3) * heads.scaling, trace.mask


def queries(trace: Trace, layer: int) -> View:
    """Queries [b, h, t, d / h] of a layer."""
    return trace.heads[layer].query, trace.mask


def keys(trace: Trace, layer: int) -> View:
    """Keys [b, h, t, d / h] of a layer."""
    return trace.heads[layer].key, trace.mask


def values(trace: Trace, layer: int) -> View:
    """Values [b, h, t, d / h] of a layer."""
    return trace.heads[layer].value, trace.mask
