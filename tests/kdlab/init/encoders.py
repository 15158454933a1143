"""Small real encoders whose every number is random, and what they put out."""

import torch
from transformers import AutoConfig, AutoModel

from kdlab.encoders.architecture import Architecture
from kdlab.init.tensors import LAYER

TOKENS = 64  # as many as some widths, so that sizes alone do not tell rows from columns


def fresh(shape: Architecture):
    """A model without dropout, as transformers draws it."""
    own = {"hidden_dim": shape.intermediate} if shape.family == "distilbert" else {}
    config = AutoConfig.for_model(
        shape.family, num_hidden_layers=shape.layers, hidden_size=shape.hidden,
        num_attention_heads=shape.heads, intermediate_size=shape.intermediate,
        vocab_size=TOKENS, max_position_embeddings=TOKENS, **own,
    )  # fmt: skip
    torch.manual_seed(0)
    return AutoModel.from_config(config, attn_implementation="eager").eval()


def encoder(shape: Architecture):
    """A model whose biases and norms are random too."""
    model = fresh(shape)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def states(shape: Architecture, weights):
    """The hidden states of a fresh model of this shape that has these weights, all of them."""
    model = fresh(shape)
    model.load_state_dict(weights)
    return run(model).hidden_states


def run(model):
    ids = torch.randint(5, TOKENS, (3, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model(ids, output_hidden_states=True, output_attentions=True)


def parts(weights, layer=None) -> dict:
    """The tensors of one layer, 1-based, by what follows its number; or those outside layers."""
    found = {name: LAYER.fullmatch(name) for name in weights}
    if layer is None:
        return {name: weights[name] for name in weights if not found[name]}
    return {m[3]: weights[n] for n, m in found.items() if m and int(m[2]) == layer - 1}


def equal(ours, theirs) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)
