"""An init that narrows a source by singular value decompositions.

Let D and d be the widths of source and student, P [D, d] a matrix with orthonormal columns and
s = √(d / D). A state x of the source becomes z = s Pᵀ x in the student, in every layer, since all
layers add to one stream. The factor s keeps the variance over units, so that a LayerNorm and its
epsilon do to z what they did to x. What follows for the tensors:

    tables           E    to  s E P
    reading          W    to  W P / s           q, k, v, the neurons' inputs, the pooler
    writing          W, b to  s Pᵀ W, s Pᵀ b    what attention and neurons put out
    LayerNorm        γ, β to  Σ_j P²_ji γ_j, s Pᵀ β

P maps the direction of the mean (1, ..., 1) to itself; the rest of it spans the d - 1 directions
that hold most of all matrices on the stream, each of norm 1: the best rank d - 1 approximation of
the matrices one upon another, without their means (Eckart and Young 1936). Of all bases of that
space it is the one nearest to the first d units (orthogonal Procrustes), so that it does not
depend on the signs of singular vectors.

A head narrower than the source's gets the best approximation of rank e' of W_Qᵀ W_K and of
W_O W_V, biases as one more column; scores keep their size under 1 / √e'. With fewer heads or
neurons, those with the largest maps stay. Neurons and the pooler's outputs are not mixed, because
their non-linearity acts on each; of the pooler's outputs the first stay.

What is preserved: if the source's states lie in the space of P, each LayerNorm has one γ for all
units, the maps of heads have rank e' and the neurons that go are dead, then the student's states
are s Pᵀ x and its attention is the source's, exactly. Otherwise it is an approximation, above all
of γ, the diagonal of Pᵀ diag(γ) P. Where nothing is narrower, tensors are copied as they are.
"""

import math

import torch
from torch import Tensor

from kdlab.encoders.architecture import Architecture
from kdlab.errors import Misfit
from kdlab.init import importance, tensors
from kdlab.init.approximation import basis, factors
from kdlab.init.tensors import Rule, Weights


def svd(
    weights: Weights, student: Architecture, source: Architecture, *, layers: Rule | list[int]
) -> Weights:
    """The source in the directions that hold most of its weights, as the module describes.

    The rotation of the stream is that of Ashkboos et al. 2024, arXiv 2401.15024 (SliceGPT), who
    take the states of calibration data, a basis for each layer and RMSNorm; an init reads no data,
    and BERT's stream passes through each LayerNorm, so ours has one basis, from the weights.
    """
    tensors.check_narrower(student, source)
    if student.hidden * source.heads > source.hidden * student.heads:
        student_width, source_width = (
            encoder.hidden // encoder.heads for encoder in (student, source)
        )
        raise Misfit(f"heads of width {student_width}, and the source's have {source_width}")
    weights = tensors.select_layers(weights, tensors.chosen_layers(layers, student, source))
    # Without weights this is the check before any work, and there is nothing to decompose.
    if weights and student.hidden < source.hidden:
        matrices = importance.moment(weights, source.hidden)
        weights = _project(weights, basis(matrices, student.hidden))
    weights = importance.take_heads(weights, student, source)
    weights = importance.take_neurons(weights, student)
    if student.hidden // student.heads < source.hidden // source.heads:
        weights = _narrow_heads(weights, student)
    return weights


def _project(weights: Weights, space: Tensor) -> Weights:
    """The encoder whose states are s Pᵀ x.

    Args:
        weights: of an encoder of width D.
        space: P [D, d], float64.
    """
    scale = math.sqrt(space.shape[1] / space.shape[0])
    projected = {}
    for name, tensor in weights.items():
        axes, exact = tensors.kinds(name, tensor, space.shape[0]), tensor.double()
        # The table at the head of this module, row by row.
        if tensors.role(name) == "norm" and name.endswith("weight") and axes == ("stream",):
            exact = space.square().T @ exact
        elif axes[0] == "stream":
            exact = scale * space.T @ exact
        elif axes[-1] == "stream":
            exact = exact @ space * (scale if tensors.role(name) == "table" else 1 / scale)
        if axes[0] == "pooled":
            exact = exact[: space.shape[1]]
        projected[name] = exact.to(tensor.dtype)
    return projected


def _narrow_heads(weights: Weights, student: Architecture) -> Weights:
    """The encoder, which has the student's number of heads, with heads of the student's width."""
    width = student.hidden // student.heads
    layers: dict[int | None, Weights] = {
        number: _narrowed(layer, student.heads, width)
        for number, layer in importance.by_part(weights).items()
    }
    narrow = {}
    for name, tensor in weights.items():
        layer = layers.get(tensors.layer_of(name), {})
        narrow[name] = layer.get(tensors.part(name), tensor).to(tensor.dtype)
    return narrow


def _narrowed(layer: Weights, heads: int, width: int) -> Weights:
    """The four matrices of an attention and the biases of three, by role."""
    # A bias is one more column, since W x + b is [W, b] times (x, 1): the best approximation is of
    # both together.
    query, key, value = (
        torch.cat([layer[f"{side}.weight"], layer[f"{side}.bias"][:, None]], 1)
        .double()
        .unflatten(0, (heads, -1))
        for side in ("query", "key", "value")
    )
    out = layer["out.weight"].T.double().unflatten(0, (heads, -1))
    # Attention divides a score by the root of a head's width, which shrinks from e to e'; queries
    # and keys each make up for half of that: (e' / e)^(1/2) in their product.
    size = (width / query.shape[1]) ** 0.25
    query, key = (size * factor for factor in factors(query, key, width))
    out, value = factors(out, value, width)
    narrow = {"out.weight": out.flatten(0, 1).T.contiguous()}
    for side, tensor in (("query", query), ("key", key), ("value", value)):
        narrow[f"{side}.weight"] = tensor[..., :-1].flatten(0, 1).contiguous()
        narrow[f"{side}.bias"] = tensor[..., -1].flatten().contiguous()
    return narrow
