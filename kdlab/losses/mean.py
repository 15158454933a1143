"""The one way that losses average."""

from torch import Tensor


def over_valid(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of `values` (shaped as `mask`) where `mask` is true; zero if it nowhere is."""
    kept = values.masked_fill(~mask.bool(), 0.0)
    return kept.sum() / mask.sum().clamp(min=1)
