"""Divergences: by hand, against float64 formulas in numpy, and their relations to each other."""

import math

import numpy as np
import pytest
import torch
from drawn import UNITS, random_logits
from torch import tensor
from torch.testing import assert_close

from kdlab.losses import divergence, response

# A teacher of (3/4, 1/4) and a student of (1/2, 1/2).
TEACHER, STUDENT = tensor([[math.log(3), 0.0]]), tensor([[0.0, 0.0]])
ONE = tensor([True])
OPTIONS = {
    divergence.reverse_kl: {},
    divergence.skewed_kl: {"skew": 0.1},
    divergence.skewed_reverse_kl: {"skew": 0.1},
    divergence.adaptive_kl: {"head_mass": 0.7},
    divergence.jensen_shannon: {"teacher_share": 0.3},
    divergence.total_variation: {},
}
every_divergence = pytest.mark.parametrize(("loss", "knobs"), OPTIONS.items())


def softmax(logits, temperature):
    powers = np.exp(logits.numpy() / temperature)
    return powers / powers.sum(-1, keepdims=True)


def kl(a, b):
    return (a * np.log(a / b)).sum(-1)


def adaptive(p, q, mass):
    """Unit by unit: the head takes the likeliest classes until it has the mass."""
    values = []
    for theirs, ours in zip(p, q, strict=True):
        head, rest = [], sorted(range(len(theirs)), key=lambda c: -theirs[c])
        while sum(theirs[head]) < mass:
            head.append(rest.pop(0))
        gaps = np.abs(theirs - ours)
        share = gaps[head].sum() / gaps.sum()
        values.append(share * kl(theirs, ours) + (1 - share) * kl(ours, theirs))
    return np.array(values)


def textbook(loss, p, q):
    return {
        divergence.reverse_kl: lambda: kl(q, p),
        divergence.skewed_kl: lambda: kl(p, 0.1 * p + 0.9 * q),
        divergence.skewed_reverse_kl: lambda: kl(q, 0.9 * p + 0.1 * q),
        divergence.adaptive_kl: lambda: adaptive(p, q, 0.7),
        divergence.jensen_shannon: lambda: (
            0.3 * kl(p, 0.3 * p + 0.7 * q) + 0.7 * kl(q, 0.3 * p + 0.7 * q)
        ),
        divergence.total_variation: lambda: np.abs(p - q).sum(-1) / 2,
    }[loss]().mean()


@every_divergence
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_formula_in_float64(loss, knobs, temperature):
    student, teacher = random_logits()
    p, q = softmax(teacher[UNITS], temperature), softmax(student[UNITS], temperature)
    found = loss(student, teacher, UNITS, temperature=temperature, **knobs)
    assert found.item() == pytest.approx(textbook(loss, p, q), rel=1e-5)


def test_by_hand():
    # KL(q ‖ p) = 1/2 ln(2/3) + 1/2 ln 2 = 1/2 ln(4/3); half of |3/4 − 1/2| + |1/4 − 1/2| = 1/4;
    # m = (5/8, 3/8) at a share of 1/2.
    reverse = divergence.reverse_kl(STUDENT, TEACHER, ONE, temperature=1.0)
    assert reverse.item() == pytest.approx(math.log(4 / 3) / 2, rel=1e-6)
    variation = divergence.total_variation(STUDENT, TEACHER, ONE, temperature=1.0)
    assert variation.item() == pytest.approx(0.25, rel=1e-6)
    theirs = 3 / 4 * math.log(6 / 5) + 1 / 4 * math.log(2 / 3)
    ours = 1 / 2 * math.log(4 / 5) + 1 / 2 * math.log(4 / 3)
    js = divergence.jensen_shannon(STUDENT, TEACHER, ONE, temperature=1.0, teacher_share=0.5)
    assert js.item() == pytest.approx((theirs + ours) / 2, rel=1e-5)


def test_skew_mixes_in_the_distribution_that_comes_first():
    # Teacher (3/4, 1/4), student (1/2, 1/2), skew 0.2: mixtures (0.55, 0.45) and (0.7, 0.3).
    forward = divergence.skewed_kl(STUDENT, TEACHER, ONE, temperature=1.0, skew=0.2)
    expected = 0.75 * math.log(0.75 / 0.55) + 0.25 * math.log(0.25 / 0.45)
    assert forward.item() == pytest.approx(expected, rel=1e-5)
    back = divergence.skewed_reverse_kl(STUDENT, TEACHER, ONE, temperature=1.0, skew=0.2)
    expected = 0.5 * math.log(0.5 / 0.7) + 0.5 * math.log(0.5 / 0.3)
    assert back.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_without_skew_they_are_kl_and_reverse_kl(temperature):
    pair = random_logits()
    forward = divergence.skewed_kl(*pair, UNITS, temperature=temperature, skew=0.0)
    known = response.kl(*pair, UNITS, temperature=temperature, reduction="sum") / temperature**2
    assert_close(forward, known, rtol=1e-6, atol=0)
    back = divergence.skewed_reverse_kl(*pair, UNITS, temperature=temperature, skew=0.0)
    known = divergence.reverse_kl(*pair, UNITS, temperature=temperature)
    assert_close(back, known, rtol=1e-6, atol=0)


