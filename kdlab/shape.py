"""How a size's budget becomes a width and a depth.

A shape is a function `(layers, hidden, heads, intermediate, *, knobs) -> the same four`.
"""

Dimensions = tuple[int, int, int, int]


def standard(layers: int, hidden: int, heads: int, intermediate: int) -> Dimensions:
    """The size as it stands."""
    return layers, hidden, heads, intermediate
