"""The settings that an arm tries: every combination, or a balanced part of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, product
from math import prod
from typing import Any, TypeVar

from kdlab.storage.durable import short_digest
from sweeps.study import overrides
from sweeps.study.schema import Tune, Values

T = TypeVar("T")
Point = tuple[int, ...]  # for each key the index of a value


def combinations(tune: Tune, case: str) -> int:
    """How many settings there are for a case."""
    return prod(map(len, _keys(tune, case).values()))


def trials(tune: Tune, case: str) -> list[tuple[str, ...]]:
    """A case's trials as overrides, in the file's order.

    Where there are more combinations than `tune.trials`, a Latin hypercube of them (McKay, Beckman
    and Conover 1979) in which no point is twice and the values of each key are tried equally often:
    their counts differ by one at most, and those of a key of `over` are the same in every case.
    Example: 4 trials of 3 learning rates and 2 temperatures try each temperature twice, one
    learning rate twice and the others once. Which values meet is drawn for each case by its keys
    and its label, so that it stays when other cases change; where cases share a winner (`per`
    without `case`), they share the draw.
    """
    texts = {key: overrides.of_values(key, values) for key, values in _keys(tune, case).items()}
    if tune.trials is None or tune.trials >= combinations(tune, case):
        return list(product(*texts.values()))
    label = case if tune.per is None or "case" in tune.per else ""
    points = _balanced([*map(len, texts.values())], tune.trials, (label, texts))
    orders = [_order(of_key, tune.trials, label) for of_key in texts.values()]
    # Sorted by index, not by text: a plan lists trials in the file's order, whatever was drawn.
    drawn = sorted(
        tuple(order[index] for order, index in zip(orders, point, strict=True)) for point in points
    )
    return [
        tuple(of_key[index] for of_key, index in zip(texts.values(), point, strict=True))
        for point in drawn
    ]


def _keys(tune: Tune, case: str) -> Mapping[str, Values]:
    """The keys that a case tunes, with their values."""
    return tune.over | tune.also.get(case, {})


def _balanced(sizes: Sequence[int], number: int, seed: Any) -> list[Point]:
    """Draw so many different points of a grid, balanced in each key.

    Each point of the keys but the last is taken `number // points` times, a balanced part of them
    once more (by recursion), and they take the last key's values in turn, in a random order.

    Args:
        sizes: how many values each key has.
        number: how many points; at most the product of the sizes.
        seed: what the random order depends on.

    Returns:
        The points; of each key the first `number % size` indices come once more than the others.
    """
    if not sizes:
        return [()] * number
    *others, last = sizes
    whole, more = divmod(number, prod(others))
    # Example: 5 points of sizes (2, 3). Each of the 2 values of the first key is taken twice, one
    # of them a third time; these 5 take 0, 1, 2, 0, 1 of the last key.
    taken = Counter(_balanced(others, more, seed))
    if whole:
        taken.update({point: whole for point in product(*map(range, others))})
    last_indices = cycle(range(last))
    return [
        (*point, next(last_indices))
        for point in _shuffled(taken, seed)
        for _ in range(taken[point])
    ]


def _order(texts: Sequence[str], number: int, label: str) -> list[int]:
    """Which value of a key each index of `_balanced` stands for.

    The first `number % size` indices come once more. Which values these are is the same for all
    labels, so that no case tries a good learning rate more often than another; in which order,
    within these and within the others, is drawn by the label.
    """
    more = number % len(texts)
    for_all = _shuffled(range(len(texts)), (number, texts))
    return [
        index
        for part in (for_all[:more], for_all[more:])
        for index in _shuffled(part, (label, number, texts))
    ]


def _shuffled(items: Iterable[T], seed: Any) -> list[T]:
    """Items in a random order that the seed fixes, whatever the version of Python or NumPy."""
    return sorted(items, key=lambda item: short_digest(repr((seed, item)).encode()))
