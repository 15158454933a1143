"""Which teacher layers stand for a student's layers 1, 2, ...: shared by matching and init.

Layers are 1-based; 0 is the embedding output.
"""

from itertools import pairwise


def first(student_layers: int, teacher_layers: int) -> list[int]:
    """1, 2, ..., S."""
    return list(range(1, student_layers + 1))


def last(student_layers: int, teacher_layers: int) -> list[int]:
    """T-S+1, ..., T."""
    return list(range(teacher_layers - student_layers + 1, teacher_layers + 1))


def skip(student_layers: int, teacher_layers: int) -> list[int]:
    """Layer i to floor(i T / S + 1/2): evenly spread, the last included, for any depths."""
    return [
        (2 * layer * teacher_layers + student_layers) // (2 * student_layers)
        for layer in range(1, student_layers + 1)
    ]


def both_ends(student_layers: int, teacher_layers: int) -> list[int]:
    """Evenly spread from the first to the last layer, rounded half up; a single one is the last.

    12 to 6 is 1, 3, 5, 8, 10, 12: what DistilBERT's released code takes.
    """
    if student_layers == 1:
        return [teacher_layers]
    gaps = student_layers - 1
    return [
        (2 * gap * (teacher_layers - 1) + gaps) // (2 * gaps) + 1 for gap in range(student_layers)
    ]


def blocks(student_layers: int, teacher_layers: int) -> list[list[int]]:
    """All layers in S consecutive blocks; block i ends with the layer that `skip` takes.

    Sizes differ by one at most: 12 to 5 is 1-2, 3-5, 6-7, 8-10, 11-12.
    """
    ends = [0, *skip(student_layers, teacher_layers)]
    return [list(range(start + 1, end + 1)) for start, end in pairwise(ends)]
