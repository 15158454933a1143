"""The init by singular values finds a small encoder in a wide one, and is the best of its rank."""

import math

import pytest
import torch
from encoders import encoder, equal, fresh, run

from kdlab.encoders.architecture import Architecture
from kdlab.init import importance
from kdlab.init.approximation import basis, factors
from kdlab.init.projected import svd

EXACT = {"rtol": 0, "atol": 1e-9}
SHAPES = [  # wide, small: layers, width, heads, neurons
    ((3, 48, 4, 64), (3, 32, 4, 64)),  # narrower heads
    ((3, 48, 6, 64), (3, 32, 4, 64)),  # fewer heads
    ((2, 60, 6, 96), (2, 24, 4, 40)),  # fewer and narrower heads, fewer neurons
]


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def rotation(rows: int, columns: int) -> torch.Tensor:
    return torch.linalg.qr(normal(rows, columns))[0]


def centred(width: int) -> torch.Tensor:
    """Any orthonormal basis [width, width - 1] of the vectors whose mean is 0."""
    start = torch.cat([torch.ones(width, 1, dtype=torch.float64), normal(width, width - 1)], 1)
    return torch.linalg.qr(start)[0][:, 1:]


def tilted(wide: int, small: int) -> torch.Tensor:
    """Orthonormal columns [wide, small] that take the mean's direction to itself, else random."""
    mean = torch.full((wide, small), 1 / math.sqrt(wide * small), dtype=torch.float64)
    return mean + centred(wide) @ rotation(wide - 1, small - 1) @ centred(small).T


def even_norms(model):
    """One γ for all units of a LayerNorm."""
    for name, tensor in model.state_dict().items():
        if name.endswith("LayerNorm.weight"):
            tensor.fill_(float(tensor[0]))
    return model.double()


def hidden(weights, small: Architecture, large: Architecture):
    """BERT's weights for the large shape that do what the small ones do.

    The stream is tilted, heads are recoded in a wider space, dead heads and neurons are strewn in.
    """
    torch.manual_seed(5)
    tilt, scale = tilted(large.hidden, small.hidden), math.sqrt(small.hidden / large.hidden)
    narrow, width = small.hidden // small.heads, large.hidden // large.heads
    wide = {}
    for name, tensor in weights.items():
        if name.endswith("LayerNorm.weight"):
            wide[name] = torch.full((large.hidden,), float(tensor[0]), dtype=torch.float64)
        elif name.endswith(("LayerNorm.bias", "output.dense.bias")):
            wide[name] = tilt @ tensor / scale
        elif name.endswith("_embeddings.weight"):
            wide[name] = tensor @ tilt.T / scale
        elif name.endswith("output.dense.weight"):
            wide[name] = tilt @ tensor / scale
        elif name.startswith("pooler") or tensor.ndim == 1:
            wide[name] = tensor
        else:
            wide[name] = scale * tensor @ tilt.T
    pooled = large.hidden - small.hidden
    more = scale * normal(pooled, small.hidden) @ tilt.T
    wide["pooler.dense.weight"] = torch.cat([scale * wide["pooler.dense.weight"] @ tilt.T, more])
    wide["pooler.dense.bias"] = torch.cat([wide["pooler.dense.bias"], normal(pooled)])
    for layer in range(small.layers):
        at = f"encoder.layer.{layer}."
        heads = torch.randperm(large.heads)[: small.heads].sort().values.tolist()
        recode_heads(wide, f"{at}attention.", heads, large.heads, narrow, width)
        neurons = torch.randperm(large.intermediate)[: small.intermediate].sort().values
        up, down = wide[f"{at}intermediate.dense.weight"], wide[f"{at}output.dense.weight"]
        bias = wide[f"{at}intermediate.dense.bias"]
        wide[f"{at}intermediate.dense.weight"] = normal(large.intermediate, large.hidden)
        wide[f"{at}intermediate.dense.weight"][neurons] = up
        # What is dead must lie in the space too, or the space would not be the small encoder's.
        dead = [n for n in range(large.intermediate) if n not in neurons]
        wide[f"{at}intermediate.dense.weight"][dead] = normal(len(dead), small.hidden) @ tilt.T
        wide[f"{at}intermediate.dense.bias"] = normal(large.intermediate)
        wide[f"{at}intermediate.dense.bias"][neurons] = bias
        wide[f"{at}output.dense.weight"] = down.new_zeros(large.hidden, large.intermediate)
        wide[f"{at}output.dense.weight"][:, neurons] = down
    return wide, tilt, scale


