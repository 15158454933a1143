"""sparse.top_k_kl and top_k_tail_kl: by hand, in float64 by numpy, and against the dense KL."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from drawn import UNITS, random_logits
from torch import tensor
from torch.testing import assert_close

from kdlab.losses import response, sparse

ONE = tensor([True])
CLASSES = 5  # of random_logits
# p = (1, 6, 3) / 10 and q = (5, 3, 2) / 10.
TEACHER, STUDENT = tensor([[0.1, 0.6, 0.3]]).log(), tensor([[0.5, 0.3, 0.2]]).log()
both = pytest.mark.parametrize("loss", [sparse.top_k_kl, sparse.top_k_tail_kl])


def rows(temperature):
    """Pairs of (p, q) of the valid rows, float64."""
    student, teacher = (np.exp(x[UNITS].numpy() / temperature) for x in random_logits())
    for p, q in zip(teacher, student, strict=True):
        yield p / p.sum(), q / q.sum()


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("k", [1, 2, 3, CLASSES])
def test_top_k_in_float64(temperature, k):
    values = []
    for p, q in rows(temperature):
        kept = sorted(range(CLASSES), key=lambda c: -p[c])[:k]
        mass = sum(p[c] for c in kept)
        values.append(sum(p[c] / mass * math.log(p[c] / mass / q[c]) for c in kept))
    loss = sparse.top_k_kl(*random_logits(), UNITS, temperature=temperature, k=k)
    assert loss.item() == pytest.approx(temperature**2 * np.mean(values), rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_with_tail_in_float64(temperature, k):
    values = []
    for p, q in rows(temperature):
        kept = sorted(range(CLASSES), key=lambda c: -p[c])[:k]
        rest, others = (1 - sum(x[c] for c in kept) for x in (p, q))
        inside = sum(p[c] * math.log(p[c] / q[c]) for c in kept)
        values.append(inside + rest * math.log(rest / others))
    loss = sparse.top_k_tail_kl(*random_logits(), UNITS, temperature=temperature, k=k)
    assert loss.item() == pytest.approx(temperature**2 * np.mean(values), rel=1e-5)


def test_by_hand():
    # The teacher's two likeliest are the second and third: (2/3, 1/3) against q's (0.3, 0.2).
    loss = sparse.top_k_kl(STUDENT, TEACHER, ONE, temperature=1.0, k=2)
    expected = 2 / 3 * math.log(2 / 3 / 0.3) + 1 / 3 * math.log(1 / 3 / 0.2)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    # One likeliest and a bucket: (0.6, 0.4) against (0.3, 0.7).
    loss = sparse.top_k_tail_kl(STUDENT, TEACHER, ONE, temperature=1.0, k=1)
    assert loss.item() == pytest.approx(0.6 * math.log(2) + 0.4 * math.log(4 / 7), rel=1e-5)


@both
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_with_every_class_it_is_the_dense_kl_and_so_is_its_gradient(loss, temperature):
    student, teacher = random_logits()
    student.requires_grad_()
    own = loss(student, teacher, UNITS, temperature=temperature, k=CLASSES)
    dense = response.kl(student, teacher, UNITS, temperature=temperature, reduction="sum")
    assert_close(own, dense, rtol=1e-5, atol=0)
    one, other = (torch.autograd.grad(value, student)[0] for value in (own, dense))
    assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_with_a_tail_it_grows_with_k_up_to_the_dense_kl():
    pair = random_logits()
    values = [
        sparse.top_k_tail_kl(*pair, UNITS, temperature=1.0, k=k).item()
        for k in range(1, CLASSES + 1)
    ]
    assert all(a < b for a, b in pairwise(values[:-1]))
    assert values[-2] == pytest.approx(values[-1], rel=1e-5)


def test_at_equality_top_k_is_the_lost_mass_and_pushes_the_rest_down():
    student = TEACHER.clone().requires_grad_()
    loss = sparse.top_k_kl(student, TEACHER, ONE, temperature=1.0, k=2)
    assert loss.item() == pytest.approx(-math.log(0.9), rel=1e-5)
    gradient = torch.autograd.grad(loss, student)[0]  # q − p̃
    assert_close(gradient, tensor([[0.1, 0.6 - 2 / 3, 0.3 - 1 / 3]]), rtol=1e-5, atol=1e-6)


def test_top_k_is_zero_at_the_renormalised_teacher():
    sure = tensor([[0.0, 2 / 3, 1 / 3]]).clamp(min=1e-30).log()
    loss = sparse.top_k_kl(sure, TEACHER, ONE, temperature=1.0, k=2)
    assert loss.item() == pytest.approx(0.0, abs=1e-6)


@both
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_gradient_is_finite_with_sure_models(loss, scale):
    student, teacher = (x.float() * scale for x in random_logits())
    student.requires_grad_()
    value = loss(student, teacher, UNITS, temperature=1.0, k=2)
    assert torch.autograd.grad(value, student)[0].isfinite().all()


@both
def test_more_than_every_class_is_refused(loss):
    with pytest.raises(ValueError, match="k=4: at most the number of classes, 3"):
        loss(STUDENT, TEACHER, ONE, temperature=1.0, k=4)
