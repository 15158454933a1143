"""Matchings that are fixed lists of pairs."""

from random import Random
from typing import Annotated

from annotated_types import Gt

from kdlab.encoders import layers
from kdlab.errors import Misfit

Pairs = list[tuple[int, int]]


def none(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """No pairs: for terms that compare no layers."""
    return []


def first(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """Layer i to layer i."""
    return _number(layers.first(*_fit(student_layers, teacher_layers)))


def last(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """Layer i to layer T-S+i."""
    return _number(layers.last(*_fit(student_layers, teacher_layers)))


def skip(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """Layer i to floor(i T / S + 1/2). Jiao et al. 2020, arXiv 1909.10351, for T divisible by S."""
    return _number(layers.skip(*_fit(student_layers, teacher_layers)))


def reverse(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """`skip` upside down: the lowest student layer to the highest teacher layer. A control.

    arXiv 2502.04499, which finds that even this matching helps.
    """
    return _number(layers.skip(*_fit(student_layers, teacher_layers))[::-1])


def random(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """S distinct teacher layers in random order, fixed by the seed. A control: arXiv 2502.04499."""
    return _number(_drawn(student_layers, teacher_layers, random))


def random_in_order(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """S distinct teacher layers in rising order, fixed by the seed: one draw of RAIL-KD, kept.

    A control beside `random`. Haidar et al. 2021, arXiv 2109.10164, draw anew in training.
    """
    return _number(sorted(_drawn(student_layers, teacher_layers, random)))


def last1(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """The last layer to the last layer. Wang et al. 2020, arXiv 2002.10957."""
    return [(student_layers, teacher_layers)]


def last_but_two(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """Layer S-2 to layer T-2: third from last to third from last.

    Muralidharan et al. 2024, arXiv 2407.14679, credit the finding to Lu et al. 2022,
    arXiv 2206.14366.
    """
    if min(student_layers, teacher_layers) < 3:
        raise Misfit(f"needs three layers on both sides, not {student_layers} and {teacher_layers}")
    return [(student_layers - 2, teacher_layers - 2)]


def middle(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """The middle layer to the middle layer, the lower of two: ceil(S / 2) to ceil(T / 2).

    Romero et al. 2015, arXiv 1412.6550: FitNets' guided layer and hint.
    """
    return [((student_layers + 1) // 2, (teacher_layers + 1) // 2)]


def last_k(
    student_layers: int, teacher_layers: int, random: Random, *, k: Annotated[int, Gt(0)]
) -> Pairs:
    """The last k student layers to the last k teacher layers, in order: S-k+i to T-k+i.

    Udagawa et al. 2023, arXiv 2310.08797.
    """
    if k > min(student_layers, teacher_layers):
        raise Misfit(
            f"k={k} is more than the layers of one side, {student_layers} and {teacher_layers}"
        )
    return [(student_layers - i, teacher_layers - i) for i in reversed(range(k))]  # rising


def all_to_one(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """Every student layer to the last teacher layer. A control: arXiv 2502.04499."""
    return [(layer, teacher_layers) for layer in range(1, student_layers + 1)]


def uniform_consecutive(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """Each student layer to the block of teacher layers that ends in its layer of `skip`.

    Udagawa et al. 2023, arXiv 2310.08797: with k = T / S, layer i to k(i-1)+1, ..., ki. Their
    k = ceil(T / S) would leave student layers without a teacher layer (12 to 5); here, for any
    depths, every teacher layer is in one block and no block is empty.
    """
    blocks = layers.blocks(*_fit(student_layers, teacher_layers))
    return [(layer, teacher) for layer, block in enumerate(blocks, 1) for teacher in block]


def uniform_last(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """Each student layer to its layer of `skip` and to the last; the last student layer once.

    Udagawa et al. 2023, arXiv 2310.08797, give each student layer two teacher layers, "uniform +
    last". That names a layer of the uniform rule and either the teacher's last layer, as here, or
    the layer of the rule `last`, as in `uniform_last_k`.
    """
    pairs = skip(student_layers, teacher_layers, random)
    # A set, since `skip` of the last student layer is the last teacher layer already.
    return sorted({*pairs, *((layer, teacher_layers) for layer, _ in pairs)})


def uniform_last_k(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """Each student layer to its layer of `skip` and to its layer of `last`; once if they are one.

    The other reading of "uniform + last": see `uniform_last`.
    """
    rules = (skip, last)
    return sorted({pair for rule in rules for pair in rule(student_layers, teacher_layers, random)})


def every(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """Every student layer with every teacher layer: candidates for a matching that weighs."""
    return [
        (student, teacher)
        for student in range(1, student_layers + 1)
        for teacher in range(1, teacher_layers + 1)
    ]


def below_last(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """`every`, without the last layer of either side."""
    _needs_two(student_layers)
    # `every` takes any depths; a student deeper than its teacher is refused, as by the other rules.
    return every(*_fit(student_layers - 1, teacher_layers - 1), random)


def custom(
    student_layers: int, teacher_layers: int, random: Random, *, pairs: list[list[int]]
) -> Pairs:
    """The pairs as given."""
    for pair in pairs:
        if len(pair) != 2:
            raise Misfit(f"pairs={pairs}: each is [student layer, teacher layer]")
        if not (1 <= pair[0] <= student_layers and 1 <= pair[1] <= teacher_layers):
            raise Misfit(
                f"pair {pair}: student layers are 1 to {student_layers}, "
                f"teacher layers 1 to {teacher_layers}"
            )
    if len({tuple(pair) for pair in pairs}) < len(pairs) or not pairs:
        raise Misfit(f"pairs={pairs}: at least one pair, and none twice")
    return [(student, teacher) for student, teacher in pairs]


def pkd_skip(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """PKD-Skip: `skip` without the last student layer. Sun et al. 2019, arXiv 1908.09355."""
    _needs_two(student_layers)
    # The layers of all S are chosen before the last pair goes: PKD of 6 from 12 is 2, 4, 6, 8, 10.
    return skip(student_layers, teacher_layers, random)[:-1]


def pkd_last(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """PKD-Last: student layers 1 to S-1 to teacher layers T-S+1 to T-1.

    Sun et al. 2019, arXiv 1908.09355.
    """
    _needs_two(student_layers)
    return last(student_layers, teacher_layers, random)[:-1]


def pkd_random(student_layers: int, teacher_layers: int, random: Random) -> Pairs:
    """`random` without the last student layer: a control beside `pkd_skip` and `pkd_last`.

    As they leave that layer out (Sun et al. 2019, arXiv 1908.09355), `random` would have a pair
    more than they have.
    """
    _needs_two(student_layers)
    # The layers of all S are drawn before the last pair goes, as in `pkd_skip`.
    return _number(_drawn(student_layers, teacher_layers, random))[:-1]


def _drawn(student_layers: int, teacher_layers: int, random: Random) -> list[int]:
    """S distinct teacher layers in random order."""
    student_layers, teacher_layers = _fit(student_layers, teacher_layers)
    return random.sample(range(1, teacher_layers + 1), student_layers)


def _number(teacher: list[int]) -> Pairs:
    """Student layers 1, 2, ... with these teacher layers, in order."""
    return list(enumerate(teacher, start=1))


def _fit(student_layers: int, teacher_layers: int) -> tuple[int, int]:
    """Both depths as they are; `Misfit` if the student is the deeper one."""
    if student_layers > teacher_layers:
        raise Misfit(
            f"{student_layers} student layers are more than the teacher's {teacher_layers}"
        )
    return student_layers, teacher_layers


def _needs_two(student_layers: int) -> None:
    if student_layers < 2:
        raise Misfit("a one-layer student has no layer below its last")
