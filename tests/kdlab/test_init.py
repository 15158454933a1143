"""Inits copy exactly the tensors they claim."""

import pytest
import torch

from kdlab.architecture import Architecture
from kdlab.init import copied

TEACHER = Architecture("bert", 12, 8, 2, 32)
STUDENT = Architecture("bert", 3, 8, 2, 32)
WEIGHTS = {"embeddings.word_embeddings.weight": torch.tensor([-1.0])} | {
    f"encoder.layer.{i}.output.dense.weight": torch.tensor([float(i + 1)]) for i in range(12)
}


@pytest.mark.parametrize(
    ("init", "expected"),
    [(copied.first, [1, 2, 3]), (copied.last, [10, 11, 12]), (copied.skip, [4, 8, 12])],
)
def test_layers_are_the_sources(init, expected):
    found = init(WEIGHTS, STUDENT, TEACHER)
    layers = [float(found[f"encoder.layer.{i}.output.dense.weight"]) for i in range(3)]
    assert layers == expected
    assert float(found["embeddings.word_embeddings.weight"]) == -1.0
    assert len(found) == 4


def test_everything_and_nothing():
    assert copied.everything(WEIGHTS, TEACHER, TEACHER) == WEIGHTS
    assert copied.nothing(WEIGHTS, STUDENT, None) == {}
    with pytest.raises(ValueError, match="the student has 3 layers, the checkpoint 12"):
        copied.everything({}, STUDENT, TEACHER)


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
def test_a_misfit_is_refused_by_name_without_any_weights(change, what):
    student = Architecture(**(STUDENT.__dict__ | change))
    with pytest.raises(ValueError, match=what):
        copied.first({}, student, TEACHER)
