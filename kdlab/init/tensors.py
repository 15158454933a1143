"""What an encoder's tensors are: their layer, and of which units their rows and columns are.

A unit is one number of a state, of a head, or of the inside of a feed-forward. To narrow an encoder
is to take some units of a kind out of every tensor that has a row or column for each of them.
"""

import re
from collections.abc import Callable, Sequence
from typing import Literal

from torch import Tensor

from kdlab.encoders import layers
from kdlab.encoders.architecture import Architecture
from kdlab.encoders.families import FAMILIES
from kdlab.errors import Misfit

Weights = dict[str, Tensor]
Rule = Literal["first", "last", "skip", "both_ends"]
Kinds = tuple[str, ...]

# For example `encoder.layer.3.output.dense.bias`: up to the layer's number, the number, the rest.
LAYER = re.compile(r"(.*\blayers?\.)(\d+)(\..*)")
# What a tensor does (its role): its name without layer, `.weight` and `.bias` (of BERT, RoBERTa and
# ELECTRA before the bar, of DistilBERT after it), and whose units its rows and columns are. The
# stream is the hidden states [b, t, d], which every layer reads and writes; `inner` are the neurons
# of a feed-forward, `before` ELECTRA's narrower embeddings.
ROLES: dict[str, tuple[str, Kinds]] = {
    "query": (r"attention\.(self\.query|q_lin)", ("heads", "stream")),
    "key": (r"attention\.(self\.key|k_lin)", ("heads", "stream")),
    "value": (r"attention\.(self\.value|v_lin)", ("heads", "stream")),
    "out": (r"attention\.(output\.dense|out_lin)", ("stream", "heads")),
    "up": (r"intermediate\.dense|ffn\.lin1", ("inner", "stream")),
    "down": (r"output\.dense|ffn\.lin2", ("stream", "inner")),
    "norm": (r"(.*\.)?(LayerNorm|\w+_layer_norm)", ("stream",)),
    "table": (r"embeddings\.\w+_embeddings", ("token", "stream")),
    "entry": (r"embeddings_project", ("stream", "before")),
    "pooler": (r"pooler\.dense", ("pooled", "stream")),
}


def role(name: str) -> str:
    """What a tensor does; ValueError for a name that no known family has.

    For example `encoder.layer.3.attention.self.query.bias` is a `query`.
    """
    in_a_layer = LAYER.fullmatch(name)
    part = (in_a_layer[3][1:] if in_a_layer else name).removesuffix(".weight").removesuffix(".bias")
    for role, (pattern, _) in ROLES.items():
        if re.fullmatch(pattern, part):
            return role
    raise ValueError(f"no rule for the tensor {name}")


def part(name: str) -> str:
    """What a tensor does and which it is, such as `query.weight`."""
    return f"{role(name)}.{name.rpartition('.')[2]}"


def kinds(name: str, tensor: Tensor, hidden: int) -> Kinds:
    """Of which kind of units a tensor's dimensions are, such as ("heads", "stream") of a query.

    Embeddings of another width than the stream's (ELECTRA's) are no part of the stream.
    """
    # A bias or LayerNorm has one dimension, the units that it is added to or scales.
    if name.startswith("embeddings.") and tensor.shape[-1] != hidden:
        return ("token", "before")[-tensor.ndim :]
    return ROLES[role(name)][1][: tensor.ndim]


def layer_of(name: str) -> int | None:
    """The 0-based layer that a tensor belongs to, None outside the layers."""
    in_a_layer = LAYER.fullmatch(name)
    return int(in_a_layer[2]) if in_a_layer else None


def in_layer(name: str, layer: int) -> str:
    """The name of the same tensor in another layer, 0-based."""
    return LAYER.sub(rf"\g<1>{layer}\g<3>", name)


def select_layers(weights: Weights, chosen: Sequence[int]) -> Weights:
    """Everything but the layers as it is, and the `chosen` layers (1-based) as layers 1, 2, ...

    For example `chosen` of [4, 2] makes layer 4 of the source the first, and layer 2 the second.
    """
    selected = {}
    for name, tensor in weights.items():
        number = layer_of(name)
        if number is None:
            selected[name] = tensor
        elif number + 1 in chosen:
            selected[in_layer(name, chosen.index(number + 1))] = tensor
    return selected


def take(
    weights: Weights, hidden: int, from_kinds: Kinds, units: Callable[[int | None], Tensor]
) -> Weights:
    """The tensors with some units of these kinds only.

    Args:
        weights: an encoder's.
        hidden: the width of its stream.
        from_kinds: the kinds of units to choose from.
        units: the 0-based units to keep, by layer.
    """
    narrow = {}
    for name, tensor in weights.items():
        # Of the tensor as it came: `kinds` knows embeddings by a width that this loop may change.
        for dimension, kind in enumerate(kinds(name, tensor, hidden)):
            if kind in from_kinds:
                tensor = tensor.index_select(dimension, units(layer_of(name)))
        narrow[name] = tensor
    return narrow


def chosen_layers(rule: Rule | list[int], student: Architecture, source: Architecture) -> list[int]:
    """The source layers (1-based) that a rule of `kdlab.encoders.layers` or a list names."""
    if student.layers > source.layers:
        raise Misfit(f"{student.layers} student layers are more than the source's {source.layers}")
    if isinstance(rule, str):
        return getattr(layers, rule)(student.layers, source.layers)
    if len(rule) != student.layers:
        raise Misfit(f"layers={rule}: {len(rule)} for a student of {student.layers}")
    if len(set(rule)) < len(rule) or not all(1 <= layer <= source.layers for layer in rule):
        raise Misfit(f"layers={rule}: each is one of 1 to {source.layers}, none comes twice")
    return rule


def check_equal(student: Architecture, source: Architecture, *names: str) -> None:
    """`Misfit` where the student differs from the source in one of these."""
    for name in names:
        in_student, in_source = getattr(student, name), getattr(source, name)
        if in_student != in_source:
            raise Misfit(f"unequal {name}: the student has {in_student}, the source {in_source}")


def check_narrower(student: Architecture, source: Architecture) -> None:
    """`Misfit` unless the student is of the source's family and no dimension is larger."""
    check_equal(student, source, "family")
    if not FAMILIES[student.family].can_be_narrowed:
        known = ", ".join(name for name, family in FAMILIES.items() if family.can_be_narrowed)
        raise Misfit(f"knows the tensors of {known}, not of {student.family}")
    for name in ("hidden", "heads", "intermediate"):
        in_student, in_source = getattr(student, name), getattr(source, name)
        if in_student > in_source:
            raise Misfit(f"larger {name}: the student has {in_student}, the source {in_source}")


def check_head_width(student: Architecture, source: Architecture) -> None:
    """`Misfit` where heads cannot be taken whole."""
    in_student, in_source = (encoder.hidden // encoder.heads for encoder in (student, source))
    if in_student != in_source:
        raise Misfit(
            f"unequal width of heads: the student has {in_student}, the source {in_source}"
        )
