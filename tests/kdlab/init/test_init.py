"""Inits copy exactly the tensors they claim."""

import pytest
import torch
from composed import compose
from encoders import encoder, equal, parts, run, states
from transformers import AutoModel

import kdlab
from kdlab.config.option_files import options
from kdlab.encoders.architecture import Architecture
from kdlab.init import averaged, copied
from kdlab.models import saved_files
from kdlab.models.student import build_student

TEACHER = Architecture("bert", 12, 8, 2, 32)
STUDENT = Architecture("bert", 3, 8, 2, 32)
DEPTHS = [  # layers of the student and of the teacher, and which of the latter, by hand
    (copied.first, 6, 12, [1, 2, 3, 4, 5, 6]),
    (copied.first, 5, 12, [1, 2, 3, 4, 5]),
    (copied.first, 2, 4, [1, 2]),
    (copied.last, 6, 12, [7, 8, 9, 10, 11, 12]),
    (copied.last, 5, 12, [8, 9, 10, 11, 12]),
    (copied.last, 2, 4, [3, 4]),
    (copied.skip, 6, 12, [2, 4, 6, 8, 10, 12]),
    (copied.skip, 5, 12, [2, 5, 7, 10, 12]),
    (copied.skip, 3, 12, [4, 8, 12]),
    (copied.skip, 2, 4, [2, 4]),
    (copied.both_ends, 6, 12, [1, 3, 5, 8, 10, 12]),  # DistilBERT's 0, 2, 4, 7, 9, 11 from 0
    (copied.both_ends, 5, 12, [1, 4, 7, 9, 12]),
    (copied.both_ends, 3, 12, [1, 7, 12]),
    (copied.both_ends, 2, 4, [1, 4]),
    (copied.both_ends, 1, 12, [12]),
]
BLOCKS = [
    (6, 12, [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [11, 12]]),
    (5, 12, [[1, 2], [3, 4, 5], [6, 7], [8, 9, 10], [11, 12]]),
    (4, 10, [[1, 2, 3], [4, 5], [6, 7, 8], [9, 10]]),
    (2, 4, [[1, 2], [3, 4]]),
    (4, 4, [[1], [2], [3], [4]]),
]


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize(("init", "depth", "source", "expected"), DEPTHS)
def test_layers_are_the_sources(init, depth, source, expected, family):
    teacher = Architecture(family, source, 32, 2, 64)
    student = Architecture(family, depth, 32, 2, 64)
    model = encoder(teacher)
    weights = model.state_dict()
    for found in (
        init(weights, student, teacher),
        copied.custom(weights, student, teacher, layers=expected),
    ):
        assert equal(parts(found), parts(weights))
        for position, layer in enumerate(expected, start=1):
            assert equal(parts(found, position), parts(weights, layer))
        assert len(found) == len(parts(weights)) + depth * len(parts(weights, 1))
    after = states(student, found)
    before = run(model).hidden_states
    copies = [n for n, layer in enumerate(expected, start=1) if expected[:n] == [*range(1, n + 1)]]
    for layer in [0, *copies]:
        torch.testing.assert_close(after[layer], before[layer], rtol=0, atol=0)
    assert len(after) == depth + 1
    assert after[-1].isfinite().all()


@pytest.mark.parametrize(("depth", "source", "blocks"), BLOCKS)
def test_averages_are_of_the_blocks(depth, source, blocks):
    teacher, student = (Architecture("bert", n, 32, 2, 64) for n in (source, depth))
    model = encoder(teacher)
    weights = model.state_dict()
    found = averaged.average(weights, student, teacher)
    assert equal(parts(found), parts(weights))
    for position, block in enumerate(blocks, start=1):
        ours = parts(found, position)
        assert ours.keys() == parts(weights, 1).keys()
        for name, tensor in ours.items():
            mean = sum(parts(weights, layer)[name].double() for layer in block) / len(block)
            torch.testing.assert_close(tensor.double(), mean, rtol=0, atol=3e-7)
    assert states(student, found)[-1].isfinite().all()


def test_everything_and_nothing():
    weights = encoder(STUDENT).state_dict()
    assert equal(copied.everything(weights, STUDENT, STUDENT), weights)
    assert copied.nothing(weights, STUDENT, None) == {}
    with pytest.raises(ValueError, match="the student has 3 layers, the checkpoint 12"):
        copied.everything({}, STUDENT, TEACHER)


@pytest.mark.parametrize("init", [copied.first, copied.both_ends, averaged.average])
@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"hidden": 16}, "unequal hidden: the student has 16, the source 8"),
        ({"heads": 4}, "unequal heads"),
        ({"intermediate": 16}, "unequal intermediate"),
        ({"family": "roberta"}, "unequal family"),
        ({"layers": 13}, "13 student layers"),
    ],
)
def test_a_misfit_is_refused_by_name_without_any_weights(change, what, init):
    student = Architecture(**(STUDENT.__dict__ | change))
    with pytest.raises(ValueError, match=what):
        init({}, student, TEACHER)


@pytest.mark.parametrize(
    ("layers", "what"),
    [
        ([1, 2], "2 for a student of 3"),
        ([1, 2, 13], "each is one of 1 to 12"),
        ([0, 1, 2], "each is one of 1 to 12"),
        ([1, 2, 2], "none comes twice"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(layers, what):
    with pytest.raises(ValueError, match=what):
        copied.custom({}, STUDENT, TEACHER, layers=layers)
    assert copied.custom({}, STUDENT, TEACHER, layers=[12, 1, 5]) == {}


NARROW = ("teacher_slice", "teacher_weight_selection", "teacher_magnitude", "teacher_svd")
FROM_TEACHER = [name for name in options("init") if name.startswith("teacher_")]


@pytest.fixture(scope="module")
def trained(small, tmp_path_factory):
    """A student of every init of a teacher's weights, and where they and the teacher are."""
    root = str(tmp_path_factory.mktemp("runs"))
    runs = [
        compose(
            *small, f"init={name}", "init.weights=finetuned", "knowledge=hidden_mse",
            "matching=last1", "teacher.size=l4_h32_a2", "threads=1",
            *(["size=l2_h16_a1"] if name in NARROW else []),
            *(["init.layers=[3,1]"] if name == "teacher_custom" else []),
        )
        for name in FROM_TEACHER
    ]  # fmt: skip
    return root, runs, kdlab.distill(runs, root=root, save=True, threads=1)


def test_a_student_of_every_init_trains(trained):
    _, runs, records = trained
    assert {run.init.name for run in runs} == set(FROM_TEACHER)
    for record in records:
        assert record.result["status"] == "done"
        curve = record.result["curves"]["hidden_mse"]
        assert 0 < curve[-1] < 0.9 * curve[0]
    assert len({record.result["weights"] for record in records}) == len(runs)


def test_a_run_starts_from_what_its_init_takes_of_the_teacher(trained):
    from transformers import AutoTokenizer

    root, runs, _ = trained
    for run_ in runs:
        path = saved_files.folder(root, run_.teacher.uid)
        source = AutoModel.from_pretrained(path).state_dict()
        expected = run_.init.call.bind()(source, run_.student, run_.teacher.student)
        student = build_student(run_, AutoTokenizer.from_pretrained(path), root)
        assert equal(student.base_model.state_dict(), expected), run_.init.name
