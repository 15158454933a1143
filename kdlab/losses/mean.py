"""The one way that losses average."""

from torch import Tensor

from kdlab.losses.knobs import Reduction


def over_valid(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of `values` where `mask`, of the same shape, is true; zero if it nowhere is."""
    if values.shape != mask.shape:
        raise ValueError(f"a mask of {list(mask.shape)} for units of {list(values.shape)}")
    kept = values.masked_fill(~mask.bool(), 0.0)
    return kept.sum() / mask.sum().clamp(min=1)


def over_last(values: Tensor, reduction: Reduction) -> Tensor:
    """The sum or the mean over the last axis."""
    return values.sum(-1) if reduction == "sum" else values.mean(-1)


def centred(states: Tensor, mask: Tensor) -> Tensor:
    """Valid units [n, d] of [..., d] less their mean, with zeros in place of the others."""
    padding = ~mask.bool().reshape(-1, 1)
    kept = states.reshape(-1, states.shape[-1]).masked_fill(padding, 0.0)
    mean = kept.sum(0) / mask.sum().clamp(min=1)
    return (kept - mean).masked_fill(padding, 0.0)
