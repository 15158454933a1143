"""Hydra overrides as texts: their keys and values, and contradictions in a list of them.

Hydra's own parser is exact and slow; where texts are only compared, these functions do.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache

from kdlab.options.schema import Execution


@cache
def key(text: str) -> str:
    """The key of an override, with its package and without `+` or `~`.

    `+matching@init.x=last` has the key `matching@init.x`.
    """
    return text.lstrip("+~").partition("=")[0].strip()


@cache
def value(text: str) -> str:
    """The value of an override, the same for each of its spellings.

    Quotes and blanks are left out; `1e-4` is `0.0001`, and a list of one, `[a]`, is `a`.
    """
    bare = re.sub(r"""[\s'"]""", "", text.partition("=")[2])
    list_of_one = re.fullmatch(r"\[([^\[\],]*)\]", bare)
    bare = list_of_one[1] if list_of_one else bare
    try:
        return str(float(bare))
    except ValueError:
        return bare


@cache
def is_operational(text: str) -> bool:
    """Whether an override is about where and how runs are computed, not about what they are."""
    return re.split(r"[.@]", key(text))[0] in Execution.__dataclass_fields__


def content(texts: Iterable[str]) -> frozenset[tuple[bool, str, str]]:
    """Overrides without their order and spelling: is it deleted, key, value.

    Of a key that is given twice the last counts, as in Hydra.
    """
    values = {(text.startswith("~"), key(text)): value(text) for text in texts}
    return frozenset((deleted, name, text) for (deleted, name), text in values.items())


def contradiction(texts: Iterable[str]) -> str | None:
    """The message for a list that gives a key two values; None where it does not.

    To delete a key and then to add it, as in `~train.lr +train.lr=1`, is no contradiction.
    """
    first_of: dict[str, str] = {}  # by key
    for text in texts:
        if text.startswith("~"):
            first_of.pop(key(text), None)
            continue
        first = first_of.setdefault(key(text), text)
        if value(first) != value(text):
            return f"{first} and {text} contradict each other: one value for a key"
    return None


def quoted(text: str) -> str:
    """In Hydra's single quotes, where only backslashes before a quote are doubled."""
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", escaped) + "'"


def with_root(arguments: Sequence[str]) -> list[str]:
    """A command line with `root=FOLDER` in the place of `--root FOLDER`."""
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        flag, equals, folder = word.partition("=")
        if flag == "--root":
            word = f"root={quoted(folder if equals else next(words, ''))}"
        rest.append(word)
    return rest


def root(texts: Iterable[str]) -> str | None:
    """The root that overrides name; None where they name none."""
    folders = [text.partition("=")[2] for text in texts if key(text) == "root"]
    return folders[-1].strip("'\"") if folders else None
