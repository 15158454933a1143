"""Exact pairs, and the total weight of every matching."""

import pytest

from kdlab import layers
from kdlab.config import compose
from kdlab.matching import fixed
from kdlab.schema import BadInput
from kdlab.streams import stream

SKIP = {
    (6, 12): [2, 4, 6, 8, 10, 12],
    (5, 12): [2, 5, 7, 10, 12],
    (4, 12): [3, 6, 9, 12],
    (3, 12): [4, 8, 12],
    (6, 24): [4, 8, 12, 16, 20, 24],
    (3, 6): [2, 4, 6],
    (4, 10): [3, 5, 8, 10],
    (1, 12): [12],
    (12, 12): list(range(1, 13)),
}


def teachers(pairs):
    assert [student for student, _ in pairs] == list(range(1, len(pairs) + 1))
    return [teacher for _, teacher in pairs]


@pytest.mark.parametrize(("depths", "expected"), SKIP.items())
def test_skip_is_exact_for_any_depths(depths, expected):
    assert teachers(fixed.skip(*depths, stream(0, "x"))) == expected
    assert teachers(fixed.reverse(*depths, stream(0, "x"))) == expected[::-1]
    assert layers.skip(*depths) == expected


def test_first_and_last():
    assert teachers(fixed.first(3, 12, stream(0, "x"))) == [1, 2, 3]
    assert teachers(fixed.last(3, 12, stream(0, "x"))) == [10, 11, 12]


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


def test_single_layers():
    assert fixed.last1(4, 12, stream(0, "x")) == [(4, 12)]
    assert fixed.last_but_two(4, 12, stream(0, "x")) == [(2, 10)]
    assert fixed.none(4, 12, stream(0, "x")) == []


def test_random_is_fixed_by_the_seed_and_has_no_layer_twice():
    draws = [teachers(fixed.random(6, 12, stream(seed, "matching"))) for seed in range(20)]
    assert draws[0] == teachers(fixed.random(6, 12, stream(0, "matching")))
    assert all(len(set(draw)) == 6 and set(draw) <= set(range(1, 13)) for draw in draws)
    assert len({tuple(draw) for draw in draws}) == 20
    assert any(draw != sorted(draw) for draw in draws)


@pytest.mark.parametrize("rule", [fixed.first, fixed.last, fixed.skip, fixed.reverse, fixed.random])
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
    ["first", "last", "skip", "reverse", "random", "last1", "last_but_two", "pkd_skip", "pkd_last"],
)
@pytest.mark.parametrize("mass", ["one", "pairs"])
def test_every_matching_has_its_mass(name, mass):
    run = compose(
        "size=l3_h64_a4", "knowledge=hidden_mse", f"matching={name}", f"matching.mass={mass}"
    )
    (term,) = run.terms
    total = term.pair_weight * len(term.pairs)
    assert total == pytest.approx(1.0 if mass == "one" else len(term.pairs))


def test_a_term_may_have_a_matching_of_its_own():
    run = compose(
        "size=l3_h64_a4",
        "knowledge=[hidden_mse,cls_pkd]",
        "matching=first",
        "+matching@knowledge.cls_pkd.matching=last1",
    )
    assert {term.key: term.pairs for term in run.terms} == {
        "cls_pkd": ((3, 4),),
        "hidden_mse": ((1, 1), (2, 2), (3, 3)),
    }


def test_a_layered_term_needs_a_matching():
    with pytest.raises(BadInput, match="matching=none: knowledge.hidden_mse"):
        compose("knowledge=hidden_mse", "matching=none")
