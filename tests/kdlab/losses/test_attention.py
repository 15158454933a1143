"""attention.kl, cross_entropy and mse: by hand, by a textbook loop, and against TextBrewer.

Known factors. TextBrewer's attention_ce and attention_ce_mean lack the teacher's entropy, and with
a mask they leave probability on padded keys, so they are asked row by row with the padding cut
away. Code that takes the mean over keys as well (`reduction="mean"`) is 1/t of the loss.
TextBrewer's attention_mse and attention_mse_sum are the loss of one row; in a batch they weigh
rows by the squares of their lengths. Where head counts are equal, the squared difference of means
over h heads is 1/h² of that of sums.
"""

import math

import pytest
import torch
from drawn import TOKENS, normal
from textbrewer.losses import att_ce_loss, att_ce_mean_loss, att_mse_loss, att_mse_sum_loss
from torch import tensor
from torch.testing import assert_close

from kdlab.losses import attention


def random_scores(heads=3):
    rows, tokens = TOKENS.shape
    return normal(2, rows, heads, tokens, tokens) * 2


def valid_queries(student, teacher):
    """Of every valid query, by head: the student's and the teacher's scores over valid keys."""
    for ours, theirs, valid in zip(student, teacher, TOKENS, strict=True):
        for query in valid.nonzero().flatten():
            pair = (x[:, query][:, valid].tolist() for x in (ours, theirs))
            yield list(zip(*pair, strict=True))


def cut(scores, row):
    """The scores between the valid tokens of one row, [1, h, n, n]."""
    return scores[row : row + 1, :, TOKENS[row]][..., TOKENS[row]]


def softmax(scores):
    return [math.exp(x) / sum(math.exp(y) for y in scores) for x in scores]


def test_by_hand():
    # Head 1, query 1: p = (3/4, 1/4) and q = (1/2, 1/2) over the two valid keys, so that
    # KL = 3/4 ln 1.5 + 1/4 ln 0.5 = 0.130812. Its query 2 and all of head 2 are equal: 0.
    # Mean over 2 heads and 2 valid queries: 0.130812 / 4 = 0.032703.
    student, teacher = torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3)
    teacher[0, 0, 0, 0] = math.log(3)
    student[..., 2] = 9.0  # a padded key
    student[:, :, 2] = -9.0  # a padded query
    loss = attention.kl(student, teacher, tensor([[True, True, False]]))
    assert loss.item() == pytest.approx(0.032703, abs=1e-6)


def test_it_is_of_the_teacher_from_the_student():
    # As above the other way round: KL(q ‖ p) = 1/2 ln(4/3) = 0.143841, over 2 queries.
    student, teacher = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    student[0, 0, 0, 0] = math.log(3)
    loss = attention.kl(student, teacher, tensor([[True, True]]))
    assert loss.item() == pytest.approx(0.143841 / 2, abs=1e-6)


def test_against_the_textbook():
    student, teacher = random_scores()
    units = []
    for heads in valid_queries(student, teacher):
        total = 0.0
        for s, t in heads:
            total += sum(p * math.log(p / q) for p, q in zip(softmax(t), softmax(s), strict=True))
        units.append(total / len(heads))
    loss = attention.kl(student, teacher, TOKENS)
    assert loss.item() == pytest.approx(sum(units) / len(units), rel=1e-5)


def row_by_row(peer, student, teacher):
    """The mean over valid queries of TextBrewer's loss, which is asked without padding."""
    total = 0.0
    for row, count in enumerate(TOKENS.sum(1).tolist()):
        if count:
            # Without a mask TextBrewer drops negative scores; with ones it is the plain formula.
            ones = torch.ones(1, count)
            total += count * peer(cut(student, row), cut(teacher, row), ones).item()
    return total / TOKENS.sum().item()


def test_cross_entropy_is_textbrewers_attention_ce_and_kl_is_less_the_teachers_entropy():
    student, teacher = random_scores()
    expected = row_by_row(att_ce_loss, student, teacher)
    loss = attention.cross_entropy(student, teacher, TOKENS)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    entropy = row_by_row(att_ce_loss, teacher, teacher)
    loss = attention.kl(student, teacher, TOKENS)
    assert loss.item() == pytest.approx(expected - entropy, rel=1e-5)


