"""layer_relation.pair and triple: by hand, against scipy, and against the law of cosines.

Known factors, of L layers. CKD's own code is 1/L of pair (and NaN on current PyTorch) and
(L − 1)(L − 2) / L² of triple.
"""

import math
from itertools import permutations

import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from sklearn.metrics.pairwise import cosine_similarity
from torch import tensor
from torch.testing import assert_close

from kdlab.losses import layer_relation, token_relation

MASK = tensor([[True, True, True], [True, False, True], [False, False, False]])
LAYERS = 4


def random_states():
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn((*MASK.shape, LAYERS, width), generator=generator, dtype=torch.float64)
        for width in (5, 8)
    ]


def cosine_at(states, i, j, k):
    """Of the angle at j, by the law of cosines."""
    opposite, one, other = (math.dist(states[a], states[b]) for a, b in ((i, k), (j, i), (j, k)))
    return (one**2 + other**2 - opposite**2) / (2 * one * other)


def test_pair_by_hand():
    # Layer 1 has cosines 1 and 0 with the others: q = (e, 1) / (1 + e), as has layer 2; layer 3
    # has 0 and 0. The teacher's are all 1: p = (1/2, 1/2). KL of layers 1 and 2:
    # ln(1 + e) − 1/2 − ln 2; mean over three layers. The second token is padding.
    student, teacher = torch.ones(1, 2, 3, 2), torch.ones(1, 2, 3, 1)
    student[0, 0] = tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    teacher[0, 1, 0] = -1.0
    expected = 2 / 3 * (math.log(1 + math.e) - 0.5 - math.log(2))
    loss = layer_relation.pair(student, teacher, tensor([[True, False]]))
    assert loss.item() == pytest.approx(expected)


def test_triple_by_hand():
    # At layer 2 a right angle (cos 0) meets a straight one (−1): 1. At layers 1 and 3 cosines of
    # √½ meet 1: (1 − √½)². Mean over three layers, then over two tokens, the second of which
    # changes its states as the teacher does: 0.
    student, teacher = torch.zeros(1, 2, 3, 2), torch.zeros(1, 2, 3, 1)
    student[0, 0] = tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    teacher[0, :] = tensor([[0.0], [1.0], [2.0]])
    student[0, 1] = tensor([[0.0, 1.0], [0.0, 3.0], [0.0, 5.0]])
    loss = layer_relation.triple(student, teacher, tensor([[True, True]]))
    assert loss.item() == pytest.approx((1 + 2 * (1 - math.sqrt(0.5)) ** 2) / 3 / 2)


def test_pair_against_scipy():
    student, teacher = random_states()
    units = []
    for row, token in MASK.nonzero().tolist():
        s, t = (cosine_similarity(x[row, token].numpy()) for x in (student, teacher))
        for layer in range(LAYERS):
            others = [other for other in range(LAYERS) if other != layer]
            units.append(entropy(softmax(t[layer, others]), softmax(s[layer, others])))
    loss = layer_relation.pair(student, teacher, MASK)
    assert loss.item() == pytest.approx(sum(units) / len(units), rel=1e-5)


def test_triple_against_the_law_of_cosines():
    student, teacher = random_states()
    gaps = []
    for row, token in MASK.nonzero().tolist():
        s, t = (x[row, token].tolist() for x in (student, teacher))
        for triple in permutations(range(LAYERS), 3):
            gaps.append((cosine_at(s, *triple) - cosine_at(t, *triple)) ** 2)
    loss = layer_relation.triple(student, teacher, MASK)
    assert loss.item() == pytest.approx(sum(gaps) / len(gaps), rel=1e-5)


def test_it_is_the_word_relation_with_layers_in_place_of_tokens():
    student, teacher = random_states()
    rows = [x[MASK] for x in (student, teacher)]
    everywhere = torch.ones(rows[0].shape[:2], dtype=torch.bool)
    assert_close(
        layer_relation.pair(student, teacher, MASK), token_relation.pair(*rows, everywhere)
    )
    assert_close(
        layer_relation.triple(student, teacher, MASK),
        token_relation.triple(*rows, everywhere, window=2 * LAYERS - 1),
    )


def test_gradient_is_finite_for_equal_and_zero_layers():
    student, teacher = (x.float() for x in random_states())
    equal, zero = student.clone(), student.clone()
    equal[:, :, 1] = equal[:, :, 0]
    zero[:, :, 2] = 0
    for states in (equal, zero, torch.zeros_like(student), torch.ones_like(student)):
        for loss in (layer_relation.pair, layer_relation.triple):
            start = states.clone().requires_grad_()
            value = loss(start, teacher, MASK)
            assert value.isfinite()
            assert torch.autograd.grad(value, start)[0].isfinite().all()
            assert loss(teacher, states, MASK).isfinite()


@pytest.mark.parametrize("loss", [layer_relation.pair, layer_relation.triple])
def test_too_few_or_unequally_many_layers_are_refused(loss):
    student, teacher = random_states()
    with pytest.raises(ValueError, match="need 3 or more, here 2"):
        loss(student[:, :, :2], teacher[:, :, :2], MASK)
    with pytest.raises(ValueError, match="stacked layers of both, equally many"):
        loss(student, teacher[:, :, :3], MASK)
    with pytest.raises(ValueError, match="stacked layers of both, equally many"):
        loss(student[:, :, 0], teacher[:, :, 0], MASK)
