"""Hydra overrides as texts: their keys and values, and which of them concern knowledge.

A study speaks of runs in overrides such as `train.lr=1e-4`. The arm without knowledge that each
row is compared with has the overrides of that row, less those that only distillation knows.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from kdlab.config.overrides import key, quoted

KeyValue = tuple[str, str]

# Groups that only a command line may set: a study says what is trained.
USER_GROUPS = {"hydra", "launcher", "root", "tracker"}
KNOWLEDGE_GROUPS = {"knowledge", "matching", "hard"}
# Keys that an arm without knowledge cannot have: rows without a label would teach it nothing.
UNLABELLED_KEYS = {"data.transfer", "data.extra_rows", "data.extra_split"}


@cache
def is_users_own(text: str) -> bool:
    """Whether an override says where runs go, what a shell runs there, or who is sent results.

    Hydra knows several forms of a key: `launcher=x`, `+launcher.setup=[]`, `launcher@_global_=x`.
    """
    # Studies are sent to colleagues and kept in shared roots: what is let through here may run a
    # command on the reader's account (`launcher.setup`).
    parts = re.split(r"[@/:]", key(text).removeprefix("/"))
    return any(re.split(r"\W", part.removeprefix("_global_."))[0] in USER_GROUPS for part in parts)


@cache
def key_value(text: str) -> KeyValue:
    """The key and the value of an override, 1e-4 and 0.0001 being the same value."""
    name, _, value = text.partition("=")
    # Compared as texts, a skip rule for `train.lr=0.0001` would miss the runs of `train.lr=1e-4`.
    try:
        return name, str(float(value))
    except ValueError:
        return name, value


@cache
def concerns_knowledge(text: str) -> bool:
    """Whether an override is about knowledge, its matching or weight, or unlabelled rows."""
    # `matching@knowledge.matching=last` has the group on one side of the @, the node on the other.
    name = key(text)
    if name in UNLABELLED_KEYS or (name == "data" and _bare(text) in ("labelled", "unlabelled")):
        return True
    return any(part.partition(".")[0] in KNOWLEDGE_GROUPS for part in name.split("@"))


def without_knowledge(texts: Iterable[str]) -> tuple[str, ...]:
    """The overrides that an arm without knowledge shares with one that has some."""
    return tuple(text for text in texts if not concerns_knowledge(text))


def has_no_knowledge(texts: Sequence[str]) -> bool:
    """Whether overrides choose `knowledge=none`; of several choices the last counts."""
    choices = [text for text in texts if key(text) == "knowledge"]
    return bool(choices) and _bare(choices[-1]) == "none"


def shared_with_control(texts: Iterable[str]) -> frozenset[KeyValue]:
    """What is left without knowledge, whatever the order; of a repeated key the last counts.

    Arms for which this is equal are compared with the same arm without knowledge.
    """
    return frozenset(dict(key_value(text) for text in without_knowledge(texts)).items())


def of_values(name: str, values: Iterable[Any]) -> list[str]:
    """One override for each value of a key."""
    return [f"{name}={value_text(value)}" for value in values]


def value_text(value: Any) -> str:
    """A value of a YAML as Hydra reads it."""
    # str() would write True and None, which Hydra reads as texts.
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def of_teacher(texts: Sequence[str]) -> str:
    """A teacher's own overrides as one override of its student's."""
    return f"teacher.overrides=[{','.join(map(quoted, texts))}]"


def _bare(text: str) -> str:
    """An override's value without brackets and quotes."""
    return text.partition("=")[2].strip(" []'\"")
