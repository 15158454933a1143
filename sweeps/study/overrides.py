"""Hydra overrides as texts: their keys and values, and what in them concerns knowledge."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from kdlab.config.overrides import key
from kdlab.config.parents import quoted

Said = tuple[str, str]

# What only a command line may say: a study says what is trained.
USERS = {"hydra", "launcher", "root", "tracker"}
KNOWLEDGE = {"knowledge", "matching", "hard"}
# What an arm without knowledge cannot have: rows without a label would teach it nothing.
UNLABELLED = {"data.transfer", "data.extra_rows", "data.extra_split"}


@cache
def is_users_own(text: str) -> bool:
    """Whether an override says where runs go, what a shell runs there, or who is told."""
    parts = re.split(r"[@/:]", key(text).removeprefix("/"))
    return any(re.split(r"\W", part.removeprefix("_global_."))[0] in USERS for part in parts)


@cache
def said(text: str) -> Said:
    """Key and value, 1e-4 and 0.0001 being the same."""
    name, _, value = text.partition("=")
    try:
        return name, str(float(value))
    except ValueError:
        return name, value


@cache
def concerns_knowledge(text: str) -> bool:
    """Whether an override is about knowledge, its matching or weight, or unlabelled rows."""
    name = key(text)
    if name in UNLABELLED or (name == "data" and _bare(text) in ("labelled", "unlabelled")):
        return True
    return any(part.partition(".")[0] in KNOWLEDGE for part in name.split("@"))


def without_knowledge(texts: Iterable[str]) -> tuple[str, ...]:
    """The overrides that an arm without knowledge shares with one that has some."""
    return tuple(text for text in texts if not concerns_knowledge(text))


def has_no_knowledge(texts: Sequence[str]) -> bool:
    """Whether overrides say `knowledge=none`; of several the last counts."""
    chosen = [text for text in texts if key(text) == "knowledge"]
    return bool(chosen) and _bare(chosen[-1]) == "none"


def rest(texts: Iterable[str]) -> frozenset[Said]:
    """What is left without knowledge, whatever the order; of a repeated key the last counts."""
    return frozenset(dict(said(text) for text in without_knowledge(texts)).items())


def each(name: str, values: Iterable[Any]) -> list[str]:
    """One override for each value of a key."""
    return [f"{name}={value_text(value)}" for value in values]


def value_text(value: Any) -> str:
    """A value of a YAML as Hydra reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def parent(texts: Sequence[str]) -> str:
    """A teacher's own overrides as one override of its student's."""
    return f"teacher.overrides=[{','.join(map(quoted, texts))}]"


def _bare(text: str) -> str:
    return text.partition("=")[2].strip(" []'\"")