def test_of_head_means_they_are_textbrewers_attention_ce_mean_whatever_the_head_counts():
    student, teacher = random_scores(heads=4)[0], random_scores(heads=2)[1]
    means = [scores.mean(1, keepdim=True) for scores in (student, teacher)]
    expected = row_by_row(att_ce_mean_loss, student, teacher)
    loss = attention.cross_entropy(*means, TOKENS)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    entropy = row_by_row(att_ce_mean_loss, teacher, teacher)
    assert attention.kl(*means, TOKENS).item() == pytest.approx(expected - entropy, rel=1e-5)


def test_cross_entropy_by_hand_and_at_equality():
    # p = (3/4, 1/4) and q = (1/2, 1/2) over two valid keys: ln 2; query 2 is even in both: ln 2.
    student, teacher = torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 3, 3)
    teacher[0, 0, 0, 0] = math.log(3)
    student[..., 2] = 9.0  # a padded key
    mask = tensor([[True, True, False]])
    loss = attention.cross_entropy(student, teacher, mask)
    assert loss.item() == pytest.approx(math.log(2))
    loss = attention.cross_entropy(teacher, teacher, mask)
    entropy = 3 / 4 * math.log(4 / 3) + 1 / 4 * math.log(4)
    assert loss.item() == pytest.approx((entropy + math.log(2)) / 2)


def test_cross_entropy_has_the_gradient_of_kl():
    student, teacher = random_scores()
    student.requires_grad_()
    losses = [f(student, teacher, TOKENS) for f in (attention.kl, attention.cross_entropy)]
    one, other = (torch.autograd.grad(value, student)[0] for value in losses)
    assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_a_shift_of_a_querys_scores_changes_nothing():
    # Large negative shifts too: a fill for padded keys that is not low enough would show.
    student, teacher = random_scores()
    expected = attention.kl(student, teacher, TOKENS).item()
    shift = torch.arange(5.0).reshape(1, 1, 5, 1)
    loss = attention.kl(student - 2000 * shift, teacher + 3000 * shift, TOKENS)
    assert loss.item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("loss", [attention.kl, attention.cross_entropy, attention.mse])
def test_unequal_heads_are_refused(loss):
    student, teacher = torch.zeros(1, 2, 3, 3), torch.zeros(1, 4, 3, 3)
    with pytest.raises(ValueError, match="unequal heads: the student has 2, the teacher 4"):
        loss(student, teacher, torch.ones(1, 3, dtype=torch.bool))


def test_mse_by_hand():
    # Row 1, head 1: query 1 has (4 + 0) / 2 = 2, query 2 has (9 + 1) / 2 = 5; head 2 is equal.
    # Mean over heads: 1 and 2.5. Row 2 has one token, 1 / 1, halved by its equal head: 0.5.
    # Mean over three queries: 4 / 3.
    student, teacher = torch.zeros(2, 2, 3, 3), torch.zeros(2, 2, 3, 3)
    teacher[0, 0, :2, :2] = tensor([[2.0, 0.0], [3.0, 1.0]])
    teacher[1, 0, 0, 0] = -1.0
    student[..., 2] = 9.0  # a padded key
    student[:, :, 2] = -9.0  # a padded query
    loss = attention.mse(student, teacher, tensor([[True, True, False], [True, False, False]]))
    assert loss.item() == pytest.approx(4 / 3)


def test_mse_against_the_textbook():
    student, teacher = random_scores()
    units = []
    for heads in valid_queries(student, teacher):
        gaps = [(a - b) ** 2 for s, t in heads for a, b in zip(s, t, strict=True)]
        units.append(sum(gaps) / len(gaps))
    loss = attention.mse(student, teacher, TOKENS)
    assert loss.item() == pytest.approx(sum(units) / len(units), rel=1e-5)


def test_mse_of_a_row_is_textbrewers_attention_mse():
    student, teacher = random_scores()
    for row in range(3):
        expected = att_mse_loss(student[[row]], teacher[[row]], TOKENS[[row]])
        loss = attention.mse(student[[row]], teacher[[row]], TOKENS[[row]])
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("heads", [3, 2])
def test_mse_of_head_sums_is_textbrewers_and_of_means_that_over_their_counts(heads):
    student, teacher = random_scores()[0], random_scores(heads)[1]
    for row in range(3):
        pair, mask = (student[[row]], teacher[[row]]), TOKENS[[row]]
        loss = attention.mse(*(x.sum(1, keepdim=True) for x in pair), mask)
        assert loss.item() == pytest.approx(att_mse_sum_loss(*pair, mask).item(), rel=1e-5)
        loss = attention.mse(*(x.mean(1, keepdim=True) for x in pair), mask)
        expected = att_mse_sum_loss(*(x / x.shape[1] for x in pair), mask)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
