"""Exact pairs, and the total weight of every matching."""

import inspect

import pytest
from composed import compose
from omegaconf import OmegaConf

from kdlab.config.option_files import CONF, options
from kdlab.encoders import layers
from kdlab.errors import BadInput
from kdlab.matching import fixed
from kdlab.streams import stream

DEPTHS = [(6, 12), (5, 12), (4, 12), (3, 12), (6, 24), (3, 6), (4, 10)]  # student, teacher
# The teacher's layers of student layers 1, 2, ..., one line for each of DEPTHS.
IN_ORDER = {
    "first": ["1 2 3 4 5 6", "1 2 3 4 5", "1 2 3 4", "1 2 3", "1 2 3 4 5 6", "1 2 3", "1 2 3 4"],
    "last": [
        "7 8 9 10 11 12",
        "8 9 10 11 12",
        "9 10 11 12",
        "10 11 12",
        "19 20 21 22 23 24",
        "4 5 6",
        "7 8 9 10",
    ],
    "skip": [
        "2 4 6 8 10 12",
        "2 5 7 10 12",
        "3 6 9 12",
        "4 8 12",
        "4 8 12 16 20 24",
        "2 4 6",
        "3 5 8 10",
    ],
    "reverse": [
        "12 10 8 6 4 2",
        "12 10 7 5 2",
        "12 9 6 3",
        "12 8 4",
        "24 20 16 12 8 4",
        "6 4 2",
        "10 8 5 3",
    ],
    "random": ["6 5 7 10 9 1", "6 5 7 10 9", "6 5 7 10", "6 5 7", "11 10 13 22 21 1", "3 6 4",
               "6 5 7 4"],
    "random_in_order": ["1 5 6 7 9 10", "5 6 7 9 10", "5 6 7 10", "5 6 7", "1 10 11 13 21 22",
                        "3 4 6", "4 5 6 7"],
    "all_to_one": ["12 12 12 12 12 12", "12 12 12 12 12", "12 12 12 12", "12 12 12",
                   "24 24 24 24 24 24", "6 6 6", "10 10 10 10"],
    "pkd_skip": ["2 4 6 8 10", "2 5 7 10", "3 6 9", "4 8", "4 8 12 16 20", "2 4", "3 5 8"],
    "pkd_last": ["7 8 9 10 11", "8 9 10 11", "9 10 11", "10 11", "19 20 21 22 23", "4 5", "7 8 9"],
    "pkd_random": ["6 5 7 10 9", "6 5 7 10", "6 5 7", "6 5", "11 10 13 22 21", "3 6", "6 5 7"],
    # Several teacher layers for one student layer: a + between them.
    "uniform_consecutive": [
        "1+2 3+4 5+6 7+8 9+10 11+12",
        "1+2 3+4+5 6+7 8+9+10 11+12",
        "1+2+3 4+5+6 7+8+9 10+11+12",
        "1+2+3+4 5+6+7+8 9+10+11+12",
        "1+2+3+4 5+6+7+8 9+10+11+12 13+14+15+16 17+18+19+20 21+22+23+24",
        "1+2 3+4 5+6",
        "1+2+3 4+5 6+7+8 9+10",
    ],
    "uniform_last": [
        "2+12 4+12 6+12 8+12 10+12 12",
        "2+12 5+12 7+12 10+12 12",
        "3+12 6+12 9+12 12",
        "4+12 8+12 12",
        "4+24 8+24 12+24 16+24 20+24 24",
        "2+6 4+6 6",
        "3+10 5+10 8+10 10",
    ],
    "uniform_last_k": [
        "2+7 4+8 6+9 8+10 10+11 12",
        "2+8 5+9 7+10 10+11 12",
        "3+9 6+10 9+11 12",
        "4+10 8+11 12",
        "4+19 8+20 12+21 16+22 20+23 24",
        "2+4 4+5 6",
        "3+7 5+8 8+9 10",
    ],
}  # fmt: skip
SINGLE = {  # student layer-teacher layer
    "last1": ["6-12", "5-12", "4-12", "3-12", "6-24", "3-6", "4-10"],
    "last_but_two": ["4-10", "3-10", "2-10", "1-10", "4-22", "1-4", "2-8"],
    "middle": ["3-6", "3-6", "2-6", "2-6", "3-12", "2-3", "2-5"],
    "last_k": ["5-11 6-12", "4-11 5-12", "3-11 4-12", "2-11 3-12", "5-23 6-24", "2-5 3-6",
               "3-9 4-10"],
    "none": ["", "", "", "", "", "", ""],
}  # fmt: skip
FIXED = [
    n for n in options("matching") if "weigh" not in OmegaConf.load(CONF / f"matching/{n}.yaml")
]
KNOBS = {"last_k": {"k": 2}}


