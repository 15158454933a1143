"""response.kl and response.mse: by hand, by a textbook loop, and against TextBrewer.

Known factors. TextBrewer's kd_ce is T² short of the loss and lacks the teacher's entropy (its
gradient is the same but for T²). PKD's code is 1/c of the loss. TextBrewer's kd_mse divides the
logits by T, which is 1/T² of the loss.
"""

import math

import numpy as np
import pytest
import torch
from drawn import UNITS, random_logits
from textbrewer.losses import kd_ce_loss, kd_mse_loss
from torch import tensor
from torch.nn.functional import kl_div
from torch.testing import assert_close

from kdlab.losses import response


def test_kl_by_hand():
    # Over T = 2 the teacher's logits are (ln 3, 0), so p = (3/4, 1/4) and q = (1/2, 1/2):
    # KL = 3/4 ln 1.5 + 1/4 ln 0.5 = 0.130812; times T² = 4: 0.523248.
    student = tensor([[0.0, 0.0]])
    teacher = tensor([[2 * math.log(3), 0.0]])
    loss = response.kl(student, teacher, tensor([True]), temperature=2.0, reduction="sum")
    assert loss.item() == pytest.approx(0.523248, abs=1e-6)


def test_kl_is_of_the_teacher_from_the_student():
    # The other way round: KL(q ‖ p) = 1/2 ln(2/3) + 1/2 ln 2 = 1/2 ln(4/3) = 0.143841.
    student = tensor([[math.log(3), 0.0]])
    teacher = tensor([[0.0, 0.0]])
    loss = response.kl(student, teacher, tensor([True]), temperature=1.0, reduction="sum")
    assert loss.item() == pytest.approx(0.143841, abs=1e-6)


