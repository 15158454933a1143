"""relation.kl: by hand, by a textbook loop, and against TextBrewer.

Known factors. TextBrewer has no relation loss, but its attention_ce of the scaled products
X Xᵀ / √d_r is this loss plus the teacher's entropy (row by row, as it leaves probability on
padded keys). The MiniLM papers sum over heads and tokens under 1 / (heads · tokens): factor 1.
"""

import math

import pytest
import torch
from drawn import TOKENS, normal
from textbrewer.losses import att_ce_loss
from torch import tensor

from kdlab.losses import relation

HEAD_COUNTS = [(2, 2), (3, 2), (1, 4)]  # the student's and the teacher's


def random_values(heads, width, seed):
    rows, tokens = TOKENS.shape
    return normal(rows, heads, tokens, width // heads, seed=seed) * 1.5


def vector(values, row, token):
    """The heads of one token side by side, as the model's value projection gives them."""
    return [x for head in range(values.shape[1]) for x in values[row, head, token].tolist()]


def softmax(scores):
    return [math.exp(x) / sum(math.exp(y) for y in scores) for x in scores]


def scores(values, row, query, valid, head, heads):
    """x · y / √d_r of one query with every valid key, in one relation head."""
    products = []
    for key in valid:
        x, y = vector(values, row, query), vector(values, row, key)
        width = len(x) // heads
        part = range(head * width, (head + 1) * width)
        products.append(sum(x[i] * y[i] for i in part) / math.sqrt(width))
    return products


def scaled(values, row, heads):
    """X Xᵀ / √d_r between the valid tokens of one row, [1, heads, n, n]."""
    tokens = [vector(values, row, i) for i in range(TOKENS.shape[1]) if TOKENS[row, i]]
    chunks = torch.stack(tensor(tokens, dtype=torch.float64).chunk(heads, dim=1))
    return torch.einsum("hid,hjd->hij", chunks, chunks)[None] / math.sqrt(chunks.shape[-1])


def test_by_hand():
    # Token 1 of the teacher is (a, a, 0, 0) with a² = ln 3, token 2 is zero. With one head of
    # d_r = 4 the relations of token 1 are (2 ln 3 / √4, 0) = (ln 3, 0): p = (3/4, 1/4). The
    # student's are all zero: q = (1/2, 1/2), KL = 0.130812. Token 2 has 0: mean 0.065406.
    a = math.sqrt(math.log(3))
    teacher = tensor([[[[a, a, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]])
    student, mask = torch.zeros(1, 1, 2, 4), tensor([[True, True]])
    loss = relation.kl(student, teacher, mask, relation_heads=1)
    assert loss.item() == pytest.approx(0.065406, abs=1e-6)


def test_relation_heads_by_hand():
    # As above with a² = ln 3 / √2 and two heads of d_r = 2: head 1 has 2a² / √2 = ln 3 and so
    # 0.130812 at token 1, head 2 has zero. Mean over 2 heads and 2 tokens: 0.032703.
    a = math.sqrt(math.log(3) / math.sqrt(2))
    teacher = tensor([[[[a, a, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]])
    student, mask = torch.zeros(1, 1, 2, 4), tensor([[True, True]])
    loss = relation.kl(student, teacher, mask, relation_heads=2)
    assert loss.item() == pytest.approx(0.032703, abs=1e-6)


@pytest.mark.parametrize("relation_heads", [None, 1, 2, 4])
@pytest.mark.parametrize(("student_heads", "teacher_heads"), HEAD_COUNTS)
def test_against_the_textbook(student_heads, teacher_heads, relation_heads):
    student = random_values(student_heads, 12, seed=0)
    teacher = random_values(teacher_heads, 8, seed=1)
    split = relation_heads or teacher_heads
    units = []
    for row in range(len(TOKENS)):
        valid = [i for i in range(TOKENS.shape[1]) if TOKENS[row, i]]
        for query in valid:
            total = 0.0
            for head in range(split):
                q = softmax(scores(student, row, query, valid, head, split))
                p = softmax(scores(teacher, row, query, valid, head, split))
                total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
            units.append(total / split)
    loss = relation.kl(student, teacher, TOKENS, relation_heads=relation_heads)
    assert loss.item() == pytest.approx(sum(units) / len(units), rel=1e-5)


@pytest.mark.parametrize("relation_heads", [1, 2, 4])
def test_it_is_textbrewers_attention_ce_of_relations_less_the_teachers_entropy(relation_heads):
    student, teacher = random_values(3, 12, seed=0), random_values(2, 8, seed=1)
    total = 0.0
    for row, count in enumerate(TOKENS.sum(1).tolist()):
        if count:
            ours, theirs = (scaled(x, row, relation_heads) for x in (student, teacher))
            # Without a mask TextBrewer drops negative scores; with ones it is the plain formula.
            ones = torch.ones(1, count)
            entropy = att_ce_loss(theirs, theirs, ones)
            total += count * (att_ce_loss(ours, theirs, ones) - entropy).item()
    loss = relation.kl(student, teacher, TOKENS, relation_heads=relation_heads)
    assert loss.item() == pytest.approx(total / TOKENS.sum().item(), rel=1e-5)


def test_no_relation_heads_are_the_teachers_own_number():
    student, teacher = random_values(2, 12, seed=0), random_values(4, 8, seed=1)
    own = relation.kl(student, teacher, TOKENS, relation_heads=None)
    assert own == relation.kl(student, teacher, TOKENS, relation_heads=4)
    assert own != relation.kl(student, teacher, TOKENS, relation_heads=2)


@pytest.mark.parametrize(("heads", "width"), [(5, 12), (3, 8)])
def test_relation_heads_that_do_not_divide_a_width_are_refused(heads, width):
    student, teacher = random_values(2, 12, seed=0), random_values(2, 8, seed=1)
    with pytest.raises(
        ValueError, match=f"relation_heads={heads} does not divide the width {width}"
    ):
        relation.kl(student, teacher, TOKENS, relation_heads=heads)
