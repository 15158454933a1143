"""Functions that somebody adds: a misfit, a mistake and a wrong signature are three things."""

import shutil

import pytest
import torch

from kdlab.config import option_files
from kdlab.config.compose import compose
from kdlab.errors import BadInput, Misfit, NotApplicable
from kdlab.options import callables

HEADS = {
    "knowledge": "# @package knowledge.mine\nview: kdlab.objective.views.tokens\nweight: 1.0\n"
                 "min_classes: 1\nprojection: auto\n",
    "matching": "mass: one\n",
    "init": "weights: none\n",
    "shape": "",
}  # fmt: skip
CHOSEN = {
    "knowledge": ("knowledge=mine",),
    "matching": ("knowledge=hidden_mse", "matching=mine"),
    "init": ("init=mine",),
    "shape": ("shape=mine", "knowledge=none"),
}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Adds an option to a copy of conf/ and composes a run with it."""
    shutil.copytree(option_files.CONF, tmp_path / "conf")
    monkeypatch.setattr(option_files, "CONF", tmp_path / "conf")

    def composed(group: str, target: str, **replaced: str):
        text = HEADS[group]
        for key, value in replaced.items():
            text = text.replace(key, value)
        path = tmp_path / "conf" / group / "mine.yaml"
        path.write_text(f"{text}name: mine\n_target_: {__name__}.{target}\n")
        return compose(*CHOSEN[group])

    return composed


def misfit(*args):
    raise Misfit("these do not go together")


def mistake(*args):
    raise ValueError("a slip")


def broken(student, teacher, mask):
    return student @ teacher.new_zeros(7, 7)


def loss_of_two(student, teacher):
    return (student - teacher).square().mean()


def not_finite(student, teacher, mask):
    return student.sum() * float("nan")


def of_the_teacher(student, teacher, mask):
    return teacher.square().mean()


def heavy(student, teacher, mask, *, weight: float):
    return weight * student.mean()


def view_of_three(trace, layer, row):
    return trace.hidden[layer], trace.mask


def nothing(*args):
    return None


def beyond(student_layers, teacher_layers, random):
    return [(1, teacher_layers + 1)]


def of_one(weights):
    return {}


@pytest.mark.parametrize("group", CHOSEN)
def test_a_misfit_leaves_a_run_out_and_a_mistake_stops_with_its_traceback(own, group):
    with pytest.raises(NotApplicable, match="mine: these do not go together"):
        own(group, "misfit")
    with pytest.raises(ValueError, match="a slip") as error:
        own(group, "mistake")
    assert not isinstance(error.value, BadInput)
    assert callables.is_mistake(error.value)
    assert f"{__name__}.mistake" in error.value.__notes__[0]
    assert error.traceback[-1].name == "mistake"


def test_an_error_of_torch_in_a_loss_is_its_own(own):
    with pytest.raises(RuntimeError) as error:
        own("knowledge", "broken")
    assert callables.is_mistake(error.value)


@pytest.mark.parametrize(
    ("group", "target", "line"),
    [
        ("knowledge", "loss_of_two", "knowledge.mine: {}.loss_of_two takes (student, teacher), and "
         "is called as (student, teacher, mask, *, its knobs): too many positional arguments"),
        ("knowledge", "not_finite", "knowledge.mine: {}.not_finite gives tensor(nan"),
        ("knowledge", "of_the_teacher", "{}.of_the_teacher does not depend on the student"),
        ("knowledge", "heavy", "a knob of {}.heavy is called weight, as a key of the group"),
        ("matching", "of_one", "matching: {}.of_one takes (weights), and is called as "
         "(student_layers, teacher_layers, random, *, its knobs)"),
        ("matching", "nothing", "matching=mine: {}.nothing gives None: a matching gives a list"),
        ("matching", "beyond", "matching=mine: {}.beyond gives [(1, 5)]: a matching gives a list"),
        ("init", "of_one", "init: {}.of_one takes (weights), and is called as (weights, student,"),
        ("shape", "of_one", "shape: {}.of_one takes (weights), and is called as (layers, hidden,"),
    ],
)  # fmt: skip
def test_a_function_that_is_none_of_its_shelf_is_one_line(own, group, target, line):
    with pytest.raises(BadInput) as error:
        own(group, target)
    assert line.format(__name__) in str(error.value)
    assert "\n" not in str(error.value)
    assert not isinstance(error.value, NotApplicable)


def test_a_view_of_another_signature_is_one_line(own):
    with pytest.raises(BadInput, match=r"knowledge\.mine\.view: .*view_of_three takes"):
        own(
            "knowledge",
            "of_the_teacher",
            **{"kdlab.objective.views.tokens": f"{__name__}.view_of_three"},
        )


def test_what_is_right_trains(own):
    assert own("knowledge", "right").terms[0].loss.target == f"{__name__}.right"


def right(student, teacher, mask):
    return torch.nn.functional.mse_loss(student, teacher)
