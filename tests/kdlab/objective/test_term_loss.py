"""A term in training: its pairs, mixtures, projections and schedules."""

from dataclasses import replace

import pytest
import torch
from composed import compose
from torch import nn

from kdlab.config.rehearsal import _trace
from kdlab.errors import BadInput
from kdlab.objective.objective import Objective, task_loss
from kdlab.objective.term_loss import Moment, TermLoss
from kdlab.options.callables import Call
from kdlab.training.student_state import start

LABELS = torch.tensor([0, 1])
START = Moment(step=0, epoch=0, progress=0.0)
MIXED = ("size=l2_h64_a4", "knowledge=hidden_mse", "matching=custom")
EVERY = "matching.pairs=[[1,1],[1,2],[1,4],[2,1],[2,2],[2,4]]"
WEIGHTS = torch.tensor([[0.5, 0.0, 0.1], [0.2, 0.2, 0.0]])


class Fixed(nn.Module):
    """Weights that the test knows; it notes what it was shown."""

    def __init__(self, students: int, teachers: int, seed: int) -> None:
        super().__init__()
        self.shape = (students, teachers)

    def forward(self, inputs) -> torch.Tensor:
        self.inputs = inputs
        return WEIGHTS


class ByRow(Fixed):
    """Each row of the batch has weights of its own."""

    def forward(self, inputs) -> torch.Tensor:
        one = torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.25, 0.25]])
        return torch.stack([one, one.flip(1)])


def made(*overrides: str, **changed):
    run = compose(*overrides)
    term = run.terms[0]
    if changed:
        term = replace(term, matching=replace(term.matching, **changed))
    term_loss = TermLoss(term, run.student, run.teacher.student, run.seed)
    return term_loss, _trace(run.student, 2), _trace(run.teacher.student, 2)


def loss_of_logits(logits):
    return task_loss(logits, LABELS, "classification")


def square(one, other):
    return (one - other).square().mean()


def test_a_weighed_matching_mixes_losses():
    term_loss, student, teacher = made(
        *MIXED, EVERY, pair_weight=1.0, weigh=Call(f"{__name__}.Fixed", {})
    )
    expected = sum(
        WEIGHTS[i, j] * square(student.hidden[ours], teacher.hidden[theirs])
        for i, ours in enumerate((1, 2))
        for j, theirs in enumerate((1, 2, 4))
    )
    torch.testing.assert_close(term_loss(student, teacher, START, loss_of_logits), expected)
    inputs = term_loss.weigh.inputs
    assert term_loss.weigh.shape == (2, 3)
    assert torch.equal(inputs.teacher[2], teacher.hidden[4])
    assert inputs.cost(1, 0) == square(student.hidden[2], teacher.hidden[1])


def test_a_weighed_matching_mixes_the_teachers_features():
    call = Call(f"{__name__}.Fixed", {})
    term_loss, student, teacher = made(*MIXED, EVERY, pair_weight=1.0, weigh=call, mix="features")
    layers = [teacher.hidden[layer] for layer in (1, 2, 4)]
    expected = 0.0
    for i, ours in enumerate((1, 2)):
        mass = WEIGHTS[i].sum()
        mixture = sum(WEIGHTS[i, j] / mass * layers[j] for j in range(3))
        expected += mass * square(student.hidden[ours], mixture)
    torch.testing.assert_close(term_loss(student, teacher, START, loss_of_logits), expected)


def test_weights_may_differ_by_row():
    call = Call(f"{__name__}.ByRow", {})
    term_loss, student, teacher = made(*MIXED, EVERY, pair_weight=1.0, weigh=call, mix="features")
    one, two, four = (teacher.hidden[layer] for layer in (1, 2, 4))
    first = torch.stack([one[0], four[1]])
    second = torch.stack([(two[0] + four[0]) / 2, (one[1] + two[1]) / 2])
    expected = square(student.hidden[1], first) / 2 + square(student.hidden[2], second) / 2
    torch.testing.assert_close(term_loss(student, teacher, START, loss_of_logits), expected)


def test_fixed_pairs_mix_features_too():
    overrides = [*MIXED, "matching.pairs=[[1,1],[1,2],[2,4]]", "+matching.mix=features"]
    term_loss, student, teacher = made(*overrides)
    middle = (teacher.hidden[1] + teacher.hidden[2]) / 2
    expected = 2 / 3 * square(student.hidden[1], middle)
    expected += 1 / 3 * square(student.hidden[2], teacher.hidden[4])
    torch.testing.assert_close(term_loss(student, teacher, START, loss_of_logits), expected)


def test_one_layer_alone_is_no_mixture():
    pairs = "matching.pairs=[[1,1],[2,4]]"
    assert compose(*MIXED, pairs, "+matching.mix=features").uid == compose(*MIXED, pairs).uid


def test_projections_are_learned_where_widths_differ():
    narrow = ("size=l3_h48_a4", "knowledge=hidden_mse", "matching=skip")
    term_loss, _, _ = made(*narrow)
    assert sorted(term_loss.projections) == ["1", "2", "3"]
    assert term_loss.projections["1"].weight.shape == (64, 48)
    shared, student, teacher = made(*narrow, "+knowledge.hidden_mse.projection_shared=true")
    assert sorted(shared.projections) == ["shared"]
    shared(student, teacher, START, loss_of_logits).backward()
    assert shared.projections["shared"].weight.grad.norm() > 0
    equal = ("size=l3_h64_a4", "knowledge=hidden_mse", "matching=skip")
    assert not list(made(*equal)[0].parameters())
    assert len(made(*equal, "knowledge.hidden_mse.projection=always")[0].projections) == 3


