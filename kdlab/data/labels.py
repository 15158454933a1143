"""What a label column's values are as classes, and whether a checkpoint means the same by them.

A class is a number from 0 to C - 1, in the order of a model's outputs. Which value is which class
is said by `task.labels`, else by the data's own order (a ClassLabel of Hugging Face), else the
values are such numbers already, else they are sorted. -1 is no label, as in GLUE's test splits,
unless `task.labels` has it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kdlab.errors import BadInput
from kdlab.models.class_order import normalized
from kdlab.options.schema import Task

NONE = "-1"
NUMBER = re.compile(r"[+-]?\d+(\.0*)?")
SHOWN = 10  # values of a column, in a message


@dataclass(frozen=True)
class Classes:
    """The classes of a task's train split.

    Attributes:
        numbers: the class of each value that a label may have, as a text.
        seen: the values that train has.
        names: what the classes are called, in order; None where the data has no words for them.
    """

    numbers: Mapping[str, int]
    seen: frozenset[str]
    names: tuple[str, ...] | None


def text(value: Any) -> str | None:
    """A label as a text, the same for 1, 1.0 and "1"; None for no label."""
    if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA:
        return None
    said = str(value).strip()
    if NUMBER.fullmatch(said):
        return str(int(float(said)))
    return said or None


def classes(column: pd.Series, task: Task) -> Classes:
    """The classes of a task, from the labels of its train split.

    Raises:
        BadInput: the labels are not as many classes as the task has, or all the same.
    """
    given, own = _given(task), _categories(column)
    found = {said for said in _texts(column, task)[1] if said is not None}
    found -= {NONE} - set(given or ())
    if len(found) < 2:
        what = f"all of {task.train} is {found.pop()}" if found else f"none in {task.train}"
        raise BadInput(f"task {task.name}: {task.label}: {what}: there is nothing to learn")
    ordered = _ordered(task, found, given, own)
    names = given or own or (None if ordered == _plain(task) else ordered)
    return Classes({value: number for number, value in enumerate(ordered)}, frozenset(found), names)


def numbers(column: pd.Series, known: Classes, task: Task, split: str) -> np.ndarray:
    """The class of every row [n], NaN for none.

    Raises:
        BadInput: a row has a label that no row of train has.
    """
    codes, found = _texts(column, task)
    without = {None} if NONE in known.numbers else {None, NONE}
    if unknown := set(found) - known.seen - without:
        raise BadInput(
            f"task {task.name}: {task.label}: {_some(_sorted(unknown))} in {split} and not in "
            f"{task.train}, which has {_some(_sorted(known.seen))}"
        )
    each = [known.numbers.get(said or "", np.nan) for said in found]
    return np.array([*each, np.nan])[codes]


def values(column: pd.Series, task: Task, split: str) -> np.ndarray:
    """A regression's labels [n], NaN for none.

    Raises:
        BadInput: one is no number, or all are the same, which no correlation can be had with.
    """
    found = pd.to_numeric(column.replace("", None), errors="coerce").to_numpy(dtype=np.float64)
    wrong = column[np.isnan(found) & column.notna() & (column != "")]
    if len(wrong) or np.isinf(found).any():
        first = wrong.iloc[0] if len(wrong) else np.inf
        raise BadInput(f"task {task.name}: {task.label}: {first!r} in {split} is no number")
    if len(np.unique(found[~np.isnan(found)])) < 2:
        raise BadInput(f"task {task.name}: {task.label}: all rows of {split} have the same value")
    return found


def check(task: Task) -> None:
    """Refuse `task.labels` that are not one name for each class."""
    given = _given(task)
    if given is None:
        return
    if task.classes is None or task.classes < 2:
        raise BadInput("task.labels: only classes have names")
    if len(given) != task.classes or len(set(map(normalized, given))) != task.classes:
        raise BadInput(f"task.labels={list(given)}: {task.classes} different ones (task.classes)")


def _given(task: Task) -> tuple[str, ...] | None:
    return None if task.labels is None else tuple(text(name) or "" for name in task.labels)


def _plain(task: Task) -> tuple[str, ...]:
    assert task.classes is not None
    return tuple(str(number) for number in range(task.classes))


def _categories(column: pd.Series) -> tuple[str, ...] | None:
    """What a ClassLabel calls its classes, in their order; `kdlab.data.files` reads it so."""
    kind = column.dtype
    if not isinstance(kind, pd.CategoricalDtype) or not kind.ordered:
        return None
    return tuple(text(name) or "" for name in kind.categories)


def _texts(column: pd.Series, task: Task) -> tuple[np.ndarray, list[str | None]]:
    """A label column as [n] places in a list of texts, -1 where there is nothing."""
    try:
        codes, found = pd.factorize(column.astype(object))
    except TypeError:
        raise BadInput(f"task {task.name}: {task.label} holds lists, not one label a row") from None
    return codes, [text(value) for value in found]


def _ordered(
    task: Task, found: set[str], given: tuple[str, ...] | None, own: tuple[str, ...] | None
) -> tuple[str, ...]:
    """The values of the classes in their order."""
    plain, where = _plain(task), f"task {task.name}: {task.label}"
    if given:
        if found <= set(given) and (own is None or set(own) == set(given)):
            return given
        if own is None and found <= set(plain):  # these are numbers, `given` their names
            return plain
        there = own or _sorted(found)
        raise BadInput(f"{where} has {_some(there)}, task.labels {', '.join(given)}")
    ordered = own or (plain if found <= set(plain) else tuple(_sorted(found)))
    if len(ordered) != task.classes:
        hint = "; -1 is no label unless task.labels has it" if _are_numbers(found) else ""
        raise BadInput(
            f"{where} has {len(ordered)} values ({_some(ordered)}), task.classes={task.classes}"
            + hint
        )
    return ordered


def _are_numbers(found: Iterable[str]) -> bool:
    return all(NUMBER.fullmatch(value) for value in found)


def _sorted(found: Iterable[str | None]) -> list[str]:
    there = [value for value in found if value is not None]
    return sorted(there, key=int if _are_numbers(there) else None)


def _some(found: Iterable[str]) -> str:
    listed = list(found)
    return ", ".join(listed[:SHOWN]) + (" ..." if len(listed) > SHOWN else "")
