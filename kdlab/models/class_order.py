"""Which output of a checkpoint each class of a task is."""

import re
from collections.abc import Iterable, Sequence

from kdlab.errors import NotApplicable


def order(task: str, ours: Sequence[str] | None, theirs: Sequence[str] | None) -> list[int] | None:
    """Which output of a checkpoint each class of a task is; None where they are in one order.

    Words are compared whatever their case, with `-`, `_` and white space alike. Where either has no
    words (LABEL_0, or numbers) nothing is known, and outputs are taken in their order.

    Args:
        task: its name, for messages.
        ours: what the task's classes are called.
        theirs: what the checkpoint's outputs are called.

    Raises:
        NotApplicable: both have words, and they are not the same ones.
    """
    if ours is None or theirs is None or not (_are_words(ours) and _are_words(theirs)):
        return None
    one, other = [normalized(name) for name in ours], [normalized(name) for name in theirs]
    if sorted(one) != sorted(other):
        raise NotApplicable(
            f"its outputs are called {', '.join(theirs)}, and the classes of task={task} "
            f"{', '.join(ours)}: where they mean the same, call them so in its config.json "
            "(id2label); teacher.insist=true takes them as they come"
        )
    return None if one == other else [other.index(name) for name in one]


def _are_words(names: Iterable[str]) -> bool:
    return not any(re.fullmatch(r"(label[ _-]?)?[+-]?\d+", name.strip().lower()) for name in names)


def normalized(name: str) -> str:
    inside = r"(?<=[^\W_])[\s_-]+(?=[^\W_])"  # a minus before a number stays
    return re.sub(inside, " ", name).strip().lower()
