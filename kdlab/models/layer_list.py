"""Where an encoder of transformers keeps its layers."""

from typing import Any

from torch import nn


def holder(encoder: Any) -> tuple[Any, str]:
    """The module that holds the list of an encoder's layers, and the list's name in it."""
    depth = encoder.config.num_hidden_layers
    for module in encoder.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == depth:
                return module, name
    raise RuntimeError(f"{type(encoder).__name__}: no list of {depth} layers")


def layers(encoder: Any) -> nn.ModuleList:
    """The list of an encoder's layers."""
    listed: nn.ModuleList = getattr(*holder(encoder))
    return listed
