"""The one way that losses average."""

from torch import Tensor


def over_valid(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of `values` where `mask`, of the same shape, is true; zero if it nowhere is."""
    if values.shape != mask.shape:
        raise ValueError(f"a mask of {list(mask.shape)} for units of {list(values.shape)}")
    kept = values.masked_fill(~mask.bool(), 0.0)
    return kept.sum() / mask.sum().clamp(min=1)
