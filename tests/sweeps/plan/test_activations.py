"""What a layer keeps for its backward pass, against the tensors that PyTorch keeps."""

from contextlib import nullcontext

import pytest
import torch
from saved_tensors import counting
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from transformers import AutoConfig, AutoModelForSequenceClassification

from kdlab.encoders.architecture import Architecture
from kdlab.encoders.families import FAMILIES, configuration
from kdlab.models.attention_heads import implementation
from kdlab.models.trace import trace
from sweeps.plan import activations
from sweeps.plan.activations import Pass

ROWS, TOKENS, VOCABULARY = 2, 48, 50


class AsOnGpu(TorchFunctionMode):
    """Attention and dropout by the functions that a GPU has for them, which keep less."""

    def __torch_function__(self, function, types, arguments=(), keywords=None):
        keywords = keywords or {}
        if function is functional.dropout:
            x, p = arguments[0], keywords.get("p", 0.5)
            return torch.native_dropout(x, p, True)[0] if keywords["training"] and p else x
        if function is functional.scaled_dot_product_attention:
            query, key, value = arguments[:3]
            mask = keywords["attn_mask"]
            numbers = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, -torch.inf)
            bias = numbers.expand(*query.shape[:3], key.shape[2])
            attention = torch.ops.aten._scaled_dot_product_efficient_attention
            dropout, scale = keywords["dropout_p"], keywords["scale"]
            return attention(query, key, value, bias, True, dropout, scale=scale)[0]
        return function(*arguments, **keywords)


def kept(model: Architecture, on_gpu: bool, is_bf16: bool) -> int:
    """Bytes of the tensors, hidden states included, that a training forward pass keeps."""
    ids = dict.fromkeys(FAMILIES[model.family].ids, FAMILIES[model.family].padding or 0)
    with torch.device("meta" if on_gpu else "cpu"):
        config = AutoConfig.for_model(
            model.family, vocab_size=VOCABULARY, **ids, **configuration(model)
        )
        encoder = AutoModelForSequenceClassification.from_config(
            config, attn_implementation=implementation(model.family)
        ).train()
        mask = torch.ones(ROWS, TOKENS, dtype=torch.long)
        inputs = {"input_ids": 3 * mask, "attention_mask": mask, "token_type_ids": 0 * mask}
        if not on_gpu:
            mask[0, -5:] = 0  # without padding there is no mask on a CPU
    pack, sizes = counting((*encoder.parameters(), *encoder.buffers()))
    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x),
        torch.autocast("cpu", torch.bfloat16, enabled=is_bf16),
        AsOnGpu() if on_gpu else nullcontext(),
    ):
        outputs = trace(encoder, inputs, frozenset())
    for x in outputs.hidden:
        pack(x)
    return sum(sizes.values())


@pytest.mark.parametrize("width", [(64, 128), (128, 256)])
@pytest.mark.parametrize("is_bf16", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_layer_keeps_on_a_cpu_what_the_table_says(family, is_bf16, width):
    _check(family, width, on_gpu=False, is_bf16=is_bf16)


# MPNet's masks ask for values, which there are none of; autocast knows no device without values.
@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert", "modernbert"])
def test_a_layer_keeps_on_a_gpu_what_the_table_says(family):
    _check(family, (64, 128), on_gpu=True, is_bf16=False)


def _check(family: str, width: tuple[int, int], on_gpu: bool, is_bf16: bool) -> None:
    # Of ModernBERT every third layer sees whole rows.
    shallow, deep = (Architecture(family, layers, width[0], 4, width[1]) for layers in (3, 6))
    of = Pass(ROWS, TOKENS, on_gpu, is_bf16)
    counted = kept(deep, on_gpu, is_bf16) - kept(shallow, on_gpu, is_bf16)
    predicted = activations.kept(deep, of) - activations.kept(shallow, of)
    assert predicted == pytest.approx(counted, rel=0.05)
    outside = kept(shallow, on_gpu, is_bf16) - counted
    assert activations.kept(shallow, of) - predicted == pytest.approx(outside, rel=0.5)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "mpnet"])
def test_parameters_are_those_of_the_model(family):
    model = Architecture(family, 3, 96, 4, 200)
    ids = dict.fromkeys(FAMILIES[family].ids, 0)
    config = AutoConfig.for_model(family, vocab_size=4000, **ids, **configuration(model))
    with torch.device("meta"):
        made = AutoModelForSequenceClassification.from_config(config)
    exact = sum(parameter.numel() for parameter in made.parameters())
    assert activations.parameters(model, 4000)[1] == pytest.approx(exact, rel=0.1)
