"""How losses take means: over valid units alone."""

from torch import Tensor

from kdlab.losses.knobs import Reduction


def over_valid(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of `values` [...] where `mask` [...] is true; zero if it is true nowhere."""
    if values.shape != mask.shape:  # or it would be broadcast
        raise ValueError(f"a mask of {list(mask.shape)} for units of {list(values.shape)}")
    # Not a product with the mask: zero times what is infinite in padding is NaN.
    valid = values.masked_fill(~mask.bool(), 0.0)
    return valid.sum() / mask.sum().clamp(min=1)


def over_last(values: Tensor, reduction: Reduction) -> Tensor:
    """The sum or the mean over the last axis."""
    return values.sum(-1) if reduction == "sum" else values.mean(-1)


def centred(states: Tensor, mask: Tensor) -> Tensor:
    """States [..., d] as units [n, d], less the valid ones' mean; zeros in place of padding."""
    padding = ~mask.bool().reshape(-1, 1)
    units = states.reshape(-1, states.shape[-1]).masked_fill(padding, 0.0)
    mean = units.sum(0) / mask.sum().clamp(min=1)
    return (units - mean).masked_fill(padding, 0.0)  # once more: zero less the mean is not zero


def zero_padding(states: Tensor, mask: Tensor) -> Tensor:
    """States [..., *] in float32, with zeros where `mask` [...], of fewer axes, is false."""
    padding = ~mask.bool()
    padding = padding.reshape(*padding.shape, *[1] * (states.ndim - mask.ndim))
    return states.float().masked_fill(padding, 0.0)