def test_reverse_kl_is_kl_with_the_roles_exchanged():
    student, teacher = random_logits()
    reverse = divergence.reverse_kl(student, teacher, UNITS, temperature=1.0)
    assert_close(reverse, response.kl(teacher, student, UNITS, temperature=1.0, reduction="sum"))


@pytest.mark.parametrize(
    ("mass", "share"),
    # Gaps are 0.2, 0.05 and 0.25. The second class, which reaches 0.5, belongs to the head.
    [(0.3, 0.4), (0.5, 0.5), (0.74, 0.5), (0.76, 1.0)],
)
def test_adaptive_kl_by_hand(mass, share):
    p, q = np.array([0.4, 0.35, 0.25]), np.array([0.2, 0.3, 0.5])
    student, teacher = (torch.from_numpy(np.log(x[[1, 2, 0]]))[None] for x in (q, p))
    loss = divergence.adaptive_kl(student, teacher, ONE, temperature=1.0, head_mass=mass)
    expected = share * kl(p, q) + (1 - share) * kl(q, p)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mass", [0.5, 0.9])
def test_the_weights_of_adaptive_kl_are_constants_to_the_gradient(mass):
    student, teacher = random_logits()
    student.requires_grad_()
    for row in range(len(UNITS)):
        pair = student[row : row + 1], teacher[row : row + 1]
        parts = (
            divergence.adaptive_kl(*pair, ONE, temperature=1.0, head_mass=mass),
            response.kl(*pair, ONE, temperature=1.0, reduction="sum"),
            divergence.reverse_kl(*pair, ONE, temperature=1.0),
        )
        whole, forward, back = (torch.autograd.grad(x, student, retain_graph=True) for x in parts)
        share = (parts[0] - parts[2]) / (parts[1] - parts[2])
        expected = share * forward[0] + (1 - share) * back[0]
        assert_close(whole[0], expected, rtol=1e-3, atol=1e-5)


def test_of_two_classes_adaptive_kl_is_the_mean_of_both_kls():
    pair = random_logits()[..., :2]
    forward = response.kl(*pair, UNITS, temperature=1.0, reduction="sum")
    back = divergence.reverse_kl(*pair, UNITS, temperature=1.0)
    loss = divergence.adaptive_kl(*pair, UNITS, temperature=1.0, head_mass=0.3)
    assert_close(loss, (forward + back) / 2, rtol=1e-5, atol=0)


def test_jensen_shannon_over_its_share_nears_kl_at_one_end_and_reverse_kl_at_the_other():
    pair = random_logits(scale=0.5)
    tiny = 1e-3
    low, high = (
        divergence.jensen_shannon(*pair, UNITS, temperature=1.0, teacher_share=share)
        for share in (tiny, 1 - tiny)
    )
    forward = response.kl(*pair, UNITS, temperature=1.0, reduction="sum")
    back = divergence.reverse_kl(*pair, UNITS, temperature=1.0)
    assert abs(forward - back) > 0.03 * back  # else the two ends could not be told apart
    assert low.item() / tiny == pytest.approx(forward.item(), rel=1e-2)
    assert high.item() / tiny == pytest.approx(back.item(), rel=1e-2)


def test_jensen_shannon_is_symmetric_and_at_most_ln_2():
    student, teacher = random_logits(scale=30.0)
    knobs = {"temperature": 1.0, "teacher_share": 0.5}
    one = divergence.jensen_shannon(student, teacher, UNITS, **knobs)
    assert_close(one, divergence.jensen_shannon(teacher, student, UNITS, **knobs))
    opposed = tensor([[100.0, 0.0]])
    most = divergence.jensen_shannon(opposed, -opposed, ONE, **knobs)
    assert most.item() == pytest.approx(math.log(2), rel=1e-6)


def test_total_variation_obeys_pinsker():
    student, teacher = random_logits()
    for row in range(len(UNITS)):
        pair = student[row : row + 1], teacher[row : row + 1]
        variation = divergence.total_variation(*pair, ONE, temperature=1.0)
        assert variation <= (response.kl(*pair, ONE, temperature=1.0, reduction="sum") / 2).sqrt()


@every_divergence
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_gradient_is_finite_with_sure_models_and_zero_at_equality(loss, knobs, scale):
    student, teacher = (x.float() * scale for x in random_logits())
    student.requires_grad_()
    for other, zero in ((teacher, False), (student.detach().clone(), True)):
        value = loss(student, other, UNITS, temperature=1.0, **knobs)
        gradient = torch.autograd.grad(value, student)[0]
        assert gradient.isfinite().all()
        assert not zero or gradient.abs().max() < 1e-6


@every_divergence
def test_unequal_classes_are_refused(loss, knobs):
    with pytest.raises(ValueError, match="2 student classes, 3 teacher classes"):
        loss(torch.zeros(1, 2), torch.zeros(1, 3), ONE, temperature=1.0, **knobs)
