"""How large the weights of an encoder's units are, and encoders with their largest units only.

Norms are Frobenius, sums are in float64, and equal units keep their order.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from kdlab.encoders.architecture import Architecture
from kdlab.init.tensors import Weights, kinds, layer_of, part, take


def on_stream(weights: Weights, hidden: int) -> list[Tensor]:
    """The matrices that read, write or hold states of the stream, as rows [n, d], float64."""
    matrices = []
    for name, tensor in weights.items():
        axes = kinds(name, tensor, hidden)
        if tensor.ndim == 2 and "stream" in axes:
            rows = tensor if axes[1] == "stream" else tensor.T
            matrices.append(rows.double())
    return matrices


def moment(weights: Weights, hidden: int) -> Tensor:
    """The sum of MᵀM / ‖M‖² [d, d] over the matrices M on the stream: each counts the same."""
    total = torch.zeros(hidden, hidden, dtype=torch.float64)
    for rows in on_stream(weights, hidden):
        if (size := rows.square().sum()) > 0:
            total += rows.T @ rows / size
    return total


def stream(weights: Weights, hidden: int) -> Tensor:
    """For each unit of the stream its share of the matrices' squared norms, summed [d]."""
    total = torch.zeros(hidden, dtype=torch.float64)
    for rows in on_stream(weights, hidden):
        squares = rows.square().sum(0)
        if (size := squares.sum()) > 0:
            total += squares / size
    return total


def heads(layer: Weights, count: int) -> Tensor:
    """For each head the norm of what it writes, W_O [W_V, b_V] [h]."""
    value = torch.cat([layer["value.weight"], layer["value.bias"][:, None]], 1).double()
    out = layer["out.weight"].double()
    # Of the product: how its size is divided between the two factors says nothing.
    writes = out.T.reshape(count, -1, out.shape[0])
    reads = value.reshape(count, -1, value.shape[1])
    return (writes.transpose(1, 2) @ reads).flatten(1).norm(dim=1)


def neurons(layer: Weights) -> Tensor:
    """For each neuron the norm of its rank-one map, ‖[w_in, b_in]‖ ‖w_out‖ [f]."""
    reads = torch.cat([layer["up.weight"], layer["up.bias"][:, None]], 1).double()
    return reads.norm(dim=1) * layer["down.weight"].double().norm(dim=0)


def largest(scores: Tensor, count: int) -> Tensor:
    """The 0-based positions of the largest scores, in ascending order."""
    # Sorted twice: the largest first, then those chosen back into the source's order.
    return scores.sort(descending=True, stable=True).indices[:count].sort().values


def take_heads(weights: Weights, student: Architecture, source: Architecture) -> Weights:
    """Each layer with its largest heads only, whole; the stream is narrowed already."""
    width = source.hidden // source.heads

    def units(layer: Weights) -> Tensor:
        numbers = largest(heads(layer, source.heads), student.heads)
        # Head i has the `width` units from i * width on.
        return (numbers[:, None] * width + torch.arange(width)).flatten()

    return _take(weights, student.hidden, "heads", units)


def take_neurons(weights: Weights, student: Architecture) -> Weights:
    """Each layer with its largest neurons only; the stream is narrowed already."""

    def units(layer: Weights) -> Tensor:
        return largest(neurons(layer), student.intermediate)

    return _take(weights, student.hidden, "inner", units)


def by_part(weights: Weights) -> dict[int, Weights]:
    """For each layer (0-based) its tensors by what they are, such as `query.weight`."""
    layers: dict[int, Weights] = {}
    for name, tensor in weights.items():
        number = layer_of(name)
        if number is not None:
            layers.setdefault(number, {})[part(name)] = tensor
    return layers


def _take(weights: Weights, hidden: int, kind: str, units: Callable[[Weights], Tensor]) -> Weights:
    """The tensors with some units of a kind only: those that `units` chooses in each layer."""
    units_of: dict[int | None, Tensor] = {
        number: units(layer) for number, layer in by_part(weights).items()
    }
    return take(weights, hidden, (kind,), lambda layer: units_of[layer])
