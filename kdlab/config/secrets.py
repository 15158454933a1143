"""Secrets stay where they are: what lies under a root is kept, copied and shown to others."""

import os
import re
from collections.abc import Mapping
from typing import Any

_WORD = r"(key|token|secret|passw(or)?d|credential)s?"
VARIABLE = re.compile(rf"(?i)\w*{_WORD}(_\w*)?")  # such as HF_TOKEN
# In a shell line: a variable or an option that is given a value, a login, a header.
LINE = re.compile(
    rf"(?i){_WORD}(_\w*)?\s*=|--[\w-]*{_WORD}[\w-]*\s+\S|\blog-?in\b|\bbearer\b|\bauthorization\b"
)
SHORTEST = 8  # characters of a value that is looked for: shorter ones are words


def variable_in(text: str) -> str | None:
    """The environment variable, secret by its name, whose value a text has; None without one."""
    return next((name for name, value in _values() if value in text), None)


def why_secret(place: Mapping[str, Any], where: str) -> str | None:
    """Why what a launcher or a tracker is told would leave a secret in files; None if it does not.

    Args:
        place: the node.
        where: its place in the page, for the message.
    """
    for key, text in _texts(place, where):
        shown = f"{key.rpartition('.')[2]}={text}"
        if name := variable_in(text):
            return f"{key}: has the value of {name}, which would stay in files"
        if where == "launcher" and LINE.search(shown):
            return (
                f"{key}: a line looks like a secret, which would stay in files; "
                "export it in the shell that launches, SLURM hands it on"
            )
    return None


def _values() -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in os.environ.items()
        if len(value) >= SHORTEST and VARIABLE.fullmatch(name)
    ]


def _texts(node: Any, where: str) -> list[tuple[str, str]]:
    """Every text in a node, with its key."""
    if isinstance(node, Mapping):
        return [found for key, value in node.items() for found in _texts(value, f"{where}.{key}")]
    if isinstance(node, list):
        return [found for value in node for found in _texts(value, where)]
    return [(where, node)] if isinstance(node, str) else []
