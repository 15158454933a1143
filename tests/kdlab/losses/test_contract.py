"""What every knowledge option promises, whatever its formula."""

from functools import cache, partial
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch.testing import assert_close

from kdlab.options.callables import function, knobs

CONF = Path(__file__).parents[3] / "conf" / "knowledge"
NOT_LOSSES = {"none", "logits"}  # no knowledge at all; a choice between two others by task
OPTIONS = sorted(path.stem for path in CONF.glob("*.yaml") if path.stem not in NOT_LOSSES)

# The axes of what each view gives, by letter; the mask is over b and, where there are any, t.
VIEWS = {
    "kdlab.objective.views.logits": "bc",
    "kdlab.objective.views.tokens": "btd",
    "kdlab.objective.views.embeddings": "btd",
    "kdlab.objective.views.cls": "bd",
    "kdlab.objective.views.mean_tokens": "bd",
    "kdlab.objective.views.stacked_with_embedding": "btld",
    "kdlab.objective.views.attention_scores": "bhtt",
    "kdlab.objective.views.mean_attention_scores": "bott",
    "kdlab.objective.views.summed_attention_scores": "bott",
    "kdlab.objective.views.queries": "bhte",
    "kdlab.objective.views.keys": "bhte",
    "kdlab.objective.views.values": "bhte",
}
SIZES = {"b": 4, "t": 6, "c": 3, "d": 8, "h": 4, "e": 2, "l": 4, "o": 1}
ROWS = torch.tensor([1, 1, 0, 1]).bool()
TOKENS = torch.tensor(
    [[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 0, 1], [1, 0, 0, 0, 0, 0]]
).bool()
# Of every knob, a value that its YAML does not have.
OTHER = {
    "temperature": 0.5,
    "normalize": False,
    "reduction": "mean",
    "relation_heads": 2,
    "skew": 0.4,
    "teacher_share": 0.2,
    "head_mass": 0.9,
    "k": 3,
    "target_weight": 0.5,
    "others_weight": 2.0,
    "row_weight": 0.5,
    "class_weight": 2.0,
    "window": 3,
    "teacher_scale": 0.5,
}
# Losses that are not zero at equality, and why; of these, the value is tested with their formula.
VALUE_AT_EQUALITY = {
    "logits_ce": "a cross-entropy contains the teacher's entropy",
    "attention_ce": "a cross-entropy contains the teacher's entropy",
    "attention_ce_mean": "a cross-entropy contains the teacher's entropy",
    "logits_topk_kl": "its optimum is the teacher renormalised over k classes",
    "contrastive": "the batch's other units are never infinitely far",
}
GRADIENT_AT_EQUALITY = {
    "logits_topk_kl": VALUE_AT_EQUALITY["logits_topk_kl"],
    "contrastive": "it moves away from the other units as well",
}
# Losses that are no mean over units, and why.
NOT_A_MEAN = {
    "hidden_cka": "an alignment is of the units of a batch together",
    "logits_dist": "a class's correlation is over the units of a batch",
    "rkd_distance": "pairs of rows of two parts are in neither part",
    "rkd_angle": "triples of rows of two parts are in neither part",
    "similarity": "pairs of rows of two parts are in neither part",
    "pkt": "pairs of rows of two parts are in neither part",
    "contrastive": "the other units of a batch are its negatives",
}
# Losses whose units are rows, though their mask marks tokens, and why.
BY_ROWS = {"channel_gram": "a row has one matrix of its channels"}
# Losses whose gradient is not their value's slope, and why; it is tested with their formula.
NOT_ITS_SLOPE = {"logits_adaptive_kl": "the weights of its two parts are constants to the gradient"}
# Losses with kinks, one of them within 1e-2 of the example: their differences take smaller steps.
KINKED = {"logits_tv"}


@cache
def read(name):
    return OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))


def values_of_knobs(name):
    page = read(name)
    return {knob: page[knob] for knob in knobs(page["_target_"])}


