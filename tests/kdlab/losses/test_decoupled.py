"""decoupled.dkd: by hand, in float64 by numpy, and the identity that gave it its name."""

import math

import numpy as np
import pytest
import torch
from drawn import UNITS, random_logits
from torch import tensor
from torch.testing import assert_close

from kdlab.losses import decoupled, response

ONE = tensor([True])


def dkd(student, teacher, mask, temperature, target, others):
    weights = {"target_weight": target, "others_weight": others}
    return decoupled.dkd(student, teacher, mask, temperature=temperature, **weights)


def kl(a, b):
    return (a * np.log(a / b)).sum()


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize(("target", "others"), [(1.0, 8.0), (1.0, 0.0), (0.0, 1.0)])
def test_the_formula_in_float64(temperature, target, others):
    student, teacher = random_logits()
    values = []
    for s, t in zip(student[UNITS].numpy(), teacher[UNITS].numpy(), strict=True):
        q, p = (np.exp(x / temperature) / np.exp(x / temperature).sum() for x in (s, t))
        label = t.argmax()
        rest_p, rest_q = np.delete(p, label), np.delete(q, label)
        tckd = kl(np.array([p[label], rest_p.sum()]), np.array([q[label], rest_q.sum()]))
        nckd = kl(rest_p / rest_p.sum(), rest_q / rest_q.sum())
        values.append(target * tckd + others * nckd)
    loss = dkd(student, teacher, UNITS, temperature, target, others)
    assert loss.item() == pytest.approx(temperature**2 * np.mean(values), rel=1e-5)


def test_by_hand():
    # p = (1, 6, 3) / 10, q = (5, 3, 2) / 10, target the second. Target against others: (0.6, 0.4)
    # and (0.3, 0.7); among the others: (1/4, 3/4) and (5/7, 2/7).
    teacher, student = tensor([[0.1, 0.6, 0.3]]).log(), tensor([[0.5, 0.3, 0.2]]).log()
    tckd = 0.6 * math.log(2) + 0.4 * math.log(4 / 7)
    nckd = 0.25 * math.log(7 / 20) + 0.75 * math.log(21 / 8)
    assert dkd(student, teacher, ONE, 1.0, 1.0, 0.0).item() == pytest.approx(tckd, rel=1e-5)
    assert dkd(student, teacher, ONE, 1.0, 0.0, 1.0).item() == pytest.approx(nckd, rel=1e-5)
    assert dkd(student, teacher, ONE, 1.0, 2.0, 3.0).item() == pytest.approx(
        2 * tckd + 3 * nckd, rel=1e-5
    )


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_a_units_kl_is_its_target_part_and_the_others_mass_times_their_part(temperature):
    student, teacher = random_logits()
    for row in range(len(UNITS)):
        pair = student[row : row + 1], teacher[row : row + 1]
        rest = 1 - (pair[1] / temperature).softmax(-1).max().item()
        whole = response.kl(*pair, ONE, temperature=temperature, reduction="sum")
        assert_close(dkd(*pair, ONE, temperature, 1.0, rest), whole, rtol=1e-4, atol=1e-6)


def test_of_two_classes_only_the_target_part_is_left():
    student, teacher = (x[:, :2] for x in random_logits())
    assert dkd(student, teacher, UNITS, 4.0, 0.0, 8.0).item() == pytest.approx(0.0, abs=1e-6)
    whole = response.kl(student, teacher, UNITS, temperature=4.0, reduction="sum")
    assert_close(dkd(student, teacher, UNITS, 4.0, 1.0, 8.0), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_gradient_is_finite_with_sure_models_and_zero_at_equality(scale):
    student, teacher = (x.float() * scale for x in random_logits())
    student.requires_grad_()
    gradient = torch.autograd.grad(dkd(student, teacher, UNITS, 1.0, 1.0, 8.0), student)[0]
    assert gradient.isfinite().all()
    same = student.detach().clone()
    gradient = torch.autograd.grad(dkd(student, same, UNITS, 1.0, 1.0, 8.0), student)[0]
    assert gradient.abs().max() < 1e-6
