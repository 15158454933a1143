"""correlation.dist: by hand, against numpy's corrcoef, and what it cannot see."""

import math

import numpy as np
import pytest
import torch
from drawn import UNITS, random_logits
from torch import tensor
from torch.testing import assert_close

from kdlab.losses import correlation


def dist(student, teacher, mask, temperature, rows, classes):
    weights = {"row_weight": rows, "class_weight": classes}
    return correlation.dist(student, teacher, mask, temperature=temperature, **weights)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize(("rows", "classes"), [(1.0, 0.0), (0.0, 1.0), (0.5, 2.0)])
def test_the_formula_in_float64(temperature, rows, classes):
    student, teacher = random_logits()
    q, p = (np.exp(x[UNITS].numpy() / temperature) for x in (student, teacher))
    q, p = (x / x.sum(-1, keepdims=True) for x in (q, p))
    within = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(q, p, strict=True)])
    across = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(q.T, p.T, strict=True)])
    loss = dist(student, teacher, UNITS, temperature, rows, classes)
    expected = temperature**2 * (rows * within + classes * across)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_by_hand():
    # Within a unit: (-1, 0, 1) / 10 against (1, -2, 1) / 10 has no correlation; against its
    # reverse it has -1. Across two units, a class rises with itself (0) or against itself (2).
    level = tensor([[0.2, 0.3, 0.4]]) / 0.9
    bent = (tensor([[1.0, -2.0, 1.0]]) / 10 + 1 / 3).log()
    one = tensor([True])
    assert dist(level.log(), bent, one, 1.0, 1.0, 0.0).item() == pytest.approx(1.0, abs=1e-6)
    back = level.flip(-1).log()
    assert dist(level.log(), back, one, 1.0, 1.0, 0.0).item() == pytest.approx(2.0, abs=1e-6)
    student = tensor([[0.2, 0.3, 0.5], [0.1, 0.5, 0.4]]).log()
    teacher = tensor([[0.6, 0.1, 0.3], [0.3, 0.2, 0.5]]).log()
    # First falls in both: 0; second rises in both: 0; third falls and rises: 2. Mean 2/3.
    two = tensor([True, True])
    assert dist(student, teacher, two, 1.0, 0.0, 1.0).item() == pytest.approx(2 / 3, abs=1e-5)
    four = dist(2 * student, 2 * teacher, two, 2.0, 0.0, 1.0)
    assert four.item() == pytest.approx(4 * 2 / 3, abs=1e-5)


def test_a_flatter_student_of_the_same_shape_costs_nothing():
    _, teacher = random_logits()
    probabilities = teacher.softmax(-1)
    flat = (0.3 * probabilities + 0.7 / 5).log()
    assert dist(flat, teacher, UNITS, 1.0, 1.0, 1.0).item() == pytest.approx(0.0, abs=1e-5)


def test_one_valid_unit_has_no_part_across_units():
    student, teacher = random_logits()
    only = UNITS & (torch.arange(len(UNITS)) == 1)
    student.requires_grad_()
    loss = dist(student, teacher, only, 1.0, 0.0, 1.0)
    assert loss == 0
    assert not torch.autograd.grad(loss, student)[0].any()


def test_the_part_across_units_is_no_mean_of_parts():
    student, teacher = random_logits()
    whole = dist(student, teacher, UNITS, 1.0, 0.0, 1.0)
    half = [dist(student[c], teacher[c], UNITS[c], 1.0, 0.0, 1.0) for c in (slice(3), slice(3, 6))]
    assert abs(whole - sum(half) / 2) > 0.01


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_gradient_is_finite_with_sure_models_and_with_uniform_ones(scale):
    student, teacher = (x.float() * scale for x in random_logits())
    for start in (student, torch.zeros_like(student), teacher.clone()):
        start = start.requires_grad_()
        loss = dist(start, teacher, UNITS, 1.0, 1.0, 1.0)
        assert torch.autograd.grad(loss, start)[0].isfinite().all()


def test_units_may_have_any_shape():
    student, teacher = random_logits()
    folded = dist(
        *(x.reshape(2, 3, 5) for x in (student, teacher)), UNITS.reshape(2, 3), 1.0, 1.0, 1.0
    )
    assert_close(folded, dist(student, teacher, UNITS, 1.0, 1.0, 1.0))
    assert math.isfinite(folded)
