"""ALP-KD's attention over layers: by hand, by a loop in float64, and its gradient."""

import math

import pytest
import torch
from torch import tensor

from kdlab.matching.inputs import MatchingInputs
from kdlab.matching.layer_attention import LayerAttention


def seen(student, teacher) -> MatchingInputs:
    mask = torch.ones(student[0].shape[:-1], dtype=torch.bool)
    return MatchingInputs(
        0, 0, student, teacher, mask, lambda i, j: pytest.fail("no cost is needed")
    )


def views(layers: int, *shape: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator) for _ in range(layers)]


def attend(students, teachers, student, teacher, temperature=1.0):
    return LayerAttention(students, teachers, seed=0, temperature=temperature)(
        seen(student, teacher)
    )


def test_attention_by_hand():
    # Dot products of row 1: 0 and log 3, so 1/4 and 3/4; of row 2: 0 and 0, so 1/2 and 1/2.
    student = [tensor([[math.log(3), 0.0], [1.0, 0.0]])]
    teacher = [tensor([[0.0, 5.0], [0.0, 1.0]]), tensor([[1.0, 2.0], [0.0, 2.0]])]
    weights = attend(1, 2, student, teacher)
    assert weights[:, 0].tolist() == [pytest.approx([0.25, 0.75]), pytest.approx([0.5, 0.5])]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 8.0])
def test_attention_against_the_textbook(temperature):
    student, teacher = views(3, 4, 6, seed=0), views(5, 4, 6, seed=1)
    weights = attend(3, 5, student, teacher, temperature)
    assert weights.shape == (4, 3, 5)
    for row in range(4):
        for i in range(3):
            powers = [
                math.exp(sum((student[i][row] * t[row]).tolist()) / temperature) for t in teacher
            ]
            expected = [power / sum(powers) / 3 for power in powers]
            assert weights[row, i].tolist() == pytest.approx(expected, rel=1e-4)


def test_each_student_layer_has_an_equal_share_of_mass_one_in_every_row():
    weights = attend(3, 5, views(3, 4, 6, seed=0), views(5, 4, 6, seed=1))
    assert torch.allclose(weights.sum(-1), torch.full((4, 3), 1 / 3))


def test_tokens_are_attended_by_their_first():
    student, teacher = views(2, 3, 7, 6, seed=0), views(4, 3, 7, 6, seed=1)
    rows = attend(2, 4, [view[:, 0] for view in student], [view[:, 0] for view in teacher])
    assert torch.equal(attend(2, 4, student, teacher), rows)


def test_the_gradient_is_that_of_the_mixture_with_its_weights():
    """d/dh of ||h - sum_j a_j(h) t_j||^2, by finite differences in float64."""
    student = [view.double().requires_grad_() for view in views(1, 2, 3, seed=0)]
    teacher = [view.double() for view in views(4, 2, 3, seed=1)]

    def loss(state):
        weights = attend(1, 4, [state], teacher)[:, 0]
        mixture = (weights.T.unsqueeze(-1) * torch.stack(teacher)).sum(0)
        return (state - mixture).square().sum()

    def textbook(state):
        scores = torch.stack([(state * t).sum(-1) for t in teacher]).exp()
        mixture = sum(s.unsqueeze(-1) * t for s, t in zip(scores, teacher, strict=True))
        return (state - mixture / scores.sum(0).unsqueeze(-1)).square().sum()

    (found,) = torch.autograd.grad(loss(student[0]), student)
    state = student[0].detach()
    for place in [(0, 0), (0, 2), (1, 1)]:
        step = torch.zeros_like(state)
        step[place] = 1e-6
        expected = (textbook(state + step) - textbook(state - step)) / 2e-6
        assert found[place].item() == pytest.approx(expected.item(), rel=1e-6)


def test_heads_and_unequal_widths_are_refused():
    with pytest.raises(ValueError, match="states of rows or tokens, not at heads"):
        attend(1, 1, [torch.zeros(2, 2, 3, 4)], [torch.zeros(2, 2, 3, 4)])
    with pytest.raises(ValueError, match="equal widths, not 3 and 4; projection: auto"):
        attend(1, 1, [torch.zeros(2, 3)], [torch.zeros(2, 4)])
