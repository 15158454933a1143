"""token_relation.pair and triple: by hand, against scipy, and against the law of cosines.

Known factors, of a row of n tokens without padding. CKD's own code is 1/n of pair (and NaN on
current PyTorch), and its loss over all triples (n − 1)(n − 2) / n² of triple with a window over the
whole row.
"""

import math
from itertools import permutations

import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from sklearn.metrics.pairwise import cosine_similarity
from torch import tensor

from kdlab.losses import token_relation

MASK = tensor(
    [
        [True, True, True, True, True, True, True],
        [True, True, True, True, False, False, False],
        [False, True, False, True, True, False, True],
        [True, True, False, False, False, False, False],
        [True, False, False, False, False, False, False],
        [False, False, False, False, False, False, False],
    ]
)


def random_states():
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn((*MASK.shape, width), generator=generator, dtype=torch.float64)
        for width in (5, 8)
    ]


def cosine_at(states, i, j, k):
    """Of the angle at j, by the law of cosines."""
    opposite, one, other = (math.dist(states[a], states[b]) for a, b in ((i, k), (j, i), (j, k)))
    return (one**2 + other**2 - opposite**2) / (2 * one * other)


def relations(states, token, others):
    """The softmax of a token's cosines with others."""
    return softmax(cosine_similarity(states[[token]].numpy(), states[others].numpy())[0])


def test_pair_by_hand():
    # Token 1 has cosines 1 and 0 with the others: q = (e, 1) / (1 + e), as has token 2; token 3
    # has 0 and 0. The teacher's are all 1: p = (1/2, 1/2). KL of tokens 1 and 2:
    # ln(1 + e) − 1/2 − ln 2; mean over three tokens. The fourth is padding.
    student = tensor([[[1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [9.0, 9.0]]])
    teacher, mask = torch.ones(1, 4, 3), tensor([[True, True, True, False]])
    teacher[0, 3] = -9.0
    expected = 2 / 3 * (math.log(1 + math.e) - 0.5 - math.log(2))
    assert token_relation.pair(student, teacher, mask).item() == pytest.approx(expected)


def test_pair_against_scipy():
    student, teacher = random_states()
    units = []
    for row, token in MASK.nonzero().tolist():
        others = [i for i in range(MASK.shape[1]) if MASK[row, i] and i != token]
        divergence = 0.0
        if others:
            p, q = relations(teacher[row], token, others), relations(student[row], token, others)
            divergence = entropy(p, q)
        units.append(divergence)
    loss = token_relation.pair(student, teacher, MASK)
    assert loss.item() == pytest.approx(sum(units) / len(units), rel=1e-5)


@pytest.mark.parametrize(
    ("window", "expected"),
    # At token 2 a right angle (cos 0) meets a straight one (−1): 1. Within a window of 3, tokens
    # 1 and 3 have one neighbour: 0. Within 5 both have angles of cos √½ and 1: (1 − √½)².
    [(3, 1 / 3), (5, (1 + 2 * (1 - math.sqrt(0.5)) ** 2) / 3)],
)
def test_triple_by_hand(window, expected):
    student = tensor([[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [5.0, 7.0]]])
    teacher = tensor([[[0.0], [1.0], [2.0], [-3.0]]])
    mask = tensor([[True, True, True, False]])
    loss = token_relation.triple(student, teacher, mask, window=window)
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("window", [3, 5, 13, 21])
def test_triple_against_the_law_of_cosines(window):
    student, teacher = random_states()
    units = []
    for row, j in MASK.nonzero().tolist():
        s, t = student[row].tolist(), teacher[row].tolist()
        near = [i for i in range(len(s)) if MASK[row, i] and 0 < abs(i - j) <= window // 2]
        gaps = [
            (cosine_at(s, i, j, k) - cosine_at(t, i, j, k)) ** 2 for i, k in permutations(near, 2)
        ]
        units.append(sum(gaps) / len(gaps) if gaps else 0.0)
    loss = token_relation.triple(student, teacher, MASK, window=window)
    assert loss.item() == pytest.approx(sum(units) / len(units), rel=1e-5)


def test_a_window_over_the_whole_row_differs_from_all_triples_by_the_factor_named():
    student, teacher = (x[:1] for x in random_states())
    count, cosines = 7, []
    for rows in (student[0], teacher[0]):
        edges = torch.nn.functional.normalize(rows[None] - rows[:, None], dim=-1)
        cosines.append(torch.einsum("jid,jkd->jik", edges, edges))
    theirs = (cosines[0] - cosines[1]).square().mean().item()
    ours = token_relation.triple(student, teacher, MASK[:1], window=13).item()
    assert theirs == pytest.approx(ours * (count - 1) * (count - 2) / count**2, rel=1e-5)


def test_fewer_than_three_tokens_have_no_relations():
    student, teacher = (x.float() for x in random_states())
    few = slice(3, 6)
    student.requires_grad_()
    for value in (
        token_relation.pair(student[few], teacher[few], MASK[few]),
        token_relation.triple(student[few], teacher[few], MASK[few], window=5),
    ):
        assert value.item() == pytest.approx(0.0, abs=1e-6)
        gradient = torch.autograd.grad(value, student)[0]
        assert gradient.abs().max().item() == pytest.approx(0.0, abs=1e-6)


def test_gradient_is_finite_for_equal_and_zero_tokens():
    student, teacher = (x.float() for x in random_states())
    equal, zero = student.clone(), student.clone()
    equal[:, 1:4] = equal[:, :1]
    zero[:, 2] = 0
    for states in (equal, zero, torch.zeros_like(student), torch.ones_like(student)):
        start = states.clone().requires_grad_()
        for value in (
            token_relation.pair(start, teacher, MASK),
            token_relation.triple(start, teacher, MASK, window=5),
        ):
            assert value.isfinite()
            assert torch.autograd.grad(value, start)[0].isfinite().all()


def test_an_even_window_is_refused():
    student, teacher = random_states()
    with pytest.raises(ValueError, match="window=4: an odd number"):
        token_relation.triple(student, teacher, MASK, window=4)


def test_one_state_a_row_is_refused():
    states, mask = torch.zeros(2, 3), torch.ones(2, dtype=torch.bool)
    with pytest.raises(ValueError, match="need one state a token, as the view tokens"):
        token_relation.pair(states, states, mask)
    with pytest.raises(ValueError, match="need one state a token, as the view tokens"):
        token_relation.triple(states, states, mask[:, None], window=3)