def test_a_projection_has_a_random_stream_of_its_own():
    both = compose("size=l3_h48_a4", "knowledge=[cls_pkd,hidden_mse]")
    objective = Objective(both, both.teacher.student, steps=10)
    alone = made("size=l3_h48_a4", "knowledge=hidden_mse")[0]
    for name, projection in alone.projections.items():
        assert torch.equal(
            projection.weight, objective.terms["hidden_mse"].projections[name].weight
        )
        other = objective.terms["cls_pkd"].projections[name]
        assert not torch.equal(projection.weight, other.weight)


def test_projections_may_have_a_learning_rate_of_their_own():
    run = compose(
        "size=l3_h48_a4", "knowledge=[cls_pkd,hidden_mse]",
        "+knowledge.hidden_mse.projection_lr=0.5", "train.lr=1e-3", "train.warmup=0",
    )  # fmt: skip
    objective = Objective(run, run.teacher.student, steps=10)
    learner = start(run, nn.Linear(2, 2), objective, steps=10, scheduled=10, row_views=frozenset())
    rates = {
        id(parameter): group["lr"]
        for group in learner.optimizer.param_groups
        for parameter in group["params"]
    }
    assert {rates[id(p)] for p in objective.terms["hidden_mse"].parameters()} == {0.5}
    assert {rates[id(p)] for p in objective.terms["cls_pkd"].parameters()} == {1e-3}
    assert len(rates) == 2 + len(list(objective.parameters()))


RELATION, KL = "knowledge.value_relation", "knowledge.logits_kl"
SCHEDULE = f"+schedule@{KL}.schedules"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("knowledge=value_relation", f"+{RELATION}.projection=auto"), "hidden states"),
        (("knowledge=logits_kl", f"+{KL}.projection_lr=1"), "projection: none"),
        (("knowledge=logits_kl", f"{SCHEDULE}.k=decay"), "no such number; known: weight, temp"),
        (("knowledge=logits_kl", f"{SCHEDULE}.temperature=growth"), "at 0% of training=0.0"),
    ],
)
def test_what_would_do_nothing_or_fail_is_refused(overrides, message):
    with pytest.raises(BadInput, match=message):
        compose(*overrides)


def test_weights_follow_their_schedules():
    run = compose(
        "knowledge=logits_kl", "knowledge.logits_kl.weight=3", "hard.weight=2",
        "+schedule@knowledge.logits_kl.schedules.weight=growth",
        "+schedule@hard.schedules.weight=decay",
    )  # fmt: skip
    objective = Objective(run, run.teacher.student, steps=4)
    assert [objective.weights(step) for step in (0, 1, 2)] == [
        {"hard": 2.0, "logits_kl": 0.0},
        {"hard": 1.5, "logits_kl": 0.75},
        {"hard": 1.0, "logits_kl": 1.5},
    ]
    assert run.uid != compose(*run.overrides[:3]).uid


def test_a_knob_follows_its_schedule():
    base = ("knowledge=logits_kl", "knowledge.logits_kl.temperature=8")
    schedule = "+schedule@knowledge.logits_kl.schedules.temperature=stairs"
    term_loss, student, teacher = made(*base, schedule)
    halfway = term_loss(student, teacher, Moment(step=3, epoch=0, progress=0.49), loss_of_logits)
    same = made("knowledge=logits_kl", "knowledge.logits_kl.temperature=4")[0]
    assert halfway == same(student, teacher, START, loss_of_logits)


PSEUDO = ("size=l2_h48_a4", "knowledge=layer_logits_kl")


def test_layers_are_compared_by_what_they_say_of_the_classes():
    term_loss, student, teacher = made(*PSEUDO, "matching=skip")
    expected = 0.0
    for ours, theirs in ((1, 2), (2, 4)):
        log_q = term_loss.projections[str(ours)](student.hidden[ours][:, 0]).log_softmax(-1)
        log_p = term_loss.pseudo_classifiers[str(theirs)](teacher.hidden[theirs][:, 0]).log_softmax(
            -1
        )
        expected += (log_p.exp() * (log_p - log_q)).sum(-1).mean() / 2
    torch.testing.assert_close(term_loss(student, teacher, START, loss_of_logits), expected)


def test_the_teachers_maps_learn_from_labels_and_the_students_from_the_teacher():
    term_loss, student, teacher = made(*PSEUDO, "matching=alp_kd")
    term_loss(student, teacher, START, loss_of_logits).backward()
    lesson = sum(
        loss_of_logits(classifier(teacher.hidden[int(layer)][:, 0]))
        for layer, classifier in term_loss.pseudo_classifiers.items()
    )
    maps = list(term_loss.pseudo_classifiers.parameters())
    for parameter, gradient in zip(maps, torch.autograd.grad(lesson, maps), strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert all(p.grad.norm() > 0 for p in term_loss.projections.parameters())


@pytest.mark.parametrize(("epoch", "stair"), [(0, 1), (1, 1), (2, 2), (7, 4), (13, 7)])
def test_annealing_kd_raises_the_teachers_logits_in_seven_stairs_of_two_epochs(epoch, stair):
    term_loss, student, teacher = made("knowledge=logits_annealed_mse", "train.epochs=14")
    moment = Moment(step=epoch, epoch=epoch, progress=(epoch + 0.5) / 14)
    expected = square(student.logits, teacher.logits * stair / 7)
    assert term_loss(student, teacher, moment, loss_of_logits).item() == pytest.approx(
        expected.item()
    )
