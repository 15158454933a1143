"""Widths solved for a depth, against every one tried by hand, real models and published rows."""

from itertools import product

import pytest
from composed import compose
from transformers import BertConfig, BertModel
from transformers.models.bert.modeling_bert import BertLayer

from kdlab.config.option_files import option, options
from kdlab.encoders.architecture import Architecture
from kdlab.errors import BadInput, NotApplicable
from kdlab.models import costs, shape
from kdlab.models.student import outline

WORDS = 30_522  # of BERT's vocabulary
SIZES = {
    "tiny": (2, 128), "mini": (4, 256), "small": (4, 512), "medium": (8, 512), "l3_h512": (3, 512),
    "tinybert6": (6, 768), "l6_h384": (6, 384), "l12_h384": (12, 384), "base": (12, 768),
    "large": (24, 1024), "l24_h192": (24, 192), "l1_h64": (1, 64),
}  # fmt: skip
MINIATURES = list(product((2, 4, 6, 8, 10, 12), (128, 256, 512, 768)))
# Millions of parameters, as published (Turc et al. 2019, arXiv 1908.08962, with BERT's pooler).
PUBLISHED = {"tiny": 4.4, "mini": 11.2, "small": 28.8, "medium": 41.4, "base": 109.5}
# Shapes of one budget each, and their exact millions of Transformer parameters.
BUDGETS = {
    "85 M": {"l12_h768": 85.05},
    "42.5 M": {"l6_h768": 42.53, "l24_h384": 42.59},
    "21.3 M": {"l3_h768": 21.26, "l12_h384": 21.29, "l24_h256": 18.95},
    "10 M": {"l3_h512": 9.46, "l6_h384": 10.65, "l12_h256": 9.48, "l24_h192": 10.68},
    "12.5 M": {"l4_h512": 12.61, "l10_h320": 12.33, "l16_h256": 12.64},
    "5 M": {"l3_h384": 5.32, "l6_h256": 4.74, "l12_h192": 5.34, "tinybert4": 4.57},
}
EQUAL = [(budget, name, exact) for budget, row in BUDGETS.items() for name, exact in row.items()]


def student(*overrides: str) -> Architecture:
    return compose(*overrides, "knowledge=none").student


def layer_parameters(hidden: int, intermediate: int) -> int:
    """Of transformers' own BERT layer."""
    config = BertConfig(hidden_size=hidden, num_attention_heads=1, intermediate_size=intermediate)
    return sum(parameter.numel() for parameter in BertLayer(config).parameters())


def layer_flops(hidden: int, intermediate: int) -> int:
    """Products of 128 tokens: q, k, v, output; scores and mixtures; up and down."""
    tokens = 128
    multiply_adds = (
        4 * tokens * hidden * hidden
        + 2 * tokens * tokens * hidden
        + 2 * tokens * hidden * intermediate
    )
    return 2 * multiply_adds


COSTS = {
    shape.equal_parameters: lambda hidden: 12 * hidden**2 + 13 * hidden,
    shape.equal_flops: lambda hidden: layer_flops(hidden, 4 * hidden),
}