def written(name: str, line: str) -> list[tuple[int, int]]:
    if name in SINGLE:
        return [(int(s), int(t)) for s, t in (pair.split("-") for pair in line.split())]
    return [
        (student, int(teacher))
        for student, block in enumerate(line.split(), start=1)
        for teacher in block.split("+")
    ]


@pytest.mark.parametrize(
    ("name", "depths", "line"),
    [
        (name, depths, line)
        for name, lines in (IN_ORDER | SINGLE).items()
        for depths, line in zip(DEPTHS, lines, strict=True)
    ],
)
def test_every_fixed_matching_is_exact(name, depths, line):
    rule = getattr(fixed, name)
    pairs = rule(*depths, stream(0, "matching"), **KNOBS.get(name, {}))
    assert pairs == written(name, line)


def test_the_table_has_every_fixed_matching():
    own = {"custom": "your own pairs", "every": "candidates", "below_last": "candidates"}
    public = {
        name
        for name, found in vars(fixed).items()
        if inspect.isfunction(found) and not name.startswith("_")
    }
    assert public == (IN_ORDER | SINGLE | own).keys()
    assert {*FIXED} == (IN_ORDER | SINGLE).keys() | {"custom"}


def teachers(pairs):
    assert [student for student, _ in pairs] == list(range(1, len(pairs) + 1))
    return [teacher for _, teacher in pairs]


@pytest.mark.parametrize(("depths", "expected"), [((1, 12), [12]), ((12, 12), [*range(1, 13)])])
def test_skip_and_reverse_at_the_ends(depths, expected):
    assert teachers(fixed.skip(*depths, stream(0, "x"))) == expected
    assert teachers(fixed.reverse(*depths, stream(0, "x"))) == expected[::-1]


@pytest.mark.parametrize("depths", DEPTHS)
def test_skip_meets_the_layers_that_the_init_copies(depths):
    assert teachers(fixed.skip(*depths, stream(0, "x"))) == layers.skip(*depths)