def recode_heads(wide, at: str, heads: list[int], count: int, narrow: int, width: int) -> None:
    """Heads of `width` with the attention and the output of those of width `narrow`."""
    names = [f"{at}self.{part}" for part in ("query", "key", "value")]
    old = {name: (wide[f"{name}.weight"], wide[f"{name}.bias"]) for name in names}
    before, stream = wide[f"{at}output.dense.weight"], wide[f"{at}output.dense.weight"].shape[0]
    out = before.new_zeros(stream, count * width)
    new = {name: (before.new_zeros(count * width, stream), before.new_zeros(count * width))
           for name in names}  # fmt: skip
    for position, head in enumerate(heads):
        own = slice(position * narrow, position * narrow + narrow)
        rows = slice(head * width, head * width + width)
        one, other = normal(narrow, narrow), normal(narrow, narrow)
        space, values = rotation(width, narrow), rotation(width, narrow)
        grow = (width / narrow) ** 0.25
        codes = (grow * space @ one, grow * space @ torch.linalg.inv(one).T, values @ other)
        for name, code in zip(names, codes, strict=True):
            weight, bias = old[name]
            new[name][0][rows], new[name][1][rows] = code @ weight[own], code @ bias[own]
        out[:, rows] = before[:, own] @ torch.linalg.inv(other) @ values.T
    for name in names:
        wide[f"{name}.weight"], wide[f"{name}.bias"] = new[name]
    wide[f"{at}output.dense.weight"] = out


def loaded(shape: Architecture, weights):
    model = fresh(shape).double()
    model.load_state_dict(weights)
    return model


@pytest.mark.parametrize(("large", "small"), SHAPES)
def test_a_small_encoder_hidden_in_a_wide_one_is_found(large, small):
    large, small = Architecture("bert", *large), Architecture("bert", *small)
    source = even_norms(encoder(small))
    wide, tilt, scale = hidden(source.state_dict(), small, large)
    before, teacher = run(source), run(loaded(large, wide))
    for one, other in zip(before.hidden_states, teacher.hidden_states, strict=True):
        torch.testing.assert_close(one, scale * other @ tilt, **EXACT)  # the hiding place is right
    student = run(loaded(small, svd(wide, small, large, layers="first")))
    space = basis(importance.moment(wide, large.hidden), small.hidden)
    torch.testing.assert_close(space @ space.T, tilt @ tilt.T, **EXACT)
    for ours, theirs in zip(student.hidden_states, teacher.hidden_states, strict=True):
        torch.testing.assert_close(ours, scale * theirs @ space, **EXACT)
    for ours, theirs in zip(student.attentions, before.attentions, strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)
    first = teacher.pooler_output[:, : small.hidden]
    torch.testing.assert_close(student.pooler_output, first, **EXACT)


def without_mean(matrix: torch.Tensor) -> torch.Tensor:
    return matrix - matrix.mean(1, keepdim=True)


def stacked(weights) -> torch.Tensor:
    """BERT's matrices on the stream, each of norm 1, one upon another."""
    rows = [w.T if n.endswith("output.dense.weight") else w for n, w in weights.items()
            if w.ndim == 2]  # fmt: skip
    return torch.cat([matrix.double() / matrix.double().norm() for matrix in rows])


@pytest.mark.parametrize("width", [32, 40, 63])
def test_the_basis_is_the_best_of_its_rank(width):
    weights = encoder(Architecture("bert", 2, 64, 4, 96)).state_dict()
    stack = stacked(weights)
    found = basis(importance.moment(weights, 64), width)
    torch.testing.assert_close(found.T @ found, torch.eye(width, dtype=torch.float64), **EXACT)
    ones = torch.ones(width, dtype=torch.float64) / math.sqrt(width)
    mean = torch.ones(64, dtype=torch.float64) / 8
    torch.testing.assert_close(found @ ones, mean, **EXACT)
    centred_stack = without_mean(stack)
    lost = torch.linalg.svdvals(centred_stack)[width - 1 :].square().sum()

    def residual(space):
        return (centred_stack - centred_stack @ space @ space.T).square().sum()

    assert float(residual(found)) == pytest.approx(float(lost), rel=1e-9)
    torch.manual_seed(2)
    assert all(residual(tilted(64, width)) > residual(found) for _ in range(20))


