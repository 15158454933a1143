"""RAIL-KD's draws: when they change, what they may be, and that nothing needs to be kept."""

from collections import Counter

import pytest
import torch

from kdlab.matching.inputs import MatchingInputs
from kdlab.matching.random_draw import RandomDraw


def weights(module: RandomDraw, step: int, epoch: int) -> torch.Tensor:
    return module(
        MatchingInputs(
            step, epoch, [], [], torch.ones(1, dtype=torch.bool), lambda i, j: pytest.fail("cost")
        )
    )


def drawn(module: RandomDraw, step: int, epoch: int) -> list[int]:
    found = weights(module, step, epoch)
    assert torch.count_nonzero(found) == len(found)
    assert found.sum().item() == pytest.approx(1.0)
    assert found.max().item() == pytest.approx(1 / len(found))
    return found.argmax(1).tolist()


def test_a_draw_is_distinct_rising_and_even():
    module = RandomDraw(3, 6, seed=0, steps=1)
    draws = [drawn(module, step, 0) for step in range(2000)]
    assert all(sorted(set(draw)) == draw for draw in draws)
    counts = Counter(tuple(draw) for draw in draws)
    assert len(counts) == 20  # of 6 choose 3
    assert min(counts.values()) > 60  # 100 on average


def test_a_draw_lasts_for_an_epoch():
    module = RandomDraw(5, 11, seed=0, steps=None)
    draws = [drawn(module, step, step // 10) for step in range(100)]
    assert all(draws[step] == draws[10 * (step // 10)] for step in range(100))
    assert len({tuple(draw) for draw in draws}) > 5


def test_a_draw_lasts_for_some_steps():
    module = RandomDraw(5, 11, seed=0, steps=7)
    draws = [drawn(module, step, 0) for step in range(70)]
    assert all(draws[step] == draws[7 * (step // 7)] for step in range(70))
    assert len({tuple(draw) for draw in draws}) > 5


def test_draws_depend_on_seed_and_period_alone():
    module, fresh = (RandomDraw(5, 11, seed=3, steps=2) for _ in range(2))
    before = [drawn(module, step, 0) for step in range(20)]
    assert not module.state_dict()
    assert drawn(fresh, 14, 5) == before[14]  # as a run that resumes there
    other = RandomDraw(5, 11, seed=4, steps=2)
    assert [drawn(other, step, 0) for step in range(20)] != before


def test_more_student_layers_than_candidates_are_refused():
    with pytest.raises(ValueError, match="5 student layers are more than the teacher's 4"):
        RandomDraw(5, 4, seed=0, steps=None)