def test_mse_by_hand():
    # Row 1: (0 + 4 + 9) / 3; row 2: (9 + 0 + 0) / 3 = 3; row 3 is padding. Mean: 11 / 3.
    student = tensor([[1.0, 2.0, 3.0], [3.0, 0.0, 0.0], [50.0, 50.0, 50.0]])
    teacher = tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    loss = response.mse(student, teacher, tensor([True, True, False]))
    assert loss.item() == pytest.approx(11 / 3)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_kl_against_the_textbook(temperature):
    student, teacher = random_logits()
    rows = []
    for s, t in zip(student[UNITS].numpy(), teacher[UNITS].numpy(), strict=True):
        p = np.exp(t / temperature) / sum(np.exp(t / temperature))
        q = np.exp(s / temperature) / sum(np.exp(s / temperature))
        rows.append(sum(p[c] * math.log(p[c] / q[c]) for c in range(len(p))))
    expected = temperature**2 * sum(rows) / len(rows)
    loss = response.kl(student, teacher, UNITS, temperature=temperature, reduction="sum")
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_mse_against_the_textbook():
    student, teacher = random_logits()
    rows = []
    for s, t in zip(student[UNITS].tolist(), teacher[UNITS].tolist(), strict=True):
        rows.append(sum((a - b) ** 2 for a, b in zip(s, t, strict=True)) / len(s))
    loss = response.mse(student, teacher, UNITS)
    assert loss.item() == pytest.approx(sum(rows) / len(rows), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_kl_is_t_squared_textbrewer_less_the_teachers_entropy(temperature):
    student, teacher = random_logits()
    entropy = kd_ce_loss(teacher[UNITS], teacher[UNITS], temperature)
    expected = temperature**2 * (kd_ce_loss(student[UNITS], teacher[UNITS], temperature) - entropy)
    loss = response.kl(student, teacher, UNITS, temperature=temperature, reduction="sum")
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_cross_entropy_is_t_squared_textbrewer(temperature):
    student, teacher = random_logits()
    expected = temperature**2 * kd_ce_loss(student[UNITS], teacher[UNITS], temperature)
    loss = response.cross_entropy(student, teacher, UNITS, temperature=temperature, reduction="sum")
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_cross_entropy_by_hand():
    # p = (3/4, 1/4) and q = (1/2, 1/2) at T = 2: T² ln 2; at equality T² times p's entropy.
    teacher = tensor([[2 * math.log(3), 0.0]])
    loss = response.cross_entropy(
        torch.zeros(1, 2), teacher, tensor([True]), temperature=2.0, reduction="sum"
    )
    assert loss.item() == pytest.approx(4 * math.log(2))
    entropy = 3 / 4 * math.log(4 / 3) + 1 / 4 * math.log(4)
    loss = response.cross_entropy(
        teacher, teacher, tensor([True]), temperature=2.0, reduction="sum"
    )
    assert loss.item() == pytest.approx(4 * entropy, rel=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_the_mean_over_classes_is_that_of_pytorch(classes):
    student, teacher = (
        torch.randn(4, classes, generator=torch.Generator().manual_seed(s)) for s in (1, 2)
    )
    log_q, log_p = (x.div(5.0).log_softmax(-1) for x in (student, teacher))
    everything = (student, teacher, torch.ones(4).bool())
    found = response.kl(*everything, temperature=5.0, reduction="mean")
    assert_close(found, 25 * kl_div(log_q, log_p, reduction="none", log_target=True).mean())
    found = response.cross_entropy(*everything, temperature=5.0, reduction="mean")
    assert_close(found, -25 * (log_p.exp() * log_q).mean())


def test_cross_entropy_has_the_gradient_of_kl():
    student, teacher = random_logits()
    student.requires_grad_()
    losses = [
        f(student, teacher, UNITS, temperature=4.0, reduction="sum")
        for f in (response.kl, response.cross_entropy)
    ]
    one, other = (torch.autograd.grad(value, student)[0] for value in losses)
    assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_kl_has_t_squared_times_the_gradient_of_textbrewer():
    student, teacher = random_logits()
    student.requires_grad_()
    loss = response.kl(student, teacher, UNITS, temperature=4.0, reduction="sum")
    peer = 4.0**2 * kd_ce_loss(student[UNITS], teacher[UNITS], 4.0)
    ours, theirs = (torch.autograd.grad(value, student)[0] for value in (loss, peer))
    assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_mse_is_t_squared_textbrewer(temperature):
    student, teacher = random_logits()
    expected = temperature**2 * kd_mse_loss(student[UNITS], teacher[UNITS], temperature)
    assert response.mse(student, teacher, UNITS).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_standardised_kl_in_float64(temperature):
    student, teacher = random_logits()
    rows = []
    for s, t in zip(student[UNITS].numpy(), teacher[UNITS].numpy(), strict=True):
        s, t = ((x - x.mean()) / x.std(ddof=1) / temperature for x in (s, t))
        p, q = (np.exp(x) / np.exp(x).sum() for x in (t, s))
        rows.append((p * np.log(p / q)).sum())
    loss = response.standardised_kl(student, teacher, UNITS, temperature=temperature)
    assert loss.item() == pytest.approx(temperature**2 * np.mean(rows), rel=1e-5)


def test_standardised_kl_by_hand():
    # (0, 1, 2) has mean 1, deviation 1; (6, 4, 2) mean 4, deviation 2: (-1, 0, 1), (1, 0, -1).
    # p = (1, e, e²) / S and q its reverse: KL = Σ p (log p − log q) = 2 (e² − 1) / S.
    student, teacher = tensor([[6.0, 4.0, 2.0]]), tensor([[0.0, 1.0, 2.0]])
    loss = response.standardised_kl(student, teacher, tensor([True]), temperature=1.0)
    expected = 2 * (math.e**2 - 1) / (1 + math.e + math.e**2)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_standardised_kl_ignores_shift_and_scale_which_kl_does_not():
    student, teacher = random_logits()
    moved = 3 * student + 7
    one, other = (
        response.standardised_kl(x, teacher, UNITS, temperature=2.0) for x in (student, moved)
    )
    assert_close(one, other, rtol=1e-5, atol=0)
    one, other = (
        response.kl(x, teacher, UNITS, temperature=2.0, reduction="sum") for x in (student, moved)
    )
    assert abs(one - other) > 0.1


def test_standardised_kl_has_no_gradient_along_shift_and_scale():
    student, teacher = random_logits()
    student.requires_grad_()
    loss = response.standardised_kl(student, teacher, UNITS, temperature=2.0)
    gradient = torch.autograd.grad(loss, student)[0]
    assert gradient.norm() > 1e-2
    assert_close(gradient.sum(-1), torch.zeros(6).double(), rtol=0, atol=1e-6)
    assert_close((gradient * student).sum(-1), torch.zeros(6).double(), rtol=0, atol=1e-6)


def test_standardised_kl_of_equal_logits_is_that_of_a_uniform_student():
    student, teacher = torch.full((1, 3), 5.0, requires_grad=True), tensor([[0.0, 1.0, 2.0]])
    loss = response.standardised_kl(student, teacher, tensor([True]), temperature=1.0)
    p = np.exp([-1.0, 0.0, 1.0]) / np.exp([-1.0, 0.0, 1.0]).sum()
    assert loss.item() == pytest.approx((p * np.log(3 * p)).sum(), rel=1e-5)
    assert torch.autograd.grad(loss, student)[0].isfinite().all()


def test_a_mask_may_have_any_shape():
    student, teacher = random_logits()
    student, teacher = (x.reshape(2, 3, 5) for x in (student, teacher))
    loss = response.kl(student, teacher, UNITS.reshape(2, 3), temperature=2.0, reduction="sum")
    flat = response.kl(
        student.reshape(6, 5), teacher.reshape(6, 5), UNITS, temperature=2.0, reduction="sum"
    )
    assert_close(loss, flat)


def test_unequal_classes_are_refused():
    student, teacher = torch.zeros(1, 2), torch.zeros(1, 3)
    with pytest.raises(ValueError, match="2 student classes, 3 teacher classes"):
        response.kl(student, teacher, tensor([True]), temperature=1.0, reduction="sum")
    with pytest.raises(ValueError, match="2 student outputs, 3 teacher outputs"):
        response.mse(student, teacher, tensor([True]))


def test_annealed_mse_by_hand():
    # Half of (4, 2) is (2, 1): (1 - 2)² + (1 - 1)², over two classes.
    loss = response.annealed_mse(
        tensor([[1.0, 1.0]]), tensor([[4.0, 2.0]]), tensor([True]), teacher_scale=0.5
    )
    assert loss.item() == pytest.approx(0.5)


@pytest.mark.parametrize("scale", [1 / 7, 0.5, 1.0])
def test_annealed_mse_in_float64_and_against_textbrewer(scale):
    student, teacher = random_logits()
    rows = [
        sum((a - scale * b) ** 2 for a, b in zip(s, t, strict=True)) / len(s)
        for s, t in zip(student[UNITS].tolist(), teacher[UNITS].tolist(), strict=True)
    ]
    loss = response.annealed_mse(student, teacher, UNITS, teacher_scale=scale).item()
    assert loss == pytest.approx(sum(rows) / len(rows), rel=1e-5)
    peer = kd_mse_loss(student[UNITS], scale * teacher[UNITS], 2.0)
    assert loss == pytest.approx(4 * peer.item(), rel=1e-5)


def test_annealed_mse_at_scale_one_is_mse():
    student, teacher = random_logits()
    loss = response.annealed_mse(student, teacher, UNITS, teacher_scale=1.0)
    assert_close(loss, response.mse(student, teacher, UNITS))