@pytest.mark.parametrize("depths", [d for d in DEPTHS if d[1] % d[0] == 0])
def test_uniform_consecutive_is_the_papers_formula_where_depths_divide(depths):
    students, teachers_ = depths
    k = -(-teachers_ // students)
    expected = [(i, t) for i in range(1, students + 1) for t in range(k * (i - 1) + 1, k * i + 1)]
    assert fixed.uniform_consecutive(*depths, stream(0, "x")) == expected


def test_uniform_consecutive_covers_both_sides_at_any_depths():
    for students in range(1, 13):
        for depth in range(students, 25):
            pairs = fixed.uniform_consecutive(students, depth, stream(0, "x"))
            assert [teacher for _, teacher in pairs] == list(range(1, depth + 1))
            assert {student for student, _ in pairs} == set(range(1, students + 1))


def test_last_k_is_last1_and_last_at_its_ends():
    assert fixed.last_k(4, 12, stream(0, "x"), k=1) == fixed.last1(4, 12, stream(0, "x"))
    assert fixed.last_k(4, 12, stream(0, "x"), k=4) == fixed.last(4, 12, stream(0, "x"))
    with pytest.raises(ValueError, match="k=5 is more than the layers of one side, 4 and 12"):
        fixed.last_k(4, 12, stream(0, "x"), k=5)


def test_candidates():
    assert fixed.every(2, 3, stream(0, "x")) == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert fixed.below_last(3, 4, stream(0, "x")) == fixed.every(2, 3, stream(0, "x"))
    with pytest.raises(ValueError, match="one-layer"):
        fixed.below_last(1, 4, stream(0, "x"))


@pytest.mark.parametrize(
    ("depths", "skip", "last"),
    [
        ((6, 12), [2, 4, 6, 8, 10], [7, 8, 9, 10, 11]),  # BERT6 from BERT12
        ((3, 12), [4, 8], [10, 11]),  # BERT3 from BERT12
        ((6, 24), [4, 8, 12, 16, 20], [19, 20, 21, 22, 23]),  # BERT6 from BERT24
    ],
)
def test_pkd_has_the_papers_indices(depths, skip, last):
    assert teachers(fixed.pkd_skip(*depths, stream(0, "x"))) == skip
    assert teachers(fixed.pkd_last(*depths, stream(0, "x"))) == last


def test_random_is_fixed_by_the_seed_and_has_no_layer_twice():
    draws = [teachers(fixed.random(6, 12, stream(seed, "matching"))) for seed in range(20)]
    assert draws[0] == teachers(fixed.random(6, 12, stream(0, "matching")))
    assert all(len(set(draw)) == 6 and set(draw) <= set(range(1, 13)) for draw in draws)
    assert len({tuple(draw) for draw in draws}) == 20
    assert any(draw != sorted(draw) for draw in draws)


def test_random_in_order_is_a_random_draw_sorted():
    for seed in range(20):
        draw = teachers(fixed.random_in_order(6, 12, stream(seed, "matching")))
        assert draw == sorted(teachers(fixed.random(6, 12, stream(seed, "matching"))))


def test_pkds_random_control_is_a_random_draw_without_the_last_student_layer():
    for seed in range(20):
        draw = fixed.pkd_random(6, 12, stream(seed, "matching"))
        assert draw == fixed.random(6, 12, stream(seed, "matching"))[:-1]


@pytest.mark.parametrize(
    "rule",
    [
        fixed.first,
        fixed.last,
        fixed.skip,
        fixed.reverse,
        fixed.random,
        fixed.random_in_order,
        fixed.pkd_random,
        fixed.uniform_consecutive,
        fixed.uniform_last,
        fixed.uniform_last_k,
    ],
)
def test_a_deeper_student_is_refused(rule):
    with pytest.raises(ValueError, match="13 student layers are more than the teacher's 12"):
        rule(13, 12, stream(0, "x"))


def test_too_shallow_is_refused():
    with pytest.raises(ValueError, match="three layers"):
        fixed.last_but_two(2, 12, stream(0, "x"))
    for rule in (fixed.pkd_skip, fixed.pkd_last):
        with pytest.raises(ValueError, match="one-layer"):
            rule(1, 12, stream(0, "x"))


@pytest.mark.parametrize("pairs", [[[0, 1]], [[1, 13]], [[5, 1]], [[1]], [[1, 2], [1, 2]], []])
def test_custom_pairs_are_checked(pairs):
    with pytest.raises(ValueError, match="pair"):
        fixed.custom(4, 12, stream(0, "x"), pairs=pairs)


@pytest.mark.parametrize(
    "name",
    [n for n in FIXED if n not in ("none", "custom")],
)
@pytest.mark.parametrize("mass", ["one", "layers", "pairs"])
def test_every_fixed_matching_has_its_mass(name, mass):
    run = compose(
        "size=l3_h64_a4", "knowledge=hidden_mse", f"matching={name}", f"matching.mass={mass}"
    )
    (term,) = run.terms
    pairs = term.matching.pairs
    total = term.matching.pair_weight * len(pairs)
    layers = len({student for student, _ in pairs})
    expected = {"one": 1, "layers": layers, "pairs": len(pairs)}[mass]
    assert total == pytest.approx(expected)


def test_a_term_may_have_a_matching_of_its_own():
    run = compose(
        "size=l3_h64_a4",
        "knowledge=[hidden_mse,cls_pkd]",
        "matching=first",
        "+matching@knowledge.cls_pkd.matching=last1",
    )
    assert {term.key: term.matching.pairs for term in run.terms} == {
        "cls_pkd": ((3, 4),),
        "hidden_mse": ((1, 1), (2, 2), (3, 3)),
    }


def test_a_layered_term_needs_a_matching():
    with pytest.raises(BadInput, match="matching=none: knowledge.hidden_mse"):
        compose("knowledge=hidden_mse", "matching=none")
