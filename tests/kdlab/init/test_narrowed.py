"""Narrower students have the source's own numbers, at the units that each init says."""

import numpy as np
import pytest
import torch
from encoders import encoder, equal, fresh, parts, run, states

from kdlab.encoders.architecture import Architecture
from kdlab.init.narrowed import even_units, first_units, largest_units
from kdlab.init.projected import svd

SHAPES = [  # source, student: layers, width, heads, neurons
    ((4, 64, 4, 128), (2, 32, 2, 64)),
    ((4, 64, 4, 64), (4, 32, 2, 48)),  # as many neurons as units
    ((12, 96, 12, 384), (6, 48, 6, 192)),  # the ratios of BERT-base
    ((12, 96, 12, 384), (5, 64, 8, 384)),
    ((3, 48, 3, 96), (2, 32, 2, 64)),  # neither divides
    ((2, 32, 2, 96), (2, 32, 2, 40)),  # neurons only
]
FAMILIES = ["bert", "roberta", "electra", "distilbert"]
PARTS = ("query", "key", "value")
INITS = [first_units, even_units, largest_units, svd]


def pair(source, student, family="bert"):
    return Architecture(family, *source), Architecture(family, *student)


def numbers(weights) -> dict:
    return {name: tensor.double().numpy() for name, tensor in weights.items()}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("source", "student"), SHAPES)
def test_a_slice_is_the_first_units_of_every_dimension(source, student, family):
    source, student = pair(source, student, family)
    weights = encoder(source).state_dict()
    found = first_units(weights, student, source, layers="first")
    for name, wanted in fresh(student).state_dict().items():
        assert torch.equal(found[name], weights[name][tuple(map(slice, wanted.shape))]), name
    assert found.keys() == fresh(student).state_dict().keys()


def even(units: int, taken: int) -> np.ndarray:
    if units % taken == 0:
        return np.arange(taken) * (units // taken)
    return np.round(np.linspace(0, units - 1, taken)).astype(int)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("source", "student"), [*SHAPES, ((4, 64, 4, 128), (2, 32, 4, 96))])
def test_weight_selection_is_the_papers_rule_for_each_tensor(source, student, family):
    source, student = pair(source, student, family)
    weights = encoder(source).state_dict()
    found = even_units(weights, student, source, layers="first")
    for name, wanted in fresh(student).state_dict().items():
        grid = np.ix_(*map(even, weights[name].shape, wanted.shape))
        assert np.array_equal(found[name].numpy(), weights[name].numpy()[grid]), name


def test_the_even_grid_by_hand():
    source, student = pair((1, 12, 3, 7), (1, 8, 2, 3))
    weights = {"encoder.layer.0.intermediate.dense.weight": torch.arange(84.0).view(7, 12)}
    found = even_units(weights, student, source, layers="first")
    rows, columns = [0, 3, 6], [0, 2, 3, 5, 6, 8, 9, 11]
    expected = [[12.0 * row + column for column in columns] for row in rows]
    assert found["encoder.layer.0.intermediate.dense.weight"].tolist() == expected


def leading(scores: np.ndarray, count: int) -> np.ndarray:
    return np.sort(np.argsort(-scores)[:count])


