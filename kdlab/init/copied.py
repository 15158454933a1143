"""Inits that copy whole tensors."""

import re

from torch import Tensor

from kdlab import families, layers
from kdlab.architecture import Architecture

Weights = dict[str, Tensor]
LAYER = re.compile(r"(.*\blayers?\.)(\d+)(\..*)")


def nothing(weights: Weights, student: Architecture, source: Architecture | None) -> Weights:
    """Random weights throughout."""
    return {}


def everything(weights: Weights, student: Architecture, source: Architecture) -> Weights:
    """All of a checkpoint of the same architecture."""
    if student.layers != source.layers:
        raise ValueError(f"the student has {student.layers} layers, the checkpoint {source.layers}")
    return copy(weights, student, source, list(range(1, source.layers + 1)))


def first(weights: Weights, student: Architecture, source: Architecture) -> Weights:
    """Embeddings and layers 1 to S. Sun et al. 2019, arXiv 1908.09355."""
    return copy(weights, student, source, layers.first(student.layers, source.layers))


def last(weights: Weights, student: Architecture, source: Architecture) -> Weights:
    """Embeddings and the last S layers."""
    return copy(weights, student, source, layers.last(student.layers, source.layers))


def skip(weights: Weights, student: Architecture, source: Architecture) -> Weights:
    """Embeddings and S layers evenly spread, the last included.

    Sanh et al. 2019, arXiv 1910.01108, take every other layer; theirs starts with the first.
    """
    return copy(weights, student, source, layers.skip(student.layers, source.layers))


def copy(
    weights: Weights, student: Architecture, source: Architecture, chosen: list[int]
) -> Weights:
    """Everything but the layers as it is, and the `chosen` source layers (1-based) in order."""
    if student.layers > source.layers:
        raise ValueError(
            f"{student.layers} student layers are more than the source's {source.layers}"
        )
    for name in ("family", "hidden", "heads", "intermediate"):
        ours, theirs = getattr(student, name), getattr(source, name)
        if ours != theirs:
            raise ValueError(f"unequal {name}: the student has {ours}, the source {theirs}")
    families.check_layers(student.family, chosen)
    copied = {}
    for name, tensor in weights.items():
        match = LAYER.fullmatch(name)
        if not match:
            copied[name] = tensor
            continue
        for position, layer in enumerate(chosen):
            if layer == int(match[2]) + 1:
                copied[f"{match[1]}{position}{match[3]}"] = tensor
    return copied
