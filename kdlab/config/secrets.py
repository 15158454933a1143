"""Secrets stay out of overrides: records and plans are kept, copied and shown to others."""

import os
import re
from collections.abc import Mapping
from typing import Any

WORD = r"(key|token|secret|passw(or)?d|credential)s?"
VARIABLE = re.compile(rf"(?i)\w*{WORD}(_\w*)?")  # such as HF_TOKEN
# In a shell line: a variable or an option that is given a value, a login, a header.
LINE = re.compile(
    rf"(?i){WORD}(_\w*)?\s*=|--[\w-]*{WORD}[\w-]*\s+\S|\blog-?in\b|\bbearer\b|\bauthorization\b"
)
SHORTEST = 8  # characters; a shorter value would be found in harmless words


def variable_in(text: str) -> str | None:
    """The environment variable, secret by its name, whose value is in a text; None without one."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and value in text and VARIABLE.fullmatch(name):
            return name
    return None


def why_secret(node: Mapping[str, Any], where: str) -> str | None:
    """Why the config of a launcher or a tracker would leave a secret in files; None if it does not.

    Args:
        node: of the config.
        where: its place in the config, for the message.
    """
    for key, text in _texts(node, where):
        line = f"{key.rpartition('.')[2]}={text}"
        if name := variable_in(text):
            return f"{key}: has the value of {name}, which would stay in files"
        if where == "launcher" and LINE.search(line):
            return (
                f"{key}: a line looks like a secret, which would stay in files; "
                "export it in the shell that launches, SLURM hands it on"
            )
    return None


def _texts(node: Any, where: str) -> list[tuple[str, str]]:
    """Every text in a node, with its key."""
    if isinstance(node, Mapping):
        return [pair for key, value in node.items() for pair in _texts(value, f"{where}.{key}")]
    if isinstance(node, list):
        return [pair for value in node for pair in _texts(value, where)]
    return [(where, node)] if isinstance(node, str) else []