def ranked(weights, source: Architecture, student: Architecture) -> dict:
    """BERT narrowed by norms, in numpy: `weights` are those of the student's layers."""
    on_stream = [name for name, tensor in weights.items() if tensor.ndim == 2]
    writers = [name for name in on_stream if name.endswith("output.dense.weight")]
    scores = np.zeros(source.hidden)
    for name in on_stream:
        squares = weights[name] ** 2 / (weights[name] ** 2).sum()
        scores += squares.sum(1 if name in writers else 0)
    stream = leading(scores, student.hidden)
    found = {}
    for name, tensor in weights.items():
        axis = 0 if name in writers or tensor.ndim == 1 or "pooler" in name else 1
        heads_or_neurons = tensor.ndim == 1 and name.endswith(
            ("query.bias", "key.bias", "value.bias", "intermediate.dense.bias")
        )
        found[name] = tensor if heads_or_neurons else tensor.take(stream, axis)
        if name == "pooler.dense.weight":
            found[name] = found[name].take(stream, 1)
    for layer in range(student.layers):
        at = f"encoder.layer.{layer}."
        query, key, value = (f"{at}attention.self.{part}" for part in PARTS)
        out, up, down = (
            f"{at}{part}"
            for part in ("attention.output.dense", "intermediate.dense", "output.dense")
        )
        width = source.hidden // source.heads
        cut = [slice(head * width, head * width + width) for head in range(source.heads)]
        writes = [
            np.linalg.norm(np.c_[found[f"{out}.weight"][:, own] @ found[f"{value}.weight"][own],
                                 found[f"{out}.weight"][:, own] @ found[f"{value}.bias"][own]])
            for own in cut
        ]  # fmt: skip
        units = np.concatenate(
            [np.arange(source.hidden)[cut[h]] for h in leading(np.array(writes), student.heads)]
        )
        for name in (query, key, value):
            found[f"{name}.weight"] = found[f"{name}.weight"][units]
            found[f"{name}.bias"] = found[f"{name}.bias"][units]
        found[f"{out}.weight"] = found[f"{out}.weight"][:, units]
        reads = (found[f"{up}.weight"] ** 2).sum(1) + found[f"{up}.bias"] ** 2
        neurons = leading(reads * (found[f"{down}.weight"] ** 2).sum(0), student.intermediate)
        found[f"{up}.weight"] = found[f"{up}.weight"][neurons]
        found[f"{up}.bias"] = found[f"{up}.bias"][neurons]
        found[f"{down}.weight"] = found[f"{down}.weight"][:, neurons]
    return found


@pytest.mark.parametrize(("source", "student"), SHAPES)
def test_the_largest_units_are_those_of_an_independent_ranking(source, student):
    source, student = pair(source, student)
    weights = encoder(source).state_dict()
    found = largest_units(weights, student, source, layers="first")
    kept = {n: w for n, w in weights.items() if n in fresh(student).state_dict()}
    expected = ranked(numbers(kept), source, student)
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert np.array_equal(tensor.double().numpy(), expected[name]), name


def strewn(weights, small: Architecture, large: Architecture):
    """The encoder with dead units, heads and neurons at random places between its own."""
    draw = torch.Generator().manual_seed(3)

    def places(few: int, many: int) -> torch.Tensor:
        return torch.randperm(many, generator=draw)[:few].sort().values

    stream = places(small.hidden, large.hidden)
    width = small.hidden // small.heads
    wide = {}
    for name, wanted in fresh(large).state_dict().items():
        if name.endswith("query.weight"):  # the first of a layer
            chosen = places(small.heads, large.heads)
            heads = (chosen[:, None] * width + torch.arange(width)).flatten()
            neurons = places(small.intermediate, large.intermediate)
        rows = columns = stream
        if name.split(".")[-2] in PARTS:
            rows = heads
        if name.endswith("attention.output.dense.weight"):
            columns = heads
        if ".intermediate." in name:
            rows = neurons
        if name.endswith("output.dense.weight") and "attention" not in name:
            columns = neurons
        if "_embeddings" in name:
            rows = torch.arange(len(wanted))
        wide[name] = torch.zeros_like(wanted)
        if wanted.ndim == 1:
            wide[name][rows] = weights[name]
        else:
            wide[name][rows[:, None], columns] = weights[name]
    return wide


def test_dead_units_heads_and_neurons_are_left_out():
    large, small = pair((3, 64, 8, 128), (3, 24, 3, 40))
    weights = encoder(small).state_dict()
    wide = strewn(weights, small, large)
    assert equal(largest_units(wide, small, large, layers="skip"), weights)
    assert not equal(first_units(wide, small, large, layers="skip"), weights)


