"""BERT-EMD: the flow against a linear program, its marginals, and how the weights move.

The costs are what the term's loss would give for every pair of layers.
"""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import tensor

from kdlab.matching.inputs import MatchingInputs
from kdlab.matching.transport import FLOOR, EarthMover, reweighed


def seen(cost: torch.Tensor, step: int = 0) -> MatchingInputs:
    students, teachers = cost.shape
    return MatchingInputs(
        step,
        0,
        [torch.zeros(2, 3)] * students,
        [torch.zeros(2, 3)] * teachers,
        torch.ones(2, dtype=torch.bool),
        lambda i, j: cost[i, j],
    )


def random_cost(students: int, teachers: int, seed: int) -> torch.Tensor:
    return torch.rand(students, teachers, generator=torch.Generator().manual_seed(seed))


def programmed(students, teachers, cost) -> float:
    """The least total cost, by a linear program over all flows."""
    rows = np.kron(np.eye(len(students)), np.ones(len(teachers)))
    columns = np.kron(np.ones(len(students)), np.eye(len(teachers)))
    found = linprog(
        cost.double().numpy().ravel(),
        A_eq=np.vstack([rows, columns]),
        b_eq=np.concatenate([students, teachers]),
    )
    return float(found.fun)


@pytest.mark.parametrize("temperature", [None, 0.5, 1.0])
@pytest.mark.parametrize("depths", [(2, 3), (4, 4), (6, 12), (5, 12), (3, 2)])
def test_the_flow_is_the_linear_programs_and_keeps_its_marginals(depths, temperature):
    module = EarthMover(*depths, seed=0, temperature=temperature)
    for step in range(4):
        students, teachers = module.student_weights.clone(), module.teacher_weights.clone()
        cost = random_cost(*depths, seed=step)
        flow = module(seen(cost, step))
        assert flow.dtype == torch.float32
        assert flow.min() >= 0
        assert flow.sum().item() == pytest.approx(1.0, abs=1e-6)
        assert flow.sum(1).tolist() == pytest.approx(students.tolist(), abs=1e-6)
        assert flow.sum(0).tolist() == pytest.approx(teachers.tolist(), abs=1e-6)
        expected = programmed(students.numpy(), teachers.numpy(), cost)
        assert (flow * cost).sum().item() == pytest.approx(expected, abs=1e-6)


def test_the_flow_and_the_next_weights_by_hand():
    # Student layers have 1/2, teacher layers 1/3 each. Teacher layer 1 is cheap for student
    # layer 1, teacher layer 3 for student layer 2; teacher layer 2 is shared.
    cost = tensor([[1.0, 2.0, 9.0], [9.0, 2.0, 1.0]])
    module = EarthMover(2, 3, seed=0, temperature=1.0)
    flow = module(seen(cost))
    assert flow.tolist() == [
        pytest.approx([1 / 3, 1 / 6, 0]),
        pytest.approx([0, 1 / 6, 1 / 3]),
    ]
    # A student layer pays 1/3 + 2/6 for a weight of 1/2: both alike, so they stay at 1/2.
    assert module.student_weights.tolist() == pytest.approx([1 / 2, 1 / 2])
    # Unit costs of the teacher layers are 1, 2, 1; h = 4 / 1, 4 / 2, 4 / 1.
    powers = [math.exp(4), math.exp(2), math.exp(4)]
    assert module.teacher_weights.tolist() == pytest.approx([p / sum(powers) for p in powers])


@pytest.mark.parametrize(
    ("temperature", "expected"),
    # Unit costs 1, 1, 2: h = 4, 4, 2. Without softmax 0.4, 0.4, 0.2.
    [
        (None, [0.4, 0.4, 0.2]),
        (1.0, [1 / (2 + math.exp(-2)), 1 / (2 + math.exp(-2)), math.exp(-2) / (2 + math.exp(-2))]),
        (2.0, [1 / (2 + math.exp(-1)), 1 / (2 + math.exp(-1)), math.exp(-1) / (2 + math.exp(-1))]),
    ],
)
def test_weights_follow_unit_costs(temperature, expected):
    weights = torch.full((3,), 1 / 3, dtype=torch.float64)
    found = reweighed(weights, tensor([1.0, 1.0, 2.0], dtype=torch.float64), temperature)
    assert found.tolist() == pytest.approx(expected)


def test_no_layer_is_lost_and_costs_of_nothing_are_the_cheapest():
    half = tensor([0.5, 0.5], dtype=torch.float64)
    far = reweighed(half, tensor([1.0, 1e6], dtype=torch.float64), 1.0)
    assert far.tolist() == pytest.approx([1.0, FLOOR], rel=1e-5)
    free = reweighed(half, tensor([0.0, 1.0], dtype=torch.float64), None)
    assert free.tolist() == pytest.approx([1.0, FLOOR], rel=1e-5)
    assert reweighed(half, torch.zeros(2, dtype=torch.float64), 1.0) is half


def test_scaling_all_costs_changes_nothing():
    ones, tens = (EarthMover(3, 5, seed=0, temperature=1.0) for _ in range(2))
    for step in range(3):
        cost = random_cost(3, 5, step)
        assert torch.allclose(ones(seen(cost)), tens(seen(1024 * cost)))
    assert torch.allclose(ones.teacher_weights, tens.teacher_weights)


def test_the_gradient_goes_through_the_cost_alone():
    cost = random_cost(2, 3, 0).requires_grad_()
    flow = EarthMover(2, 3, seed=0, temperature=1.0)(seen(cost))
    (flow * cost).sum().backward()
    assert torch.equal(cost.grad, flow)


def test_a_cost_that_is_computed_once_keeps_its_gradient():
    leaf = torch.tensor(2.0, requires_grad=True)
    given = []

    def cost(i, j):
        given.append(leaf * (i + j + 1))
        return given[-1]

    EarthMover(2, 2, seed=0, temperature=1.0)(
        MatchingInputs(
            0, 0, [torch.zeros(1, 1)] * 2, [torch.zeros(1, 1)] * 2, torch.ones(1).bool(), cost
        )
    )
    assert len(given) == 4
    assert all(value.requires_grad for value in given)


def test_the_weights_are_in_the_state_and_go_on_from_there():
    whole = EarthMover(3, 4, seed=0, temperature=1.0)
    for step in range(3):
        whole(seen(random_cost(3, 4, step)))
    resumed = EarthMover(3, 4, seed=0, temperature=1.0)
    resumed.load_state_dict(whole.state_dict())
    for step in range(3, 6):
        cost = random_cost(3, 4, step)
        assert torch.equal(whole(seen(cost)), resumed(seen(cost)))
    assert torch.equal(whole.teacher_weights, resumed.teacher_weights)


def test_a_cost_that_is_not_finite_reaches_the_loss():
    cost = tensor([[1.0, float("nan")], [1.0, 2.0]])
    module = EarthMover(2, 2, seed=0, temperature=1.0)
    assert not (module(seen(cost)) * cost).sum().isfinite()
    assert module.teacher_weights.tolist() == [0.5, 0.5]
