"""What a recipe minimises is what its paper's code does: anew in float64, without padding."""

from dataclasses import replace

import numpy as np
import ot
import pytest
import torch
from composed import compose
from forward_passes import (
    HEADS,
    LABELS,
    STEPS,
    WIDTH,
    divergent,
    double,
    entropic,
    hard,
    log_softmax,
    mse,
    pair,
    tinybert_layers,
    trace,
    unit,
)

from kdlab.config.run_keys import keys
from kdlab.matching.random_draw import RandomDraw
from kdlab.models.trace import Trace
from kdlab.objective.objective import Objective

SMALL = ("teacher=scratch", f"teacher.size=l12_h{WIDTH}_a{HEADS}", "init=random")


def minimised(run, student: Trace, teacher: Trace, step: int = 0, labels=LABELS):
    """The weighted sum of a run's losses, and its objective."""
    source = run.teacher.student if run.teacher else run.student
    objective = Objective(run, source, STEPS)
    answers = torch.tensor(labels)
    total = objective.total(objective(student, teacher, answers, step), step)
    return total.item(), objective


def run_of(name: str, *own: str, layers: int = 6):
    return compose(f"recipe={name}", *SMALL, f"size=l{layers}_h{WIDTH}_a{HEADS}", *own)


@pytest.mark.parametrize("classes", [2, 3])
def test_kd_is_pkds_code_whatever_the_classes(classes):
    student, teacher = pair(classes)
    expected = 0.5 * hard(student) + 0.5 * 100 * divergent(student, teacher, 10).mean()
    found, _ = minimised(run_of("kd", f"task.classes={classes}"), student, teacher)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("width", [WIDTH, 2 * WIDTH])
@pytest.mark.parametrize(
    ("name", "layers"), [("pkd_skip", [2, 4, 6, 8, 10]), ("pkd_last", [7, 8, 9, 10, 11])]
)
def test_pkd_is_its_code_whatever_the_classes_and_the_width(name, layers, width, classes):
    student, teacher = trace(6, classes, width, seed=1), trace(12, classes, width, seed=2)
    states = [
        np.stack([unit(double(x.hidden[layer])[:, 0]) for layer in own], 1)
        for x, own in ((student, [1, 2, 3, 4, 5]), (teacher, layers))
    ]
    logits = 10**2 * divergent(student, teacher, 10).mean()
    expected = 0.5 * hard(student) + 0.5 * logits + 100 * mse(*states)
    wide = (f"teacher.size=l12_h{width}_a{HEADS}", f"size=l6_h{width}_a{HEADS}")
    found, _ = minimised(run_of(name, *wide, f"task.classes={classes}"), student, teacher)
    assert found == pytest.approx(expected, rel=1e-5)


def test_ckds_layers_and_logits_are_its_code():
    student, teacher = pair()
    run = run_of("ckd")
    objective = Objective(run, run.teacher.student, STEPS)
    losses = objective(student, teacher, torch.tensor(LABELS), 0)
    weights = objective.weights(0)
    ours, theirs = (
        np.stack([double(x.hidden[layer]) for layer in layers], 2).reshape(-1, 7, WIDTH)
        for x, layers in ((student, range(7)), (teacher, (0, 2, 4, 6, 8, 10, 12)))
    )
    off = ~np.eye(7, dtype=bool)
    total = 0.0
    for one, other in zip(ours, theirs, strict=True):
        cosines = [unit(x) @ unit(x).T for x in (one, other)]
        for i in range(7):
            log_q, log_p = (log_softmax(c[i][off[i]]) for c in cosines)
            total += (np.exp(log_p) * (log_p - log_q)).sum()
    pairs = 100 * total / (len(ours) * 49)
    found = weights["ckd_layer_pair"] * losses["ckd_layer_pair"].item()
    assert found == pytest.approx(pairs, rel=1e-5)
    angles = []
    for x in (ours, theirs):
        edges = x[:, None] - x[:, :, None]
        norms = np.linalg.norm(edges, axis=-1, keepdims=True)
        edges = edges / np.where(norms == 0, 1, norms)
        angles.append(edges @ edges.swapaxes(-1, -2))
    found = weights["ckd_layer_triple"] * losses["ckd_layer_triple"].item()
    assert found == pytest.approx(1000 * mse(*angles), rel=1e-4)
    found = weights["logits_ce"] * losses["logits_ce"].item()
    assert found == pytest.approx(0.9 * entropic(student, teacher, 4).sum(-1).mean(), rel=1e-5)
    assert weights["hard"] == 0.1


