"""Hydra overrides as texts: their keys and values, and what is wrong with a list of them."""

import re
from collections.abc import Iterable
from functools import cache

from kdlab.options.schema import Execution


@cache
def key(text: str) -> str:
    """The key of an override, with its package and without `+` or `~`."""
    return text.lstrip("+~").partition("=")[0].strip()


@cache
def value(text: str) -> str:
    """Its value however it is spelt: quotes and blanks left out, 1e-4 as 0.0001, `[a]` as a."""
    bare = re.sub(r"""[\s'"]""", "", text.partition("=")[2])
    alone = re.fullmatch(r"\[([^\[\],]*)\]", bare)
    bare = alone[1] if alone else bare
    try:
        return str(float(bare))
    except ValueError:
        return bare


@cache
def is_operational(text: str) -> bool:
    """Whether an override is about where and how runs are computed, not about what they are."""
    return re.split(r"[.@]", key(text))[0] in Execution.__dataclass_fields__


def content(texts: Iterable[str]) -> frozenset[tuple[bool, str, str]]:
    """What overrides say, whatever their order and spelling; of a repeated key the last counts."""
    said = {(text.startswith("~"), key(text)): value(text) for text in texts}
    return frozenset((*of, what) for of, what in said.items())


def contradiction(texts: Iterable[str]) -> str | None:
    """What is wrong with a list that gives a key two values; to delete one and add it is right."""
    given: dict[str, str] = {}
    for text in texts:
        if text.startswith("~"):
            given.pop(key(text), None)
            continue
        first = given.setdefault(key(text), text)
        if value(first) != value(text):
            return f"{first} and {text} contradict each other: one value for a key"
    return None
