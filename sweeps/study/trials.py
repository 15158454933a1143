"""The settings that an arm tries: every combination, or a balanced part of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, product
from math import prod
from typing import Any, TypeVar

from kdlab.record import short_digest
from sweeps.study import overrides
from sweeps.study.schema import Tune, Values

T = TypeVar("T")
Point = tuple[int, ...]  # for each key the place of a value


def combinations(tune: Tune, case: str) -> int:
    """How many settings there are for a case."""
    return prod(map(len, _keys(tune, case).values()))


def trials(tune: Tune, case: str) -> list[tuple[str, ...]]:
    """A case's trials as overrides, in the file's order.

    Where there are more combinations than `tune.trials`, a Latin hypercube of them (McKay, Beckman
    and Conover 1979) in which no point is twice and the values of each key are tried equally often:
    their counts differ by one at most, and those of a key of `over` are the same in every case.
    Which values meet is drawn for each case by its keys and its label, so that it stays when other
    cases change; where cases share a winner (`per` without `case`), they share the draw.
    """
    texts = {key: overrides.each(key, values) for key, values in _keys(tune, case).items()}
    if tune.trials is None or tune.trials >= combinations(tune, case):
        return list(product(*texts.values()))
    label = case if tune.per is None or "case" in tune.per else ""
    points = _balanced([*map(len, texts.values())], tune.trials, (label, texts))
    orders = [_order(own, tune.trials, label) for own in texts.values()]
    placed = sorted(
        tuple(order[place] for order, place in zip(orders, point, strict=True)) for point in points
    )
    return [
        tuple(own[place] for own, place in zip(texts.values(), point, strict=True))
        for point in placed
    ]


def _keys(tune: Tune, case: str) -> Mapping[str, Values]:
    return tune.over | tune.also.get(case, {})


def _balanced(sizes: Sequence[int], number: int, seed: Any) -> list[Point]:
    """So many different points of a grid; of each key the first `number % size` places once more.

    Each point of the keys but the last is taken `number // points` times, a balanced part of them
    once more, and they take the last key's values in turn, in an order of chance.
    """
    if not sizes:
        return [()] * number
    *others, last = sizes
    whole, more = divmod(number, prod(others))
    taken = Counter(_balanced(others, more, seed))
    if whole:
        taken.update({point: whole for point in product(*map(range, others))})
    turn = cycle(range(last))
    return [(*point, next(turn)) for point in _shuffled(taken, seed) for _ in range(taken[point])]


def _order(texts: Sequence[str], number: int, label: str) -> list[int]:
    """Which value each place of a key stands for: of the places that come once more alike for all.

    Within these, and within the others, the label decides.
    """
    more = number % len(texts)
    alike = _shuffled(range(len(texts)), (number, texts))
    return [
        place
        for part in (alike[:more], alike[more:])
        for place in _shuffled(part, (label, number, texts))
    ]


def _shuffled(items: Iterable[T], seed: Any) -> list[T]:
    """In an order of chance that the seed fixes, whatever the version of Python or NumPy."""
    return sorted(items, key=lambda item: short_digest(repr((seed, item)).encode()))
