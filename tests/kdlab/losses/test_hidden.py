"""hidden.mse, pkd and cosine: by hand, by a textbook loop, against TextBrewer.

Known factors. TextBrewer's hid_mse, pkd and cos are the losses as they stand; PKD's own loss
takes the mean over the width d, which is 1/d of hidden.pkd.
"""

import math

import pytest
import torch
from textbrewer.losses import cos_loss, hid_mse_loss, pkd_loss
from torch import tensor
from torch.testing import assert_close

from kdlab.losses import hidden
from kdlab.models.trace import Trace
from kdlab.objective import views

MASK = tensor(
    [
        [True, True, True, True],
        [True, True, False, False],
        [False, True, False, True],
        [False, False, False, False],
    ]
)


def random_states(width=6):
    generator = torch.Generator().manual_seed(0)
    return torch.randn((2, *MASK.shape, width), generator=generator, dtype=torch.float64)


def valid_units(student, teacher, mask):
    return zip(student[mask].tolist(), teacher[mask].tolist(), strict=True)


def test_mse_by_hand():
    # Token 1: (1 + 4) / 2 = 2.5; token 2: (9 + 1) / 2 = 5; token 3 is padding. Mean: 3.75.
    student = tensor([[[1.0, 2.0], [3.0, 1.0], [100.0, 100.0]]])
    loss = hidden.mse(student, torch.zeros(1, 3, 2), tensor([[True, True, False]]))
    assert loss.item() == pytest.approx(3.75)


@pytest.mark.parametrize(
    ("normalize", "expected"),
    # (3, 4) / 5 = (0.6, 0.8) and (0, 2) / 2 = (0, 1): 0.36 + 0.04 = 0.4; plain: 9 + 4 = 13.
    [(True, 0.4), (False, 13.0)],
)
def test_pkd_by_hand(normalize, expected):
    student, teacher = tensor([[3.0, 4.0]]), tensor([[0.0, 2.0]])
    loss = hidden.pkd(student, teacher, tensor([True]), normalize=normalize, reduction="sum")
    assert loss.item() == pytest.approx(expected)


def test_mse_against_the_textbook():
    student, teacher = random_states()
    units = []
    for s, t in valid_units(student, teacher, MASK):
        units.append(sum((a - b) ** 2 for a, b in zip(s, t, strict=True)) / len(s))
    loss = hidden.mse(student, teacher, MASK)
    assert loss.item() == pytest.approx(sum(units) / len(units), rel=1e-5)


@pytest.mark.parametrize("normalize", [True, False])
def test_pkd_against_the_textbook(normalize):
    student, teacher = random_states()[:, :, 0]
    mask = tensor([True, False, True, True])
    units = []
    for s, t in valid_units(student, teacher, mask):
        if normalize:
            s = [a / math.sqrt(sum(x * x for x in s)) for a in s]
            t = [b / math.sqrt(sum(x * x for x in t)) for b in t]
        units.append(sum((a - b) ** 2 for a, b in zip(s, t, strict=True)))
    loss = hidden.pkd(student, teacher, mask, normalize=normalize, reduction="sum")
    assert loss.item() == pytest.approx(sum(units) / len(units), rel=1e-5)


def test_mse_is_textbrewers_hid_mse():
    student, teacher = random_states()
    expected = hid_mse_loss(student, teacher, MASK)
    assert hidden.mse(student, teacher, MASK).item() == pytest.approx(expected.item(), rel=1e-5)


def test_normalised_pkd_is_textbrewers_pkd():
    student, teacher = random_states()
    mask = tensor([True, False, True, True])
    # TextBrewer takes the first token by itself, and no mask.
    expected = pkd_loss(student[mask], teacher[mask])
    loss = hidden.pkd(student[:, 0], teacher[:, 0], mask, normalize=True, reduction="sum")
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_pkd_of_pooled_states_is_textbrewers_of_means_over_valid_tokens():
    rows, mask = random_states()[:, :3], MASK[:3]  # TextBrewer takes no mask
    means = [
        torch.stack([x[valid].mean(0) for x, valid in zip(each, mask, strict=True)])
        for each in rows
    ]
    traces = (Trace(torch.zeros(3, 2), (each,), {}, mask) for each in rows)
    (student, units), (teacher, _) = (views.mean_tokens(trace, 0) for trace in traces)
    loss = hidden.pkd(student, teacher, units, normalize=True, reduction="sum")
    assert loss.item() == pytest.approx(pkd_loss(*means).item(), rel=1e-5)


def test_plain_pkd_is_the_width_times_mse():
    student, teacher = random_states(width=6)
    loss = hidden.pkd(student, teacher, MASK, normalize=False, reduction="sum")
    assert loss.item() == pytest.approx(6 * hidden.mse(student, teacher, MASK).item(), rel=1e-5)


def test_unequal_widths_are_refused():
    student, teacher, mask = torch.zeros(1, 2), torch.zeros(1, 3), tensor([True])
    message = "unequal width: the student has 2, the teacher 3; projection: auto"
    with pytest.raises(ValueError, match=message):
        hidden.mse(student, teacher, mask)
    with pytest.raises(ValueError, match=message):
        hidden.pkd(student, teacher, mask, normalize=True, reduction="sum")
    with pytest.raises(ValueError, match=message):
        hidden.cosine(student, teacher, mask)


def test_cosine_by_hand():
    # cos((3, 4), (1, 0)) = 3 / 5, so 0.4; against its opposite 2; a zero state is like nothing: 1.
    student = tensor([[3.0, 4.0], [3.0, 4.0], [0.0, 0.0]])
    teacher = tensor([[1.0, 0.0], [-6.0, -8.0], [1.0, 1.0]])
    losses = [
        hidden.cosine(s[None], t[None], tensor([True])).item()
        for s, t in zip(student, teacher, strict=True)
    ]
    assert losses == pytest.approx([0.4, 2.0, 1.0])


def test_cosine_against_the_textbook():
    student, teacher = random_states()
    units = []
    for s, t in valid_units(student, teacher, MASK):
        product = sum(a * b for a, b in zip(s, t, strict=True))
        units.append(1 - product / math.hypot(*s) / math.hypot(*t))
    loss = hidden.cosine(student, teacher, MASK)
    assert loss.item() == pytest.approx(sum(units) / len(units), rel=1e-5)


def test_cosine_is_textbrewers_cos():
    student, teacher = random_states()
    expected = cos_loss(student, teacher, MASK)
    assert hidden.cosine(student, teacher, MASK).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_gradient_at_a_zero_state_is_along_the_teachers_direction_and_as_large():
    student = torch.zeros(1, 2, requires_grad=True)
    pair = student, tensor([[3.0, 4.0]]), tensor([True])
    (gradient,) = torch.autograd.grad(hidden.cosine(*pair), student)
    assert gradient.tolist() == [pytest.approx([-0.6, -0.8])]
    (gradient,) = torch.autograd.grad(hidden.pkd(*pair, normalize=True, reduction="sum"), student)
    assert gradient.tolist() == [pytest.approx([-1.2, -1.6])]  # of a square: twice


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("width", [3, 8])
def test_patience_as_a_mean_over_the_width_is_that_of_pytorch(width, normalize):
    student, teacher = torch.randn(2, 4, width, generator=torch.Generator().manual_seed(1))
    loss = hidden.pkd(student, teacher, torch.ones(4).bool(), normalize=normalize, reduction="mean")
    if normalize:
        student, teacher = (torch.nn.functional.normalize(x, dim=-1) for x in (student, teacher))
    assert_close(loss, torch.nn.functional.mse_loss(student, teacher))
