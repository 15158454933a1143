"""sample_relation.distance, angle, similarity and pkt: by hand, against scipy and scikit-learn.

Known factors, of n rows without padding. Code that takes the mean over rows with themselves too
(RKD's own, torchdistill) is (n − 1) / n of distance and (n − 1)(n − 2) / n² of angle. PKT's own
code, and torchdistill's, count the row itself as well; the mean over n² pairs is 1/n of the mean
over rows. torchdistill's SP loss normalises rows by their L1 norm, which is another loss.
"""

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform
from scipy.special import huber
from scipy.stats import entropy
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import normalize
from torch import tensor

from kdlab.losses import sample_relation

MASK = tensor([True, True, False, True, True, False, True, True])
LOSSES = [
    sample_relation.distance,
    sample_relation.angle,
    sample_relation.similarity,
    sample_relation.pkt,
]
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)


def random_states(seed=0, scale=1.0):
    """A student of width 5, a teacher of width 7, with an outlier for Huber's straight part."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (
        torch.randn((len(MASK), width), generator=generator, dtype=torch.float64) * scale
        for width in (5, 7)
    )
    student[0] *= 20
    return student, teacher


def ones(states):
    return torch.ones(len(states), dtype=torch.bool)


def relative_distances(states):
    distances = pdist(states.numpy())
    return distances / distances.mean()


def cosine_at(states, i, j, k):
    """Of the angle at j, by the law of cosines."""
    opposite, one, other = (math.dist(states[a], states[b]) for a, b in ((i, k), (j, i), (j, k)))
    return (one**2 + other**2 - opposite**2) / (2 * one * other)


def affinities(states):
    """Of every row to the others, not yet to sum 1."""
    between = (1 + cosine_similarity(states.numpy())) / 2
    return between[~np.eye(len(between), dtype=bool)].reshape(len(between), -1)


def test_distance_by_hand():
    # Distances 1, 2 and 3 have the mean 2: 0.5, 1, 1.5. Equal ones: 1, 1, 1. Huber of the gaps
    # 0.5, 0, 0.5: 0.125, 0, 0.125. Mean over three pairs: 1 / 12.
    student, teacher = tensor([[0.0], [1.0], [3.0]]), torch.eye(3)
    loss = sample_relation.distance(student, teacher, ones(student))
    assert loss.item() == pytest.approx(1 / 12)


def test_distance_is_straight_beyond_one():
    # Four rows are one and the fifth is far: 4 of 10 distances are 2.5 of their mean, 6 are 0.
    # Gaps to 1: 1.5, whose Huber is 1, and 1, whose Huber is 0.5. Mean (4 + 3) / 10.
    student, teacher = torch.zeros(5, 1), torch.eye(5)
    student[4] = 8.0
    loss = sample_relation.distance(student, teacher, ones(student))
    assert loss.item() == pytest.approx(0.7)


def test_distance_against_scipy():
    student, teacher = random_states()
    gaps = relative_distances(student[MASK]) - relative_distances(teacher[MASK])
    assert (abs(gaps) > 1).any()
    loss = sample_relation.distance(student, teacher, MASK)
    assert loss.item() == pytest.approx(huber(1, gaps).mean(), rel=1e-5)


def test_angle_by_hand():
    # A right angle with equal legs has the cosines 0, √½, √½, an equilateral triangle ½ thrice.
    # Huber of the gaps: 0.125 and twice (√½ − ½)² / 2. Every corner counts twice: mean over three.
    student, teacher = tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.eye(3)
    loss = sample_relation.angle(student, teacher, ones(student))
    assert loss.item() == pytest.approx((0.125 + (math.sqrt(0.5) - 0.5) ** 2) / 3)


def test_angle_against_the_law_of_cosines():
    student, teacher = random_states(seed=2)
    rows = [x[MASK].tolist() for x in (student, teacher)]
    gaps = [
        cosine_at(rows[0], *triple) - cosine_at(rows[1], *triple)
        for triple in permutations(range(len(rows[0])), 3)
    ]
    assert max(map(abs, gaps)) > 1
    loss = sample_relation.angle(student, teacher, MASK)
    assert loss.item() == pytest.approx(huber(1, gaps).mean(), rel=1e-5)


def test_code_that_counts_rows_with_themselves_differs_by_the_factors_named():
    student, teacher = (x[MASK] for x in random_states(seed=1))
    count = len(student)
    square = [squareform(relative_distances(x)) for x in (student, teacher)]
    theirs = huber(1, square[0] - square[1]).mean()
    ours = sample_relation.distance(student, teacher, ones(student)).item()
    assert theirs == pytest.approx(ours * (count - 1) / count, rel=1e-5)

    cosines = []
    for rows in (student.numpy(), teacher.numpy()):
        edges = normalize((rows[None] - rows[:, None]).reshape(count**2, -1))
        cosines.append(np.einsum("jid,jkd->jik", *[edges.reshape(count, count, -1)] * 2))
    theirs = huber(1, cosines[0] - cosines[1]).mean()
    ours = sample_relation.angle(student, teacher, ones(student)).item()
    assert theirs == pytest.approx(ours * (count - 1) * (count - 2) / count**2, rel=1e-5)


def test_similarity_by_hand():
    # The Gram matrix of unlike rows is the identity; of equal rows, all √½ once its rows have
    # norm 1. Each row: (1 − √½)² + ½ = 2 − √2. Two rows over 2²: (2 − √2) / 2.
    student, teacher = tensor([[3.0, 0.0], [0.0, 5.0]]), tensor([[2.0], [2.0]])
    loss = sample_relation.similarity(student, teacher, ones(student))
    assert loss.item() == pytest.approx((2 - math.sqrt(2)) / 2)


def test_similarity_against_numpy():
    student, teacher = random_states()
    ours, theirs = (normalize((x @ x.T).numpy()) for x in (student[MASK], teacher[MASK]))
    expected = np.linalg.norm(ours - theirs, "fro") ** 2 / len(ours) ** 2
    loss = sample_relation.similarity(student, teacher, MASK)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_pkt_by_hand():
    # Rows 1 and 2 are alike (cos 1, affinity 1), 3 is at a right angle (0, ½): 1 and 2 have
    # q = (2/3, 1/3), 3 has (1/2, 1/2). The teacher's rows are equal: p = (1/2, 1/2) for all.
    # KL(p ‖ q) of rows 1 and 2 is ½ ln ¾ + ½ ln 3/2 = ½ ln 9/8; mean over three rows: ⅓ ln 9/8.
    student, teacher = tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]]), torch.ones(3, 1)
    loss = sample_relation.pkt(student, teacher, ones(student))
    assert loss.item() == pytest.approx(math.log(9 / 8) / 3)


def test_pkt_against_scipy():
    student, teacher = random_states()
    # scipy's entropy of two is KL(first ‖ second), of what it makes sum to 1.
    expected = entropy(affinities(teacher[MASK]), affinities(student[MASK]), axis=1).mean()
    loss = sample_relation.pkt(student, teacher, MASK)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@every_loss
def test_nothing_to_compare_is_zero(loss):
    student, teacher = (x.float() for x in random_states())
    fewest = 2 if loss is sample_relation.similarity else 3
    for count in range(fewest):
        mask = torch.arange(len(MASK)) < count
        start = student.clone().requires_grad_()
        value = loss(start, teacher, mask)
        assert value.item() == pytest.approx(0.0, abs=1e-6)
        gradient = torch.autograd.grad(value, start)[0]
        assert gradient.abs().max().item() == pytest.approx(0.0, abs=1e-6)
    assert loss(student, teacher, torch.arange(len(MASK)) < fewest) > 1e-4


@every_loss
def test_gradient_is_finite_for_equal_zero_and_opposite_rows(loss):
    student, teacher = (x.float() for x in random_states())
    zero, equal, opposite = student.clone(), student.clone(), student.clone()
    zero[1] = 0
    equal[1:4] = equal[0]
    opposite[1] = -2 * opposite[0]
    for states in (zero, equal, opposite, torch.zeros_like(student), torch.ones_like(student)):
        start = states.clone().requires_grad_()
        value = loss(start, teacher, ones(start))
        assert value.isfinite()
        assert torch.autograd.grad(value, start)[0].isfinite().all()
        assert loss(teacher, states, ones(start)).isfinite()


@every_loss
def test_size_does_not_matter_and_rotation_neither(loss):
    student, teacher = random_states()
    turn = torch.linalg.qr(random_states(seed=9)[0][:5])[0]
    expected = loss(student, teacher, MASK).item()
    assert loss(30 * student @ turn, teacher, MASK).item() == pytest.approx(expected, rel=1e-4)


@every_loss
def test_more_than_one_state_a_row_is_refused(loss):
    with pytest.raises(ValueError, match="need one state a row, as the views cls and mean_tokens"):
        loss(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4), torch.ones(2, dtype=torch.bool))