def build(name, **changed):
    return partial(function(read(name)["_target_"]), **(values_of_knobs(name) | changed))


def axes_of(name):
    view = read(name)["view"]
    if view not in VIEWS:
        pytest.fail(f"{name}: add the axes of the view {view} to VIEWS in {Path(__file__).name}")
    return VIEWS[view]


def noise(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def example(name, seed=0):
    """The option's loss, the letters of its axes, and a random student, teacher and mask."""
    axes = axes_of(name)
    student, teacher = noise((2, *(SIZES[letter] for letter in axes)), seed)
    return build(name), axes, student, teacher, TOKENS if "t" in axes else ROWS


def with_gradient(loss, student, teacher, mask):
    student = student.clone().requires_grad_()
    value = loss(student, teacher, mask)
    return value.detach(), torch.autograd.grad(value, student)[0]


def grown(tensor, axes, letter, seed, scale, by=2):
    """More of every axis of this letter at its end, filled with noise of this scale."""
    for axis in (i for i, each in enumerate(axes) if each == letter):
        shape = [by if i == axis else size for i, size in enumerate(tensor.shape)]
        tensor = torch.cat([tensor, scale * noise(shape, seed + axis)], axis)
    return tensor


def padded(tensor, shape):
    """Zeros of this shape with the tensor in their first corner."""
    zeros = torch.zeros(shape, dtype=tensor.dtype)
    zeros[tuple(slice(size) for size in tensor.shape)] = tensor
    return zeros


def under(mask, axes):
    """True at whatever belongs to a padded row or token."""
    found = torch.tensor(False)
    for axis in [i for i, letter in enumerate(axes) if letter == "t"] or [0]:
        shape = [SIZES[letter] if i in (0, axis) else 1 for i, letter in enumerate(axes)]
        found = found | ~mask.reshape(shape)
    return found


every_option = pytest.mark.parametrize("name", OPTIONS)


@every_option
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_float32_scalar_computed_in_float32(name, dtype):
    loss, _, student, teacher, mask = example(name)
    student, teacher = student.to(dtype), teacher.to(dtype)
    value = loss(student, teacher, mask)
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert_close(value, loss(student.float(), teacher.float(), mask), rtol=1e-6, atol=0)


@every_option
def test_zero_with_zero_gradient_at_equality(name):
    loss, _, student, _, mask = example(name)
    value, gradient = with_gradient(loss, student, student.clone(), mask)
    if name in VALUE_AT_EQUALITY:
        assert value > 1e-3, f"{name} is zero at equality: no exception"
    else:
        assert_close(value, torch.tensor(0.0), rtol=0, atol=1e-6)
    if name in GRADIENT_AT_EQUALITY:
        assert gradient.isfinite().all()
        assert gradient.norm() > 1e-3, f"{name} has no gradient at equality: no exception"
    else:
        assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-6)


@every_option
@pytest.mark.parametrize("scale", [1.0, 1e4, 1e15])
def test_padding_changes_neither_value_nor_gradient(name, scale):
    loss, axes, student, teacher, mask = example(name)
    value, gradient = with_gradient(loss, student, teacher, mask)
    pair = (student, teacher)
    for letter in sorted({"b", "t"} & set(axes)):  # an all-padding row, then padded tokens
        longer = [grown(x, axes, letter, 10 + 10 * i, scale) for i, x in enumerate(pair)]
        mask_too = grown(mask.float(), "bt", letter, seed=0, scale=0.0).bool()
        same, other = with_gradient(loss, *longer, mask_too)
        assert_close(same, value, rtol=1e-5, atol=1e-6)
        assert_close(other, padded(gradient, other.shape), rtol=1e-4, atol=1e-6)


