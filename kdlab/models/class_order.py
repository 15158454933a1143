"""Which output of a checkpoint each class of a task is."""

import re
from collections.abc import Iterable, Sequence

from kdlab.errors import NotApplicable


def order(
    task: str, classes: Sequence[str] | None, outputs: Sequence[str] | None
) -> list[int] | None:
    """Which output of a checkpoint each class of a task is; None if the order is the same.

    Names are compared whatever their case, with `-`, `_` and white space alike. Where either side
    has no names (LABEL_0, or numbers) nothing is known, and outputs are taken in their order.

    Args:
        task: its name, for messages.
        classes: what the task's classes are called, in order; None: they have no names.
        outputs: what the checkpoint's outputs are called, in order.

    Raises:
        NotApplicable: both have names, and they are not the same ones.

    Example:
        Classes (entailment, neutral, contradiction) of a checkpoint whose outputs are
        (CONTRADICTION, ENTAILMENT, NEUTRAL) are its outputs [1, 2, 0].
    """
    if classes is None or outputs is None or not (_are_words(classes) and _are_words(outputs)):
        return None
    class_names = [normalized(name) for name in classes]
    output_names = [normalized(name) for name in outputs]
    if sorted(class_names) != sorted(output_names):
        raise NotApplicable(
            f"its outputs are called {', '.join(outputs)}, and the classes of task={task} "
            f"{', '.join(classes)}: where they mean the same, call them so in its config.json "
            "(id2label); teacher.insist=true takes them as they come"
        )
    if class_names == output_names:
        return None
    return [output_names.index(name) for name in class_names]


def _are_words(names: Iterable[str]) -> bool:
    return not any(re.fullmatch(r"(label[ _-]?)?[+-]?\d+", name.strip().lower()) for name in names)


def normalized(name: str) -> str:
    """A name in lower case, with one space for each run of `-`, `_` and white space in it."""
    inside = r"(?<=[^\W_])[\s_-]+(?=[^\W_])"  # not at its ends: a minus before a number stays
    return re.sub(inside, " ", name).strip().lower()