# Every twentieth of the lengths of SST-2's training rows, with [CLS] and [SEP].
SST2 = [3, 4, 5, 5, 6, 6, 7, 8, 9, 10, 11, 12, 13, 15, 17, 19, 22, 25, 30, 39]

PADDED, WINDOW, WIDE = 64, 21, 96


def word_relations(x: np.ndarray, tokens: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """By token of a padded row [t, d] its cosines to the others, and the angles in its window."""
    pairs, angles = [], []
    for j in range(tokens):
        others = [i for i in range(tokens) if i != j]
        pairs.append(unit(x[others]) @ unit(x[j]))
        # The code repeats the row's ends beyond them, and takes padding as tokens.
        near = np.clip(np.arange(j - WINDOW // 2, j + WINDOW // 2 + 1), 0, len(x) - 1)
        edges = x[j] - x[near]
        norms = np.linalg.norm(edges, axis=-1, keepdims=True)
        edges = edges / np.where(norms == 0, 1, norms)
        angles.append(edges @ edges.T)
    return pairs, angles


def test_ckds_words_weigh_as_its_code_does_on_rows_like_those_of_sst2():
    random = np.random.default_rng(8)
    ours, theirs = random.normal(size=(2, len(SST2), PADDED, WIDE))
    divergence = gaps = 0.0
    for one, other, tokens in zip(ours, theirs, SST2, strict=True):
        (pairs, angles), (taught, aims) = (word_relations(x, tokens) for x in (one, other))
        for x, y in zip(pairs, taught, strict=True):
            log_q, log_p = log_softmax(x), log_softmax(y)
            divergence += (np.exp(log_p) * (log_p - log_q)).sum()
        gaps += sum(np.square(x - y).sum() for x, y in zip(angles, aims, strict=True))
    expected = {
        "ckd_word_pair": 100 * divergence / np.square(SST2).sum(),
        "ckd_word_triple": 1000 * gaps / (sum(SST2) * WINDOW**2),
    }
    mask = torch.arange(PADDED) < torch.tensor(SST2)[:, None]
    for term in run_of("ckd").terms:
        if term.name in expected:
            loss = term.loss.bind()(torch.tensor(ours), torch.tensor(theirs), mask).item()
            found = term.weight * 7 / 6 * loss  # it has the embedding beside six layers
            assert found == pytest.approx(expected[term.name], rel=0.03), term.name


@pytest.mark.parametrize("depth", [6, 3])
def test_alp_kd_is_what_glmkds_readme_says(depth):
    student, teacher = pair(layers=depth)
    ours, theirs = (
        np.stack([double(x.hidden[layer])[:, 0] for layer in range(1, len(x.hidden))], 1)
        for x in (student, teacher)
    )
    attention = np.exp(log_softmax(ours @ theirs.swapaxes(1, 2)))
    layers = sum(mse(ours[:, i], (attention @ theirs)[:, i]) for i in range(depth))
    logits = entropic(student, teacher, 20).sum(-1).mean()
    found, _ = minimised(run_of("alp_kd", layers=depth), student, teacher)
    assert found == pytest.approx(0.1 * hard(student) + 0.7 * logits + 0.2 * layers, rel=1e-5)


@pytest.mark.parametrize("width", [384, 768, 1024])
@pytest.mark.parametrize("classes", [2, 3])
def test_pkd_differs_from_kd_in_the_patience_alone_and_in_itself_by_the_layers_alone(
    classes, width
):
    sizes = (f"teacher.size=l12_h{width}", f"size=l6_h{width}", f"task.classes={classes}")
    made = {
        name: compose(f"recipe={name}", *SMALL[:1], *SMALL[2:], *sizes)
        for name in ("kd", "pkd_skip", "pkd_last")
    }
    found = {name: keys(run) for name, run in made.items()}
    patience = {key for key in found["pkd_skip"] if key.startswith("knowledge.cls_pkd.")}
    assert patience
    assert {**found["kd"], **{key: found["pkd_skip"][key] for key in patience}} == found["pkd_skip"]
    assert found["pkd_skip"] == found["pkd_last"]
    skip, last = (made[name].terms for name in ("pkd_skip", "pkd_last"))
    assert skip != last
    paired = [replace(skip[0], matching=replace(skip[0].matching, pairs=last[0].matching.pairs))]
    assert [*paired, *skip[1:]] == list(last)


def test_rail_kd_is_a_third_of_each_and_the_sum_over_the_layers_drawn():
    student, teacher = pair()
    found, objective = minimised(run_of("rail_kd"), student, teacher)
    weigh = objective.terms["mean_pkd"].weigh
    assert isinstance(weigh, RandomDraw)
    drawn = [layer + 1 for layer in weigh._draw(0)]
    assert sorted(set(drawn)) == drawn
    layers = sum(
        np.square(
            unit(double(student.hidden[i]).mean(1)) - unit(double(teacher.hidden[j]).mean(1))
        ).sum(-1).mean()
        for i, j in zip(range(1, 6), drawn, strict=True)
    )  # fmt: skip
    logits = entropic(student, teacher, 10).sum(-1).mean()
    assert found == pytest.approx((hard(student) + logits + layers) / 3, rel=1e-5)


@pytest.mark.parametrize(("step", "stair"), [(0, 1), (9, 1), (11, 2), (69, 7)])
def test_annealing_kd_is_its_code(step, stair):
    student, teacher = pair()
    expected = mse(double(student.logits), double(teacher.logits) * stair / 7)
    found, _ = minimised(run_of("annealing_kd_logits"), student, teacher, step)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["pd", "born_again"])
def test_soft_labels_alone(name):
    student, teacher = pair()
    expected = entropic(student, teacher, 1).sum(-1).mean()
    assert minimised(run_of(name), student, teacher)[0] == pytest.approx(expected, rel=1e-5)


def reweighed(weights: np.ndarray, paid: np.ndarray) -> np.ndarray:
    """BERT-EMD's code since 2021: h / Σh of h = Σ unit costs / unit cost."""
    unit_costs = paid / weights
    return (cheapness := unit_costs.sum() / unit_costs) / cheapness.sum()


def test_bert_emd_is_its_code_at_the_first_two_steps():
    student, teacher = pair(layers=4)
    run = compose(
        "recipe=bert_emd", *SMALL, f"size=l4_h{WIDTH}_a{HEADS}", "init=random", "~init.run"
    )
    objective = Objective(run, run.teacher.student, STEPS)
    every = [(i, j) for i in range(1, 5) for j in range(1, 13)]
    embedding, *layers = tinybert_layers(student, teacher, objective, every)
    costs = [np.array([list(x.values())]).reshape(4, 12) for x in layers]
    logits = entropic(student, teacher, 1).mean()
    weights = [(np.full(4, 1 / 4), np.full(12, 1 / 12)) for _ in costs]
    for step in range(2):
        flows = [ot.emd(*own, cost) for own, cost in zip(weights, costs, strict=True)]
        paid = [flow * cost for flow, cost in zip(flows, costs, strict=True)]
        losses = objective(student, teacher, torch.tensor(LABELS), step)
        expected = 0.001 * (sum(x.sum() for x in paid) + embedding) + logits
        assert objective.total(losses, step).item() == pytest.approx(expected, rel=1e-5)
        weights = [
            (reweighed(own[0], x.sum(1)), reweighed(own[1], x.sum(0)))
            for own, x in zip(weights, paid, strict=True)
        ]


@pytest.mark.parametrize(("step", "weight"), [(0, 4), (35, 2.5)])
def test_fitnets_is_its_paper(step, weight):
    student, teacher = pair()
    run = run_of("fitnets", "~init.run")
    logits = entropic(student, teacher, 3).sum(-1).mean()
    found, _ = minimised(run, student, teacher, step)
    assert found == pytest.approx(hard(student) + weight * logits, rel=1e-5)