@every_option
@pytest.mark.parametrize("scale", [1e4, float("nan")])
def test_what_stands_under_the_mask_does_not_change_the_value(name, scale):
    loss, axes, student, teacher, mask = example(name)
    value = loss(student, teacher, mask)
    garbage = scale * noise(student.shape, seed=7)
    ours, theirs = (torch.where(under(mask, axes), garbage, x) for x in (student, teacher))
    assert_close(loss(ours, teacher, mask), value, rtol=1e-5, atol=1e-6)
    assert_close(loss(student, theirs, mask), value, rtol=1e-5, atol=1e-6)


@every_option
def test_the_order_of_rows_does_not_matter(name):
    loss, _, student, teacher, mask = example(name)
    order = torch.tensor([2, 0, 3, 1])
    value = loss(student[order], teacher[order], mask[order])
    assert_close(value, loss(student, teacher, mask), rtol=1e-5, atol=1e-6)


@every_option
def test_a_single_valid_unit_is_that_unit_alone(name):
    loss, axes, student, teacher, mask = example(name)
    index = (1,) * mask.ndim
    only = torch.zeros_like(mask)
    only[index] = True
    value, gradient = with_gradient(loss, student, teacher, only)
    cut = tuple(slice(1, 2) if letter in "bt" else slice(None) for letter in axes)
    alone = loss(student[cut], teacher[cut], torch.ones_like(only)[(slice(1),) * only.ndim])
    assert_close(value, alone, rtol=1e-5, atol=1e-6)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - set(NOT_A_MEAN)))
def test_a_batch_is_the_mean_of_its_parts_by_valid_units(name):
    loss, _, student, teacher, mask = example(name)
    units = mask.any(-1) if name in BY_ROWS else mask
    total = 0.0
    for part in (slice(0, 3), slice(3, None)):  # unequal numbers of valid units
        total += loss(student[part], teacher[part], mask[part]) * units[part].sum()
    assert_close(loss(student, teacher, mask), total / units.sum(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(NOT_A_MEAN))
def test_an_exception_is_no_mean_of_its_parts(name):
    loss, _, student, teacher, mask = example(name)
    parts = [loss(*(x[part] for x in (student, teacher, mask))) for part in (slice(2), slice(2, 4))]
    mean = (2 * parts[0] + parts[1]) / 3  # by valid rows
    assert abs(loss(student, teacher, mask) - mean) > 1e-3


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - set(NOT_ITS_SLOPE)))
def test_gradient_matches_finite_differences(name):
    loss, _, student, teacher, mask = example(name)
    _, gradient = with_gradient(loss, student, teacher, mask)
    step = 1e-3 if name in KINKED else 1e-2
    for seed in range(5):
        direction = noise(student.shape, 10 + seed)
        up = loss(student + step * direction, teacher, mask)
        down = loss(student - step * direction, teacher, mask)
        slope = (gradient * direction).sum()
        assert_close((up - down) / (2 * step), slope, rtol=1e-2, atol=1e-3)


@every_option
def test_a_small_step_down_the_gradient_lowers_it(name):
    loss, _, student, teacher, mask = example(name)
    value, gradient = with_gradient(loss, student, teacher, mask)
    assert loss(student - 0.1 * gradient / gradient.norm(), teacher, mask) < value


@every_option
def test_no_valid_unit_is_zero(name):
    loss, _, student, teacher, mask = example(name)
    value, gradient = with_gradient(loss, student, teacher, torch.zeros_like(mask))
    assert value == 0
    assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "knob"), [(name, knob) for name in OPTIONS for knob in values_of_knobs(name)]
)
def test_every_knob_changes_the_value(name, knob):
    if knob not in OTHER:
        pytest.fail(
            f"{name}: add another value of the knob {knob} to OTHER in {Path(__file__).name}"
        )
    loss, _, student, teacher, mask = example(name)
    value = loss(student, teacher, mask)
    changed = build(name, **{knob: OTHER[knob]})(student, teacher, mask)
    assert abs(changed - value) > 1e-3 * abs(value)
