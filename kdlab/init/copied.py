"""Inits that copy whole tensors."""

from kdlab.encoders import families
from kdlab.encoders.architecture import Architecture
from kdlab.errors import Misfit
from kdlab.init.tensors import Rule, Weights, check_equal, chosen_layers, select_layers


def nothing(weights: Weights, student: Architecture, source: Architecture | None) -> Weights:
    """Random weights throughout."""
    return {}


def everything(weights: Weights, student: Architecture, source: Architecture) -> Weights:
    """All of a checkpoint of the same architecture."""
    if student.layers != source.layers:
        raise Misfit(f"the student has {student.layers} layers, the checkpoint {source.layers}")
    return _copy(weights, student, source, list(range(1, source.layers + 1)))


def first(weights: Weights, student: Architecture, source: Architecture) -> Weights:
    """Embeddings and layers 1 to S. Sun et al. 2019, arXiv 1908.09355."""
    return _copy(weights, student, source, "first")


def last(weights: Weights, student: Architecture, source: Architecture) -> Weights:
    """Embeddings and the last S layers."""
    return _copy(weights, student, source, "last")


def skip(weights: Weights, student: Architecture, source: Architecture) -> Weights:
    """Embeddings and S layers evenly spread, the last included.

    Sanh et al. 2019, arXiv 1910.01108, take every other layer; theirs starts with the first.
    """
    return _copy(weights, student, source, "skip")


def both_ends(weights: Weights, student: Architecture, source: Architecture) -> Weights:
    """Embeddings and S layers evenly spread, the first and the last included.

    Sanh et al. 2019, arXiv 1910.01108: 12 to 6 is the list of their released code, 0, 2, 4, 7, 9,
    11 counted from 0. They give no other depths; ours are the same spacing.
    """
    return _copy(weights, student, source, "both_ends")


def custom(
    weights: Weights, student: Architecture, source: Architecture, *, layers: list[int]
) -> Weights:
    """Embeddings and the source layers of a list, 1-based, in its order."""
    return _copy(weights, student, source, layers)


def _copy(
    weights: Weights, student: Architecture, source: Architecture, layers: Rule | list[int]
) -> Weights:
    """Everything but the layers as it is, and the source layers of a rule or list in its order."""
    chosen = chosen_layers(layers, student, source)
    check_equal(student, source, "family", "hidden", "heads", "intermediate")
    # In some families layers differ in kind, and each must stay at a position of its kind.
    families.check_layers(student.family, chosen)
    return select_layers(weights, chosen)
