"""Counts what PyTorch keeps for a backward pass."""

from collections.abc import Callable, Iterable

from torch import Tensor


def counting(own: Iterable[Tensor]) -> tuple[Callable[[Tensor], Tensor], dict[int, int]]:
    """A hook for saved tensors that counts each storage once, and what it has counted.

    Args:
        own: tensors that were there before, such as weights, and are not counted.

    Returns:
        The hook; and by storage its bytes.
    """
    given = {x.untyped_storage()._cdata for x in own}
    sizes: dict[int, int] = {}
    alive = []

    def pack(x: Tensor) -> Tensor:
        if (key := x.untyped_storage()._cdata) not in given:
            sizes[key] = x.untyped_storage().nbytes()
            alive.append(x)  # or another tensor is given its address
        return x

    return pack, sizes
