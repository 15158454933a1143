"""CKA-optimal monotone matching: the similarity by its Gram form, the choice by brute force."""

from itertools import combinations

import pytest
import torch
from torch import tensor

from kdlab.matching.inputs import MatchingInputs
from kdlab.matching.similarity import MonotoneCka, rising, similarities


def seen(student, teacher, mask=None, step=0) -> MatchingInputs:
    mask = torch.ones(student[0].shape[:-1], dtype=torch.bool) if mask is None else mask
    return MatchingInputs(
        step, 0, student, teacher, mask, lambda i, j: pytest.fail("no cost is needed")
    )


def views(layers: int, *shape: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator) for _ in range(layers)]


def picked(weights: torch.Tensor) -> list[int]:
    assert torch.count_nonzero(weights) == len(weights)
    assert weights.sum().item() == pytest.approx(1.0)
    return weights.argmax(1).tolist()


def gram_cka(x: torch.Tensor, y: torch.Tensor) -> float:
    """HSIC of the centred Gram matrices, normalised."""
    n = len(x)
    centring = torch.eye(n, dtype=torch.float64) - 1 / n
    k, g = (centring @ (z.double() @ z.double().T) @ centring for z in (x, y))
    return float((k * g).sum() / (k.norm() * g.norm()))


def test_similarities_are_the_gram_form_of_linear_cka():
    student, teacher = views(2, 9, 4, seed=0), views(3, 9, 6, seed=1)
    found = similarities(seen(student, teacher))
    expected = [[gram_cka(s, t) for t in teacher] for s in student]
    assert found.tolist() == [pytest.approx(row) for row in expected]


def test_similarities_see_valid_tokens_only():
    mask = tensor([[True, True, False], [True, False, False], [True, True, True]])
    student, teacher = views(2, 3, 3, 4, seed=0), views(2, 3, 3, 4, seed=1)
    units = ([view[mask] for view in side] for side in (student, teacher))
    expected = similarities(seen(*units))
    for view in (*student, *teacher):
        view[~mask] = 100.0
    assert torch.allclose(similarities(seen(student, teacher, mask)), expected)


def test_similarity_is_one_for_a_rotated_scaled_copy_and_zero_for_what_does_not_vary():
    (states,) = views(1, 8, 4, seed=0)
    (other,) = views(1, 4, 4, seed=1)
    rotation = torch.linalg.qr(other).Q
    found = similarities(seen([states], [3 * states @ rotation, torch.ones(8, 4)]))
    assert found.tolist() == [pytest.approx([1.0, 0.0], abs=1e-6)]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 5), (3, 5), (4, 7), (5, 5), (6, 12)])
@pytest.mark.parametrize("seed", range(5))
def test_the_choice_is_the_best_of_all(shape, seed):
    scores = torch.rand(*shape, generator=torch.Generator().manual_seed(seed)).tolist()

    def total(columns):
        return sum(row[column] for row, column in zip(scores, columns, strict=True))

    best = max(combinations(range(shape[1]), shape[0]), key=total)
    assert rising(scores) == list(best)


def test_a_tie_goes_to_lower_layers():
    assert rising([[1.0, 1.0, 1.0, 1.0]] * 2) == [0, 1]


def test_a_student_of_copied_layers_finds_them():
    teacher = views(6, 10, 4, seed=0)
    module = MonotoneCka(3, 6, seed=0, steps=None)
    assert picked(module(seen([teacher[0], 2 * teacher[3], teacher[4]], teacher))) == [0, 3, 4]


def test_crossing_pairs_are_not_chosen():
    teacher = views(2, 10, 4, seed=0)
    module = MonotoneCka(2, 2, seed=0, steps=None)
    assert picked(module(seen(teacher[::-1], teacher))) == [0, 1]


def test_the_first_batch_decides_for_good_and_is_in_the_state():
    teacher = views(6, 10, 4, seed=0)
    module = MonotoneCka(2, 6, seed=0, steps=None)
    assert picked(module(seen([teacher[1], teacher[2]], teacher))) == [1, 2]
    resumed = MonotoneCka(2, 6, seed=0, steps=None)
    resumed.load_state_dict(module.state_dict())
    later = seen([teacher[4], teacher[5]], teacher, step=1)
    assert picked(module(later)) == picked(resumed(later)) == [1, 2]


def test_it_may_choose_anew_every_few_steps():
    teacher = views(6, 10, 4, seed=0)
    module = MonotoneCka(1, 6, seed=0, steps=3)
    chosen = [picked(module(seen([teacher[step % 6]], teacher, step=step))) for step in range(8)]
    assert chosen == [[0], [0], [0], [3], [3], [3], [0], [0]]
    resumed = MonotoneCka(1, 6, seed=0, steps=3)
    resumed.load_state_dict(module.state_dict())
    assert picked(resumed(seen([teacher[2]], teacher, step=8))) == [0]


def test_states_that_are_not_finite_are_left_to_the_loss():
    teacher = views(3, 10, 4, seed=0)
    broken = [torch.full((10, 4), float("nan"))] * 2
    assert picked(MonotoneCka(2, 3, seed=0, steps=None)(seen(broken, teacher))) == [0, 1]


def test_what_it_cannot_match_is_refused():
    with pytest.raises(ValueError, match="5 student layers are more than the teacher's 4"):
        MonotoneCka(5, 4, seed=0, steps=None)
    with pytest.raises(ValueError, match="states of rows or tokens, not at heads"):
        MonotoneCka(1, 1, seed=0, steps=None)(seen(*[[torch.zeros(2, 2, 3, 4)]] * 2))
