"""gram.channels and gram.tokens: by hand, by a textbook loop, and against TextBrewer.

Known factors. TextBrewer's fsp of one layer twice is gram.channels, if every row has a token. Its
nst (mmd) is gram.tokens of one row, if asked without a mask: with one, release 0.2.1.post1 divides
by the padded length t in place of the width d, so that it is (d / t)² of the loss at equal widths;
and in a batch it weighs rows by the squares of their lengths.
"""

import numpy as np
import pytest
import torch
from drawn import TOKENS, normal
from textbrewer.losses import fsp_loss, mmd_loss
from torch import tensor

from kdlab.losses import gram

VALID = 3  # rows of TOKENS that have a token


def random_states(width=6, seed=0):
    return normal(*TOKENS.shape, width, seed=seed)


def by_row(student, teacher):
    """Student and teacher of every row that has tokens, without its padding [n, d]."""
    for row in range(VALID):
        yield student[row][TOKENS[row]], teacher[row][TOKENS[row]]


def test_channels_by_hand():
    # Row 1: tokens (1, 2) and (3, 0): HᵀH / 2 = [[10, 2], [2, 4]] / 2; squares 25 + 1 + 1 + 4, mean
    # over four pairs 31/4. Row 2 has the token (0, 2): [[0, 0], [0, 4]], 16/4. Mean: 47/8.
    student = tensor([[[1.0, 2.0], [3.0, 0.0]], [[0.0, 2.0], [9.0, 9.0]]])
    mask = tensor([[True, True], [True, False]])
    loss = gram.channels(student, torch.zeros(2, 2, 2), mask)
    assert loss.item() == pytest.approx(47 / 8)


def test_tokens_by_hand():
    # Row 1: (1, 2) and (3, 0): HHᵀ / 2 = [[5, 3], [3, 9]] / 2. The teacher, of one channel, has 1
    # and 2: [[1, 2], [2, 4]]. Gaps 1.5, −0.5, −0.5, 0.5: means 1.25 and 0.25. Row 2: 4/2 against
    # 1: 1. Over three tokens: 2.5/3.
    student = tensor([[[1.0, 2.0], [3.0, 0.0]], [[0.0, 2.0], [9.0, 9.0]]])
    teacher = tensor([[[1.0], [2.0]], [[1.0], [9.0]]])
    loss = gram.tokens(student, teacher, tensor([[True, True], [True, False]]))
    assert loss.item() == pytest.approx(2.5 / 3)


def test_channels_against_the_textbook():
    rows = []
    for s, t in by_row(*(random_states(seed=seed) for seed in (0, 1))):
        ours, theirs = (sum(np.outer(x, x) for x in h.numpy()) / len(h) for h in (s, t))
        rows.append(((ours - theirs) ** 2).mean())
    loss = gram.channels(random_states(), random_states(seed=1), TOKENS)
    assert loss.item() == pytest.approx(np.mean(rows), rel=1e-5)


def test_tokens_against_the_textbook():
    student, teacher = random_states(), random_states(width=9, seed=1)
    units = []
    for s, t in by_row(student, teacher):
        for i in range(len(s)):
            gaps = [(s[i] * s[j]).mean() - (t[i] * t[j]).mean() for j in range(len(s))]
            units.append(np.mean([gap.item() ** 2 for gap in gaps]))
    assert gram.tokens(student, teacher, TOKENS).item() == pytest.approx(np.mean(units), rel=1e-5)


def test_channels_are_textbrewers_fsp_of_one_layer_twice():
    student, teacher = random_states()[:VALID], random_states(seed=1)[:VALID]
    expected = fsp_loss([student, student], [teacher, teacher], TOKENS[:VALID])
    loss = gram.channels(student, teacher, TOKENS[:VALID])
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_tokens_are_textbrewers_nst_row_by_row():
    student, teacher = random_states(), random_states(width=9, seed=1)
    total = 0.0
    for s, t in by_row(student, teacher):
        total += len(s) * mmd_loss([s[None], s[None]], [t[None], t[None]]).item()
    loss = gram.tokens(student, teacher, TOKENS)
    assert loss.item() == pytest.approx(total / TOKENS.sum().item(), rel=1e-5)


def test_with_a_mask_textbrewers_release_divides_by_the_padded_length():
    student, teacher = random_states()[[1]], random_states(seed=1)[[1]]
    masked = mmd_loss([student, student], [teacher, teacher], TOKENS[[1]])
    loss = gram.tokens(student, teacher, TOKENS[[1]])
    assert masked.item() == pytest.approx(loss.item() * (6 / 5) ** 2, rel=1e-5)


def test_a_rotation_of_the_channels_costs_only_among_channels():
    states = random_states()
    turned = states @ torch.linalg.qr(normal(6, 6, seed=2)).Q
    assert gram.tokens(turned, states, TOKENS).item() == pytest.approx(0.0, abs=1e-10)
    assert gram.channels(turned, states, TOKENS) > 0.1


def test_unequal_widths_are_refused_for_channels():
    with pytest.raises(ValueError, match="unequal width: the student has 6, the teacher 9"):
        gram.channels(random_states(), random_states(width=9), TOKENS)
