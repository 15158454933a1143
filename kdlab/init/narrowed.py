"""Inits that narrow a source to the student's width by taking some of its units, unchanged.

A unit of the stream (the hidden states, which all layers share) is the same in every tensor; the
units of heads and feed-forwards are chosen in each layer.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from kdlab.encoders.architecture import Architecture
from kdlab.init import importance, tensors
from kdlab.init.tensors import Rule, Weights

Choice = Callable[[int, int], Tensor]  # (units, taken) -> the 0-based units to take [taken]


def first_units(
    weights: Weights, student: Architecture, source: Architecture, *, layers: Rule | list[int]
) -> Weights:
    """The first units of the stream, of each layer's heads (whole) and of its feed-forward.

    Heads must be as wide as the source's. Nothing is scaled.
    """
    tensors.check_head_width(student, source)
    return _same_in_every_layer(
        weights, student, source, layers, lambda units, taken: torch.arange(taken)
    )


def even_units(
    weights: Weights, student: Architecture, source: Architecture, *, layers: Rule | list[int]
) -> Weights:
    """Units at even distances: weight selection, Xu et al. 2023, arXiv 2311.18823.

    Every n-th unit where the widths divide, else the rounded points of an even grid from the first
    to the last, as in their released code. They take the source's first layers, and so does the
    YAML. Nothing is scaled. As with them heads are not kept whole: with half the heads at equal
    width, a head is every other unit of two neighbours; with the same number of heads, it is every
    other unit of its own. Where number and width both differ, it would be neither: refused.
    """
    if student.heads != source.heads:
        tensors.check_head_width(student, source)
    return _same_in_every_layer(weights, student, source, layers, _evenly)


def largest_units(
    weights: Weights, student: Architecture, source: Architecture, *, layers: Rule | list[int]
) -> Weights:
    """The units with the largest weights, heads whole and as wide as the source's, in their order.

    `kdlab.init.importance` says what is ranked; the stream is narrowed first, then the heads and
    neurons of what is left. Ranking by norm: Li et al. 2017, arXiv 1608.08710, for convolutions.
    Samragh et al. 2023, arXiv 2312.09299 (subcloning), rank by activations, which an init, which
    reads no data, cannot. Nothing is scaled.
    """
    tensors.check_head_width(student, source)
    weights = _of_depth(weights, student, source, layers)
    stream = importance.largest(importance.stream(weights, source.hidden), student.hidden)
    weights = tensors.take(weights, source.hidden, ("stream", "pooled"), lambda layer: stream)
    # After the stream: what a head or neuron wrote to units that are gone does not count for it.
    weights = importance.take_heads(weights, student, source)
    return importance.take_neurons(weights, student)


def _same_in_every_layer(
    weights: Weights,
    student: Architecture,
    source: Architecture,
    layers: Rule | list[int],
    choice: Choice,
) -> Weights:
    """The encoder with the units that `choice` takes, the same ones in every layer."""
    weights = _of_depth(weights, student, source, layers)
    # All heads together are as wide as the stream, so that one choice serves both.
    width = choice(source.hidden, student.hidden)
    inner = choice(source.intermediate, student.intermediate)
    weights = tensors.take(weights, source.hidden, ("inner",), lambda layer: inner)
    # The stream comes last, since `take` is told its width, by which it knows what is on it.
    return tensors.take(weights, source.hidden, ("stream", "pooled", "heads"), lambda layer: width)


def _of_depth(
    weights: Weights, student: Architecture, source: Architecture, layers: Rule | list[int]
) -> Weights:
    """The source's chosen layers, if no dimension of the student is larger than the source's."""
    tensors.check_narrower(student, source)
    return tensors.select_layers(weights, tensors.chosen_layers(layers, student, source))


def _evenly(units: int, taken: int) -> Tensor:
    """Units at even distances [taken]: 0, 2, 4 of six; 0, 2, 4 of five, the ends included."""
    if units % taken == 0:
        return torch.arange(0, units, units // taken)
    return torch.linspace(0, units - 1, taken, dtype=torch.float64).round().long()
