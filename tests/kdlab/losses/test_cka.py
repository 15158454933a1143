"""cka.linear: by hand, against the form of Gram matrices in float64, and what it cannot see."""

import numpy as np
import pytest
import torch
from drawn import TOKENS, normal
from torch import tensor
from torch.testing import assert_close

from kdlab.losses import cka
from kdlab.losses.mean import centred

THREE = torch.ones(1, 3, dtype=torch.bool)


def random_states():
    """A student that shares a part of its teacher, which is wider and off centre."""
    teacher = normal(*TOKENS.shape, 6) + 2
    student = teacher[..., :4] + normal(*TOKENS.shape, 4, seed=1)
    return student, teacher


def by_gram_matrices(student, teacher):
    """1 − tr(KHLH) / √(tr(KHKH) tr(LHLH)) of K = XXᵀ, L = YYᵀ and H = I − 1/n."""
    x, y = (states[TOKENS].numpy() for states in (student, teacher))
    h = np.eye(len(x)) - 1 / len(x)
    k, m = h @ x @ x.T @ h, h @ y @ y.T @ h
    return 1 - np.trace(k @ m) / np.sqrt(np.trace(k @ k) * np.trace(m @ m))


def test_by_hand():
    # Of one channel it is 1 − ρ²: (1, −1, 0) and (1, 0, −1) have ρ = 1/2, whatever is added.
    student = tensor([[[1.0], [-1.0], [0.0]]])
    teacher = tensor([[[1.0], [0.0], [-1.0]]]) + 5
    assert cka.linear(student, teacher, THREE).item() == pytest.approx(0.75, rel=1e-5)
    # (1, 1, −2) shares nothing with (1, −1, 0).
    other = tensor([[[1.0], [1.0], [-2.0]]])
    assert cka.linear(student, other, THREE).item() == pytest.approx(1.0)


def test_the_form_of_gram_matrices_in_float64():
    student, teacher = random_states()
    expected = by_gram_matrices(student, teacher)
    assert 0.1 < expected < 0.9
    assert cka.linear(student, teacher, TOKENS).item() == pytest.approx(expected, rel=1e-5)


def test_rotation_scale_and_shift_of_either_side_change_nothing_but_a_channels_own_scale_does():
    student, teacher = random_states()
    turn = torch.linalg.qr(normal(4, 4, seed=2)).Q
    value = cka.linear(student, teacher, TOKENS)
    assert_close(cka.linear(30 * student @ turn - 7, teacher, TOKENS), value, rtol=1e-4, atol=0)
    assert_close(cka.linear(student, 0.1 * teacher + 3, TOKENS), value, rtol=1e-4, atol=0)
    stretched = student * tensor([5.0, 1.0, 1.0, 1.0])
    assert abs(cka.linear(stretched, teacher, TOKENS) - value) > 0.01


def test_unrelated_states_of_few_units_look_alike_and_of_many_do_not():
    few, many = torch.ones(1, 8).bool(), torch.ones(1, 2000).bool()
    values = [
        cka.linear(normal(1, n, 200, seed=1), normal(1, n, 200, seed=2), mask).item()
        for mask, n in ((few, 8), (many, 2000))
    ]
    assert values[0] < 0.1
    assert values[1] > 0.9


def test_it_is_of_the_batch_and_no_mean_of_parts():
    student, teacher = random_states()
    parts = [
        cka.linear(student[part], teacher[part], TOKENS[part]) * TOKENS[part].sum()
        for part in (slice(1), slice(1, 4))
    ]
    assert abs(cka.linear(student, teacher, TOKENS) - sum(parts) / TOKENS.sum()) > 0.01


def test_states_that_do_not_vary():
    mask = torch.ones(1, 7, dtype=torch.bool)
    constant, states = torch.full((1, 7, 2), 0.1), normal(1, 7, 2).float()
    assert centred(constant, mask).any()  # the mean of seven is rounded
    for student, teacher, expected in (
        (states, constant, 0.0),
        (constant, constant, 0.0),
        (constant, states, 1.0),
    ):
        student = student.clone().requires_grad_()
        loss = cka.linear(student, teacher, mask)
        assert loss.item() == expected
        assert not torch.autograd.grad(loss, student)[0].any()


def test_a_state_that_is_not_a_number_is_not_taken_for_constant():
    states = normal(1, 3, 2)
    broken = states.clone()
    broken[0, 1, 0] = float("nan")
    assert cka.linear(broken, states, THREE).isnan()
    assert cka.linear(states, broken, THREE).isnan()


def test_one_valid_unit_is_zero():
    student, teacher = random_states()
    only = torch.zeros_like(TOKENS)
    only[0, 1] = True
    assert cka.linear(student, teacher, only) == 0


def test_states_near_each_other_and_far_from_zero_still_count():
    student, teacher = random_states()
    loss = cka.linear(student.float() + 1000, teacher.float() + 1000, TOKENS)
    assert loss.item() == pytest.approx(by_gram_matrices(student, teacher), rel=1e-2)
