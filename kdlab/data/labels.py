"""Which class each value of a label column is.

A class is a number from 0 to C - 1, in the order of a model's outputs. Which value is which class
is decided by the first of these that applies:

1. `task.labels` lists the values, or their names, in order.
2. The data has an order of its own (a ClassLabel of Hugging Face).
3. The values are the numbers 0 to C - 1 already.
4. The values are sorted: as numbers, if all are numbers.

-1 is no label, as in GLUE's test splits, unless `task.labels` has it.
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

NO_LABEL = "-1"
NUMBER = re.compile(r"[+-]?\d+(\.0*)?")
SHOWN = 10  # values of a column in a message


@dataclass(frozen=True)
class Classes:
    """The classes of a task's train split.

    Attributes:
        numbers: the class of each value that a label may have; values as strings.
        in_train: the values that occur in train.
        names: what the classes are called, in order; None where the data has no words for them.
    """

    numbers: Mapping[str, int]
    in_train: frozenset[str]
    names: tuple[str, ...] | None


def text(value: Any) -> str | None:
    """A label as a string, the same for 1, 1.0 and "1"; None for no label."""
    if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA:
        return None
    written = str(value).strip()
    if NUMBER.fullmatch(written):
        return str(int(float(written)))
    return written or None


def classes(column: pd.Series, task: Task) -> Classes:
    """The classes of a task, from the labels of its train split.

    Raises:
        BadInput: the labels are not as many classes as the task has, or all the same.
    """
    listed, categories = _listed(task), _categories(column)
    values = {value for value in _texts(column, task)[1] if value is not None}
    values -= {NO_LABEL} - set(listed or ())
    if len(values) < 2:
        what = f"all of {task.train} is {values.pop()}" if values else f"none in {task.train}"
        raise BadInput(f"task {task.name}: {task.label}: {what}: there is nothing to learn")
    ordered = _ordered(task, values, listed, categories)
    names = listed or categories or (None if ordered == _class_numbers(task) else ordered)
    numbers = {value: number for number, value in enumerate(ordered)}
    return Classes(numbers, frozenset(values), names)


def numbers(column: pd.Series, known: Classes, task: Task, split: str) -> np.ndarray:
    """The class of every row [n], NaN for none.

    Raises:
        BadInput: a row has a label that no row of train has.
    """
    codes, distinct = _texts(column, task)
    no_label = {None} if NO_LABEL in known.numbers else {None, NO_LABEL}
    if unknown := set(distinct) - known.in_train - no_label:
        raise BadInput(
            f"task {task.name}: {task.label}: {_some(_sorted(unknown))} in {split} and not in "
            f"{task.train}, which has {_some(_sorted(known.in_train))}"
        )
    numbers = [known.numbers.get(value or "", np.nan) for value in distinct]
    return np.array([*numbers, np.nan])[codes]  # code -1, an empty cell, is the last


def values(column: pd.Series, task: Task, split: str) -> np.ndarray:
    """A regression's labels [n], NaN for none.

    Raises:
        BadInput: one is no number, or all are the same, so that no correlation is defined.
    """
    numbers = pd.to_numeric(column.replace("", None), errors="coerce").to_numpy(dtype=np.float64)
    wrong = column[np.isnan(numbers) & column.notna() & (column != "")]
    if len(wrong) or np.isinf(numbers).any():
        first = wrong.iloc[0] if len(wrong) else np.inf
        raise BadInput(f"task {task.name}: {task.label}: {first!r} in {split} is no number")
    if len(np.unique(numbers[~np.isnan(numbers)])) < 2:
        raise BadInput(f"task {task.name}: {task.label}: all rows of {split} have the same value")
    return numbers


def check(task: Task) -> None:
    """Refuse `task.labels` that are not one name for each class."""
    listed = _listed(task)
    if listed is None:
        return
    if task.kind != "classification":
        raise BadInput("task.labels: only classes have names")
    if len(listed) != task.classes or len(set(map(normalized, listed))) != task.classes:
        raise BadInput(f"task.labels={list(listed)}: {task.classes} different ones (task.classes)")


def _listed(task: Task) -> tuple[str, ...] | None:
    """`task.labels` as strings; None where it is not set."""
    return None if task.labels is None else tuple(text(name) or "" for name in task.labels)


def _class_numbers(task: Task) -> tuple[str, ...]:
    """The strings 0, 1, ..., C - 1."""
    assert task.classes is not None
    return tuple(str(number) for number in range(task.classes))


def _categories(column: pd.Series) -> tuple[str, ...] | None:
    """What a ClassLabel calls its classes, in their order; `kdlab.data.files` reads it so."""
    kind = column.dtype
    if not isinstance(kind, pd.CategoricalDtype) or not kind.ordered:
        return None
    return tuple(text(name) or "" for name in kind.categories)


def _texts(column: pd.Series, task: Task) -> tuple[np.ndarray, list[str | None]]:
    """A label column as [n] positions in a list of its distinct values, -1 for an empty cell."""
    try:
        codes, distinct = pd.factorize(column.astype(object))
    except TypeError:
        raise BadInput(f"task {task.name}: {task.label} holds lists, not one label a row") from None
    return codes, [text(value) for value in distinct]


def _ordered(
    task: Task,
    values: set[str],
    listed: tuple[str, ...] | None,
    categories: tuple[str, ...] | None,
) -> tuple[str, ...]:
    """The values of the classes in their order: the rules at the head of this module."""
    numbers, where = _class_numbers(task), f"task {task.name}: {task.label}"
    if listed:
        if values <= set(listed) and (categories is None or set(categories) == set(listed)):
            return listed
        if categories is None and values <= set(numbers):  # `listed` are the names of these numbers
            return numbers
        there = categories or _sorted(values)
        raise BadInput(f"{where} has {_some(there)}, task.labels {', '.join(listed)}")
    ordered = categories or (numbers if values <= set(numbers) else tuple(_sorted(values)))
    if len(ordered) != task.classes:
        hint = "; -1 is no label unless task.labels has it" if _are_numbers(values) else ""
        raise BadInput(
            f"{where} has {len(ordered)} values ({_some(ordered)}), task.classes={task.classes}"
            + hint
        )
    return ordered


def _are_numbers(values: Iterable[str]) -> bool:
    return all(NUMBER.fullmatch(value) for value in values)


def _sorted(values: Iterable[str | None]) -> list[str]:
    """Labels in order: of their numbers, if all are numbers."""
    labels = [value for value in values if value is not None]
    return sorted(labels, key=int if _are_numbers(labels) else None)


def _some(values: Iterable[str]) -> str:
    """The first few values, for a message."""
    listed = list(values)
    return ", ".join(listed[:SHOWN]) + (" ..." if len(listed) > SHOWN else "")
