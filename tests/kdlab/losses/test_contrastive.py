"""contrastive.info_nce: by hand, and against scipy in float64."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from torch import tensor
from torch.testing import assert_close

from kdlab.losses import contrastive

MASK = tensor([True, True, False, True, False, True])


def random_states():
    generator = torch.Generator().manual_seed(0)
    return torch.randn((2, len(MASK), 5), generator=generator, dtype=torch.float64)


def test_by_hand():
    # Cosines 1 with one's own and 0 with the other's, over T = 1 / ln 3: odds of 3 to 1.
    student, teacher = tensor([[2.0, 0.0], [0.0, 5.0]]), tensor([[1.0, 0.0], [0.0, 7.0]])
    mask, temperature = tensor([True, True]), 1 / math.log(3)
    loss = contrastive.info_nce(student, teacher, mask, temperature=temperature)
    assert loss.item() == pytest.approx(math.log(4 / 3))
    # Beside each other's states: odds of 1 to 3.
    swapped = contrastive.info_nce(student, teacher.flip(0), mask, temperature=temperature)
    assert swapped.item() == pytest.approx(math.log(4))


def test_the_students_states_are_the_anchors():
    # Students (1, 0) and (1, 0), teachers (1, 0) and (0, 1): each student is as near to the first
    # teacher, so one has ln(4/3) and one ln 4. From the teachers' side both would have ln 2.
    student, teacher = tensor([[1.0, 0.0], [1.0, 0.0]]), torch.eye(2)
    mask = tensor([True, True])
    loss = contrastive.info_nce(student, teacher, mask, temperature=1 / math.log(3))
    assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_against_scipy(temperature):
    student, teacher = random_states()
    scores = (1 - cdist(student[MASK], teacher[MASK], "cosine")) / temperature
    expected = np.mean(logsumexp(scores, axis=1) - np.diag(scores))
    loss = contrastive.info_nce(student, teacher, MASK, temperature=temperature)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_equal_states_cost_the_logarithm_of_their_number():
    states = torch.ones(6, 5)
    loss = contrastive.info_nce(states, states, MASK, temperature=0.07)
    assert loss.item() == pytest.approx(math.log(4))


def test_tokens_are_units_too_those_of_other_rows_among_the_negatives():
    student, teacher = random_states()
    folded = (x.reshape(2, 3, -1) for x in (student, teacher))
    loss = contrastive.info_nce(*folded, MASK.reshape(2, 3), temperature=0.5)
    assert_close(loss, contrastive.info_nce(student, teacher, MASK, temperature=0.5))


def test_one_valid_unit_has_no_negatives():
    student, teacher = (x.float() for x in random_states())
    student.requires_grad_()
    loss = contrastive.info_nce(student, teacher, torch.arange(6) == 1, temperature=0.07)
    assert loss == 0
    assert not torch.autograd.grad(loss, student)[0].any()


def test_gradient_is_finite_for_zero_states_and_low_temperatures():
    student, teacher = (x.float() for x in random_states())
    student[0] = 0
    for states, others in ((student, teacher), (teacher, student)):
        start = states.clone().requires_grad_()
        loss = contrastive.info_nce(start, others, MASK, temperature=1e-3)
        assert loss.isfinite()
        assert torch.autograd.grad(loss, start)[0].isfinite().all()


def test_unequal_widths_are_refused():
    message = "unequal width: the student has 2, the teacher 3; projection: auto"
    with pytest.raises(ValueError, match=message):
        contrastive.info_nce(torch.zeros(1, 2), torch.zeros(1, 3), MASK[:1], temperature=1.0)
