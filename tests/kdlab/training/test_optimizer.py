"""The optimiser's step against AdamW and BertAdam by hand, in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kdlab.config.compose import compose
from kdlab.errors import BadInput
from kdlab.options.schema import Train
from kdlab.training import optimizer

SHAPES, UPDATES = ((3, 2), (2,), (4, 3)), 60
DECAYS = (0.1, 0.0, 0.3)  # by tensor
RATES = [0.0, 1e-2, 3e-2, *([2e-2] * 20), *np.linspace(2e-2, 0, UPDATES - 23)]


@pytest.fixture(scope="module")
def train() -> Train:
    return compose("knowledge=none").train


def drawn() -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    """Weights, and by update gradients whose sizes differ much, also by tensor."""
    random = np.random.default_rng(4)
    size = [10.0 ** random.uniform(-3, 1, len(SHAPES)) for _ in range(UPDATES)]
    gradients = [
        [s * random.normal(size=shape) for s, shape in zip(sizes, SHAPES, strict=True)]
        for sizes in size
    ]
    return [random.normal(size=shape) for shape in SHAPES], gradients


def clipped(gradients: list[np.ndarray], train: Train) -> list[np.ndarray]:
    if train.clip is None:
        return gradients
    norms = [np.sqrt(np.square(g).sum()) for g in gradients]
    if train.clip_scope == "model":
        norms = [np.sqrt(np.square(norms).sum())] * len(norms)
    return [g * min(1, train.clip / (n + 1e-6)) for g, n in zip(gradients, norms, strict=True)]


def by_hand(train: Train) -> list[np.ndarray]:
    weights, gradients = drawn()
    one, two = train.betas
    first, second = ([np.zeros(shape) for shape in SHAPES] for _ in range(2))
    for t, (rate, raw) in enumerate(zip(RATES, gradients, strict=True), start=1):
        for i, g in enumerate(clipped(raw, train)):
            first[i] = one * first[i] + (1 - one) * g
            second[i] = two * second[i] + (1 - two) * g * g
            m, v = first[i], second[i]
            if train.bias_correction:
                m, v = m / (1 - one**t), v / (1 - two**t)
            weights[i] = weights[i] - rate * (m / (np.sqrt(v) + train.eps) + DECAYS[i] * weights[i])
    return weights


def by_steps(train: Train) -> list[np.ndarray]:
    weights, gradients = drawn()
    parameters = [torch.nn.Parameter(torch.tensor(w)) for w in weights]
    groups = [
        {"params": [p], "weight_decay": decay} for p, decay in zip(parameters, DECAYS, strict=True)
    ]
    adamw = optimizer.adamw(groups, train)
    for t, (rate, own) in enumerate(zip(RATES, gradients, strict=True), start=1):
        for group, parameter, g in zip(adamw.param_groups, parameters, own, strict=True):
            group["lr"], parameter.grad = rate, torch.tensor(g)
        optimizer.step(adamw, train, t, torch.tensor(False))
        kept = [(g["lr"], g["eps"], g["weight_decay"]) for g in adamw.param_groups]
        assert kept == [(rate, train.eps, decay) for decay in DECAYS]
    return [p.detach().numpy() for p in parameters]


BERT = {"bias_correction": False, "eps": 1e-6, "clip_scope": "tensor"}


@pytest.mark.parametrize(
    "changed",
    [
        {}, BERT, {**BERT, "eps": 1e-2}, {**BERT, "betas": (0.8, 0.98)}, {**BERT, "clip": None},
        {"clip": None}, {"clip": 0.1}, {"clip": 0.1, "clip_scope": "tensor"},
        {"betas": (0.5, 0.9), "eps": 1e-3},
    ],
    ids=str,
)  # fmt: skip
def test_a_step_is_the_formulas(changed, train):
    train = replace(train, **changed)
    for one, other in zip(by_steps(train), by_hand(train), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_the_two_differ(train):
    one, other = by_hand(train), by_hand(replace(train, bias_correction=False))
    assert np.abs(one[0] - other[0]).max() > 1e-2


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("train.betas=[0.9,1.0]", "train.betas.1"), ("train.betas=[0.9]", "train.betas"),
        ("train.eps=0", "train.eps"), ("train.clip=0", "train.clip"),
        ("train.clip_scope=global", "train.clip_scope"),
    ],
)  # fmt: skip
def test_values_without_a_meaning_are_refused(override, key):
    with pytest.raises(BadInput, match=key.replace(".", r"\.")):
        compose("knowledge=none", override)


def test_a_skipped_step_leaves_weights_and_moments_and_later_ones_as_they_are(train):
    weight, other = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    skipping, plain = (optimizer.adamw([{"params": [p]}], train) for p in (weight, other))
    for t, (gradient, is_skipped) in enumerate([(1.0, False), (torch.nan, True), (2.0, False)], 1):
        weight.grad = torch.full((3,), gradient)
        optimizer.step(skipping, train, t, torch.tensor(is_skipped))
        if not is_skipped:
            other.grad = torch.full((3,), gradient)
            optimizer.step(plain, train, t, torch.tensor(False))
        assert torch.equal(weight, other)
    assert skipping.state_dict()["state"][0]["step"] == 2
