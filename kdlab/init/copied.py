"""Inits that copy whole tensors."""

from kdlab.architecture import Architecture
from kdlab.errors import Misfit
from kdlab.init.tensors import Weights, check_equal, chosen_layers, select_layers
from kdlab.models import families, layers


def nothing(weights: Weights, student: Architecture, source: Architecture | None) -> Weights:
    """Random weights throughout."""
    return {}


def everything(weights: Weights, student: Architecture, source: Architecture) -> Weights:
    """All of a checkpoint of the same architecture."""
    if student.layers != source.layers:
        raise Misfit(f"the student has {student.layers} layers, the checkpoint {source.layers}")
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


def both_ends(weights: Weights, student: Architecture, source: Architecture) -> Weights:
    """Embeddings and S layers evenly spread, the first and the last included.

    Sanh et al. 2019, arXiv 1910.01108: 12 to 6 is the list of their released code, 0, 2, 4, 7, 9,
    11 counted from 0. They give no other depths; ours are the same spacing.
    """
    return copy(weights, student, source, layers.both_ends(student.layers, source.layers))


def custom(
    weights: Weights, student: Architecture, source: Architecture, *, layers: list[int]
) -> Weights:
    """Embeddings and the source layers of a list, 1-based, in its order."""
    return copy(weights, student, source, chosen_layers(layers, student, source))


def copy(
    weights: Weights, student: Architecture, source: Architecture, chosen: list[int]
) -> Weights:
    """Everything but the layers as it is, and the `chosen` source layers (1-based) in order."""
    if student.layers > source.layers:
        raise Misfit(f"{student.layers} student layers are more than the source's {source.layers}")
    check_equal(student, source, "family", "hidden", "heads", "intermediate")
    families.check_layers(student.family, chosen)
    return select_layers(weights, chosen)
