"""How the budget of a size (parameters, or FLOPs) becomes a width and a depth.

A shape is a function `(layers, hidden, heads, intermediate, *, knobs) -> the same four`. It raises
`Misfit`, naming the nearest miss, where nothing fits.
"""

from collections.abc import Callable
from functools import cache
from math import ceil, floor, sqrt
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

from kdlab.errors import Misfit

Dimensions = tuple[int, int, int, int]
Cost = Callable[[int, int], int]  # (hidden, intermediate) -> what one layer costs
Factor = Annotated[float, Gt(0), Le(64)]
Width = Annotated[int, Ge(1)]
Share = Annotated[float, Ge(0), Lt(1)]

FEED_FORWARD = 4  # times the model's width
STRAY = sqrt(2)  # a depth misses its target by this factor at most, half way to the next doubling


def standard(layers: int, hidden: int, heads: int, intermediate: int) -> Dimensions:
    """The size as it stands."""
    return layers, hidden, heads, intermediate


def equal_parameters(
    layers: int,
    hidden: int,
    heads: int,
    intermediate: int,
    *,
    factor: Factor,
    head_width: Width,
    tolerance: Share,
) -> Dimensions:
    """About `factor` times the size's depth, as wide as its Transformer parameters allow.

    A depth fits if some multiple of `head_width` is a width that keeps the parameters within
    `tolerance` of the size's. Of the depths that fit, the one nearest to `factor` times the size's
    is taken, of two equally near the one that misses less; none is further from it than by a
    factor of √2. Heads are `head_width` wide, the feed-forward four times as wide as the model.

    Parameters are BERT's layers', 12H² + 13H each, without embeddings, pooler and classifier
    (Devlin et al. 2019, arXiv 1810.04805). Width against depth: Turc et al. 2019, arXiv 1908.08962,
    whose grid is not of equal budgets.

    Raises:
        Misfit: no depth fits; the nearest miss is named.
    """
    knobs = (factor, head_width, tolerance)
    return _solved(_parameters, "Transformer parameters", layers, hidden, intermediate, *knobs)


def equal_flops(
    layers: int,
    hidden: int,
    heads: int,
    intermediate: int,
    *,
    factor: Factor,
    head_width: Width,
    tolerance: Share,
) -> Dimensions:
    """As `equal_parameters`, but at the size's FLOPs of one forward pass over 128 tokens.

    They are those of `kdlab.models.costs.inference_flops`, two per multiply-add: attention's
    products count too, so that a deep student comes out a little narrower.

    Raises:
        Misfit: no depth fits; the nearest miss is named.
    """
    return _solved(_flops, "FLOPs", layers, hidden, intermediate, factor, head_width, tolerance)


def _parameters(hidden: int, intermediate: int) -> int:
    """Parameters of a layer of BERT: attention's four matrices, the feed-forward's two, norms."""
    attention = 4 * (hidden * hidden + hidden)
    feed_forward = 2 * hidden * intermediate + intermediate + hidden
    return attention + feed_forward + 4 * hidden


def _flops(hidden: int, intermediate: int) -> int:
    """FLOPs of one of BERT's layers over a row of 128 tokens."""
    from kdlab.encoders.architecture import Architecture
    from kdlab.models.costs import inference_flops

    return inference_flops(Architecture("bert", 1, hidden, 1, intermediate))


@cache  # thousands of runs may have the same size and shape
def _solved(
    cost: Cost,
    what: str,
    layers: int,
    hidden: int,
    intermediate: int,
    factor: float,
    head_width: int,
    tolerance: float,
) -> Dimensions:
    """The depth and width nearest to the target whose cost is within tolerance of the budget.

    Every depth within a factor of √2 of the target is tried with the two widths, multiples of
    `head_width`, between which a layer costs its share of the budget. `what` is for the message.
    """
    budget, target = layers * cost(hidden, intermediate), factor * layers
    tried = [
        (depth, width, depth * cost(width, FEED_FORWARD * width) / budget - 1)
        for depth in range(max(1, ceil(target / STRAY)), floor(target * STRAY) + 1)
        for width in _widths(cost, budget / depth, head_width)
    ]
    fits = [candidate for candidate in tried if abs(candidate[2]) <= tolerance]
    if not fits:
        raise Misfit(f"l{layers}_h{hidden} has none: {_nearest(tried, what, tolerance)}")
    depth, width, _ = min(fits, key=lambda fit: (abs(fit[0] - target), abs(fit[2])))
    return depth, width, width // head_width, FEED_FORWARD * width


def _widths(cost: Cost, share: float, head_width: int) -> tuple[int, int]:
    """The two neighbouring widths between which a layer costs its share of the budget."""

    def is_within(heads: int) -> bool:
        width = heads * head_width
        return cost(width, FEED_FORWARD * width) <= share

    # Bisection over the number of heads, after doubling until one is too many.
    fewest, most = 1, 1
    while is_within(most):
        fewest, most = most, 2 * most
    while most - fewest > 1:
        middle = (fewest + most) // 2
        fewest, most = (middle, most) if is_within(middle) else (fewest, middle)
    return fewest * head_width, (fewest + 1) * head_width


def _nearest(tried: list[tuple[int, int, float]], what: str, tolerance: float) -> str:
    """The candidate (depth, width, relative miss) that misses the budget least, for a message."""
    if not tried:
        return "it would be less than one layer deep"
    depth, width, miss = min(tried, key=lambda candidate: abs(candidate[2]))
    more = "more" if miss > 0 else "fewer"
    percent = f"{100 * abs(miss):.1f} % {more} {what}"
    return f"l{depth}_h{width}, the nearest, has {percent}, and {100 * tolerance:g} % are allowed"