def test_the_basis_is_the_one_of_its_space_that_is_nearest_to_the_first_units():
    weights = encoder(Architecture("bert", 2, 64, 4, 96)).state_dict()
    found = basis(importance.moment(weights, 64), 32)
    first = torch.eye(64, 32, dtype=torch.float64)
    away = (found - first).norm()
    inner = centred(32)
    mean = torch.full((32, 32), 1 / 32, dtype=torch.float64)
    for _ in range(50):
        turned = found @ (mean + inner @ rotation(31, 31) @ inner.T)
        assert (turned - first).norm() > away
    small = torch.linalg.matrix_exp(1e-3 * (lambda a: a - a.T)(normal(31, 31)))
    assert (found @ (mean + inner @ small @ inner.T) - first).norm() > away


def test_all_directions_are_the_units_themselves():
    weights = encoder(Architecture("bert", 2, 64, 4, 96)).state_dict()
    found = basis(importance.moment(weights, 64), 64)
    torch.testing.assert_close(found, torch.eye(64, dtype=torch.float64), **EXACT)


@pytest.mark.parametrize("rank", [1, 4, 8])
def test_factors_are_the_best_of_their_rank_and_do_not_depend_on_the_coding(rank):
    torch.manual_seed(0)
    left, right, coding = normal(3, 8, 20), normal(3, 8, 30), normal(8, 8)
    one, other = factors(left, right, rank)
    assert one.shape == (3, rank, 20)
    assert other.shape == (3, rank, 30)
    product = left.transpose(1, 2) @ right
    lost = torch.linalg.svdvals(product)[:, rank:].square().sum(1)
    found = (product - one.transpose(1, 2) @ other).square().sum((1, 2))
    torch.testing.assert_close(found, lost, **EXACT)
    torch.testing.assert_close(one.norm(dim=2), other.norm(dim=2), **EXACT)
    again = factors(coding @ left, torch.linalg.inv(coding).T @ right, rank)
    torch.testing.assert_close(again[0], one, rtol=0, atol=1e-8)
    torch.testing.assert_close(again[1], other, rtol=0, atol=1e-8)


def test_norms_and_biases_follow_the_formulas():
    large, small = Architecture("bert", 2, 64, 4, 96), Architecture("bert", 2, 32, 4, 96)
    weights = encoder(large).state_dict()
    found = svd(weights, small, large, layers="first")
    space = basis(importance.moment(weights, 64), 32)
    name = "encoder.layer.1.output.LayerNorm"
    gamma = torch.diagonal(space.T @ torch.diag(weights[f"{name}.weight"].double()) @ space)
    beta = space.T @ weights[f"{name}.bias"].double() / math.sqrt(2)
    torch.testing.assert_close(found[f"{name}.weight"].double(), gamma, rtol=0, atol=1e-7)
    torch.testing.assert_close(found[f"{name}.bias"].double(), beta, rtol=0, atol=1e-7)


def test_a_map_from_other_embeddings_writes_to_the_stream():
    large, small = Architecture("electra", 2, 64, 4, 96), Architecture("electra", 2, 32, 4, 96)
    weights = encoder(large).state_dict()
    found = svd(weights, small, large, layers="first")
    space = basis(importance.moment(weights, 64), 32)
    for name in ("embeddings_project.weight", "embeddings_project.bias"):
        expected = space.T @ weights[name].double() / math.sqrt(2)
        torch.testing.assert_close(found[name].double(), expected, rtol=0, atol=1e-7)


def test_what_is_not_narrower_is_copied():
    large, small = Architecture("bert", 2, 64, 4, 96), Architecture("bert", 2, 64, 4, 80)
    weights = encoder(large).state_dict()
    found = svd(weights, small, large, layers="first")
    inner = ("intermediate.dense.weight", "intermediate.dense.bias", ".output.dense.weight")
    changed = {name for name in weights if not torch.equal(found[name], weights[name])
               if found[name].shape == weights[name].shape}  # fmt: skip
    narrower = {name for name in weights if found[name].shape != weights[name].shape}
    assert not changed
    assert all(name.endswith(inner) and "attention" not in name for name in narrower)
    assert len(narrower) == 6


def test_it_is_the_same_every_time():
    large, small = Architecture("bert", 4, 64, 4, 96), Architecture("bert", 2, 32, 2, 48)
    weights = encoder(large).state_dict()
    one, other = (svd(weights, small, large, layers="skip") for _ in range(2))
    assert equal(one, other)


def test_heads_wider_than_the_sources_are_refused():
    large, small = Architecture("bert", 2, 64, 4, 96), Architecture("bert", 2, 48, 2, 96)
    with pytest.raises(ValueError, match="heads of width 24, and the source's have 16"):
        svd({}, small, large, layers="first")