def by_brute_force(cost, layers, hidden, factor, head_width=64, tolerance=0.05):
    """The rule read as a sentence, over every depth and width; None where nothing fits."""
    target = factor * layers
    fits = []
    for depth in range(1, 8 * layers + 1):
        for heads in range(1, 4 * hidden // head_width + 8):
            miss = depth * cost(head_width * heads) / (layers * cost(hidden)) - 1
            strays = max(depth / target, target / depth)
            if abs(miss) <= tolerance and strays <= 2**0.5:
                fits.append((abs(depth - target), abs(miss), depth, heads))
    if not fits:
        return None
    _, _, depth, heads = sorted(fits)[0]
    return depth, head_width * heads, heads, 4 * head_width * heads


def solved(solve, layers, hidden, **knobs):
    try:
        return solve(layers, hidden, max(1, hidden // 64), 4 * hidden, **knobs)
    except ValueError:
        return None


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("solve", COSTS, ids=lambda solve: solve.__name__)
def test_a_shape_is_the_one_that_brute_force_finds(solve, size):
    for factor, (head_width, tolerance) in product(
        (0.25, 0.5, 0.75, 1.5, 2.0, 3.0, 4.0), ((64, 0.05), (64, 0.01), (32, 0.05), (16, 0.1))
    ):
        knobs = {"factor": factor, "head_width": head_width, "tolerance": tolerance}
        assert solved(solve, *size, **knobs) == by_brute_force(COSTS[solve], *size, **knobs), knobs


@pytest.mark.parametrize(("hidden", "intermediate"), [(64, 256), (312, 1200), (768, 3072)])
def test_a_layers_costs_are_those_of_the_real_model(hidden, intermediate):
    assert shape._parameters(hidden, intermediate) == layer_parameters(hidden, intermediate)
    assert shape._flops(hidden, intermediate) == layer_flops(hidden, intermediate)
    if intermediate == 4 * hidden:
        assert layer_parameters(hidden, intermediate) == 12 * hidden**2 + 13 * hidden


@pytest.mark.parametrize(
    ("size", "name", "dimensions"),
    [
        ("tiny", "deeper", (8, 64)),
        ("mini", "deep", (7, 192)),
        ("mini", "wider", (1, 512)),
        ("small", "deep", (7, 384)),
        ("medium", "wide", (3, 832)),
        ("medium", "wider", (2, 1024)),
        ("tinybert6", "deep", (11, 576)),
        ("tinybert6", "deeper", (24, 384)),
        ("base", "wide", (6, 1088)),
        ("base", "deep_flops", (26, 512)),
    ],
)
def test_named_shapes(size, name, dimensions):
    found = student(f"size={size}", f"shape={name}")
    assert (found.layers, found.hidden) == dimensions
    assert (found.heads, found.intermediate) == (found.hidden // 64, 4 * found.hidden)


def test_no_depth_is_two_shapes_of_a_size():
    for size, kind in product(SIZES.values(), ("", "_flops")):
        depths = []
        for name in ("wider", "wide", "standard", "deep", "deeper"):
            if name == "standard":
                depths.append(size[0])
                continue
            node = option("shape", name + kind)
            knobs = {key: node[key] for key in ("factor", "head_width", "tolerance")}
            solve = shape.equal_flops if kind else shape.equal_parameters
            depths += [found[0]] if (found := solved(solve, *size, **knobs)) else []
        assert depths == sorted(set(depths)), (size, kind)


@pytest.mark.parametrize("name", sorted(set(options("shape")) - {"standard"}))
def test_every_shape_keeps_its_budget(name):
    plain, found = student("size=tinybert6"), student("size=tinybert6", f"shape={name}")
    if name.endswith("_flops"):
        ratio = costs.inference_flops(found) / costs.inference_flops(plain)
    else:
        ratio = transformer(f"shape={name}", "size=tinybert6") / transformer("size=tinybert6")
    assert 0.95 <= ratio <= 1.05
    target = option("shape", name)["factor"] * plain.layers
    assert 2**-0.5 <= found.layers / target <= 2**0.5


def transformer(*overrides: str) -> int:
    model = outline(compose(*overrides, "knowledge=none"), WORDS)
    return costs.parameters(model)["transformer"]


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (
            ("size=tiny", "shape=wide"),
            "shape=wide: l2_h128 has none: l1_h192, the nearest, has 12.2 % more Transformer "
            "parameters, and 5 % are allowed",
        ),
        (
            ("size=tiny", "shape=deep"),
            "shape=deep: l2_h128 has none: l5_h64, the nearest, has 37.0 % fewer Transformer "
            "parameters, and 5 % are allowed",
        ),
        (
            ("size=tiny", "shape=wider"),
            "shape=wider: l2_h128 has none: it would be less than one layer deep",
        ),
        (
            ("size=small", "shape=wide_flops"),
            "shape=wide_flops: l4_h512 has none: l2_h704, the nearest, has 6.5 % fewer FLOPs, and "
            "5 % are allowed",
        ),
    ],
    ids=" ".join,
)
def test_a_shape_that_misses_names_the_nearest(overrides, says):
    with pytest.raises(NotApplicable) as error:
        student(*overrides)
    assert str(error.value) == says


def test_knobs_make_room():
    assert student("size=tiny", "shape=wide", "shape.tolerance=0.13").hidden == 192
    found = student("size=l2_h64_a4", "shape=deep", "shape.head_width=8")
    assert (found.layers, found.hidden, found.heads) == (5, 40, 5)
    assert student("size=small", "shape=deep", "shape.factor=4").layers == 16
    for wrong in ("shape.factor=0", "shape.head_width=0", "shape.tolerance=1", "shape.depth=3"):
        with pytest.raises(BadInput, match=wrong.partition("=")[0]):
            student("size=small", "shape=deep", wrong)


def test_an_equal_architecture_is_the_same_run():
    for one, other in (
        (("size=small", "shape=deep"), ("size=l7_h384_a6",)),
        (("size=mini", "shape=wider"), ("size=l1_h512",)),
        (("size=small", "shape=standard"), ("size=l4_h512",)),
        (("size=tinybert6",), ("size=l6_h768",)),
    ):
        assert compose(*one).uid == compose(*other).uid
    assert compose("size=small", "shape=deep").uid != compose("size=small").uid
    assert compose("size=tinybert4").uid != compose("size=l4_h312").uid  # 1200 is not 4 times 312


@pytest.mark.parametrize(("layers", "hidden"), MINIATURES)
def test_the_miniatures_have_heads_of_64_and_four_times_the_width(layers, hidden):
    expected = Architecture("bert", layers, hidden, hidden // 64, 4 * hidden)
    assert student(f"size=l{layers}_h{hidden}") == expected


@pytest.mark.parametrize(("name", "millions"), PUBLISHED.items())
def test_the_miniatures_have_their_published_parameters(name, millions):
    run = compose(f"size={name}", "knowledge=none")
    model = outline(run, WORDS)
    head = sum(parameter.numel() for parameter in model.classifier.parameters())
    assert (costs.parameters(model)["total"] - head) / 1e6 == pytest.approx(millions, abs=0.05)
    config = BertConfig(
        vocab_size=WORDS, num_hidden_layers=run.student.layers, hidden_size=run.student.hidden,
        num_attention_heads=run.student.heads, intermediate_size=run.student.intermediate,
    )  # fmt: skip
    if name in ("tiny", "mini"):  # the real model, values and all
        real = sum(parameter.numel() for parameter in BertModel(config).parameters())
        assert costs.parameters(model)["total"] - head == real


@pytest.mark.parametrize(("budget", "name", "millions"), EQUAL)
def test_shapes_of_an_equal_budget_have_its_exact_parameters(budget, name, millions):
    run = compose(f"size={name}", "knowledge=none")
    assert round(transformer(f"size={name}") / 1e6, 2) == millions
    if name != "tinybert4":
        layers, hidden = run.student.layers, run.student.hidden
        assert transformer(f"size={name}") == layers * (12 * hidden**2 + 13 * hidden)
