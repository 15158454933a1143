"""Which teacher layers stand for a student's layers 1, 2, ...: shared by matching and init.

Layers are 1-based; 0 is the embedding output.
"""


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