def test_outputs_stay_when_only_dead_neurons_go():
    large, small = pair((3, 32, 2, 128), (3, 32, 2, 40))
    model = encoder(large)
    weights = strewn(encoder(small).state_dict(), small, large)
    model.load_state_dict(weights)
    after = states(small, largest_units(weights, small, large, layers="skip"))
    for ours, theirs in zip(after, run(model).hidden_states, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize(
    ("rule", "expected"),
    [("first", [1, 2, 3]), ("last", [4, 5, 6]), ("skip", [2, 4, 6]), ([5, 1, 2], [5, 1, 2]),
     ("both_ends", [1, 4, 6])],
)  # fmt: skip
def test_the_layers_are_those_of_the_rule(init, rule, expected):
    source, student = pair((6, 32, 4, 64), (3, 16, 2, 32))
    weights = encoder(source).state_dict()
    for name in weights:  # so that every unit of a layer tells which it is
        if name.endswith("intermediate.dense.bias"):
            weights[name] = torch.full((64,), float(name.split(".")[2]) + 1)
    found = init(weights, student, source, layers=rule)
    biases = [parts(found, layer)[".intermediate.dense.bias"] for layer in (1, 2, 3)]
    assert [bias.unique().tolist() for bias in biases] == [[layer] for layer in expected]


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("source", "student"), SHAPES)
def test_every_narrowed_student_runs(init, source, student, family):
    source, student = pair(source, student, family)
    weights = encoder(source).state_dict()
    found = init(weights, student, source, layers="skip")
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    after = states(student, found)
    assert [state.shape[-1] for state in after] == [student.hidden] * (student.layers + 1)
    assert after[-1].isfinite().all()
    assert equal(weights, encoder(source).state_dict())  # the source is left as it was


@pytest.mark.parametrize("init", INITS)
def test_a_student_of_the_sources_size_is_a_copy(init):
    shape = Architecture("bert", 3, 32, 2, 64)
    weights = encoder(shape).state_dict()
    assert equal(init(weights, shape, shape, layers="skip"), weights)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"hidden": 128, "heads": 8}, "larger hidden: the student has 128, the source 64"),
        ({"intermediate": 129}, "larger intermediate"),
        ({"family": "roberta"}, "unequal family"),
        ({"layers": 5}, "5 student layers are more than the source's 4"),
        ({"hidden": 48, "heads": 2}, "width"),
        ({"hidden": 40, "heads": 5}, "unequal width of heads|larger heads"),
    ],
)
def test_a_misfit_is_refused_by_name_without_any_weights(init, change, what):
    source = Architecture("bert", 4, 64, 4, 128)
    student = Architecture(**(source.__dict__ | change))
    with pytest.raises(ValueError, match=what):
        init({}, student, source, layers="skip")


@pytest.mark.parametrize("init", INITS)
def test_an_unknown_family_and_an_unknown_tensor_are_refused(init):
    shape = Architecture("modernbert", 2, 32, 2, 64)
    with pytest.raises(ValueError, match="knows the tensors of bert, .* not of modernbert"):
        init({}, shape, shape, layers="skip")
    shape = Architecture("bert", 2, 32, 2, 64)
    with pytest.raises(ValueError, match="no rule for the tensor encoder.adapter.weight"):
        init({"encoder.adapter.weight": torch.zeros(32, 32)}, shape, shape, layers="skip")


DISTILBERT = {
    "encoder.layer": "transformer.layer", "self.query": "q_lin", "self.key": "k_lin",
    "self.value": "v_lin", "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm", "intermediate.dense": "ffn.lin1",
    ".output.dense": ".ffn.lin2", ".output.LayerNorm": ".output_layer_norm",
}  # fmt: skip


@pytest.mark.parametrize("init", INITS)
def test_distilberts_names_mean_what_berts_mean(init):
    def renamed(weights):
        found = {}
        for name, tensor in weights.items():
            for theirs, ours in DISTILBERT.items():
                name = name.replace(theirs, ours)
            found[name] = tensor
        return found

    source, student = pair((4, 64, 4, 128), (2, 32, 2, 64))
    weights = encoder(source).state_dict()
    weights = {n: w for n, w in weights.items() if "pooler" not in n and "token_type" not in n}
    expected = renamed(init(weights, student, source, layers="skip"))
    source, student = pair((4, 64, 4, 128), (2, 32, 2, 64), "distilbert")
    assert renamed(weights).keys() == fresh(source).state_dict().keys()
    assert equal(init(renamed(weights), student, source, layers="skip"), expected)


@pytest.mark.parametrize("init", INITS)
def test_embeddings_of_a_width_of_their_own_stay(init):
    source, student = pair((4, 64, 4, 128), (2, 32, 2, 64), "electra")
    weights = encoder(source).state_dict()
    found = init(weights, student, source, layers="skip")
    own = {name for name in weights if name.startswith("embeddings.")}
    assert all(weights[name].shape[-1] == 128 for name in own)
    assert equal({n: found[n] for n in own}, {n: weights[n] for n in own})
    assert found["embeddings_project.weight"].shape == (32, 128)
