"""The page of everything that can be chosen: `python -m kdlab.config.menu > conf/README.md`.

It is read off the option files and the docstrings of their functions, so that it cannot be wrong;
a test compares it with conf/README.md.
"""

import inspect
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from kdlab.config.option_files import CONF, names, option
from kdlab.options.callables import function, knobs

GROUPS = {
    "knowledge": 'What is compared. Several at once: `"knowledge=[logits_kl,hidden_mse]"`.',
    "matching": "Which student layer meets which teacher layers, for knowledge that has layers.",
    "schedule": "How a weight or a numeric knob changes over training: "
    "`+schedule@knowledge.logits_kl.schedules.weight=growth`.",
    "init": "Where the student's encoder starts.",
    "shape": "Width against depth, within the budget that `size` sets.",
}
HEAD = """<!-- Written by `python -m kdlab.config.menu`; do not edit. -->
# The menu

Every option of the axes of a study: what it computes (the first lines of its function's
docstring, which says the rest), its paper, its knobs with their values, what checks it in the
tests, and the function. Sizes, teachers, tasks and recipes are YAML alone: see their folders.
"""
COLUMNS = ("option", "what it is", "paper and notes", "knobs", "checked by", "function")
RECIPE_COLUMNS = ("recipe", "what it is", "departures from the paper's code")
# What a paragraph of an option file's comment may begin with.
ORACLE, DEPARTURES = "Oracle: ", "Departures: "

Row = tuple[str, ...]


def page() -> str:
    """The menu as Markdown."""
    parts = [HEAD]
    for group, description in GROUPS.items():
        rows = [_row(group, name) for name in names(group)]
        parts += [f"## `{group}`\n\n{description}\n", _table(COLUMNS, rows), ""]
    parts += [
        "## `recipe`\n\nA paper's own values for all groups; any of them may be overridden. "
        "Where a run of it\nis not what the paper's code does, the last column says so.\n"
    ]
    parts.append(_table(RECIPE_COLUMNS, [_recipe(name) for name in names("recipe")]))
    return "\n".join(parts).replace("\n\n\n", "\n\n") + "\n"


def _table(columns: Row, rows: Sequence[Row]) -> str:
    head, *lines = [f"| {' | '.join(cells)} |" for cells in (columns, *rows)]
    return "\n".join([head, "|---" * len(columns) + "|", *lines])


def _recipe(name: str) -> Row:
    description, departures = _comments("recipe", name, DEPARTURES)
    return (
        f"`{name}`",
        description,
        " ".join(text[:1].upper() + text[1:] for text in departures),
    )


def _row(group: str, name: str) -> Row:
    node = option(group, name)
    paper, oracle = _comments(group, name, ORACLE)
    targets = [inner["_target_"] for inner in _callables(node)]
    cells = (
        f"`{name}`",
        " ".join(_first_lines(target) for target in targets),
        paper,
        ", ".join(_knobs(node)),
        "; ".join(oracle),
        ", ".join(_where(target) for target in targets),
    )
    return tuple(cell.replace("|", "\\|") for cell in cells)


def _callables(node: Any) -> Iterator[dict[str, Any]]:
    """The nodes that name a function, this one first."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield node
        for inner in node.values():
            yield from _callables(inner)


def _knobs(node: Any) -> Iterator[str]:
    for inner in _callables(node):
        for key, value in inner.items():
            if key in knobs(inner["_target_"]):
                yield f"`{key}: {'null' if value is None else value}`"


def _first_lines(target: str) -> str:
    """The first paragraph of a docstring."""
    return _flat((inspect.getdoc(function(target)) or "").partition("\n\n")[0])


def _where(target: str) -> str:
    """A link to the file of a function, which must be defined where the option looks for it."""
    value, module = function(target), target.rpartition(".")[0]
    assert value.__module__ == module, f"{target} is defined elsewhere"
    return f"[{value.__name__}](../{module.replace('.', '/')}.py)"


def _comments(group: str, name: str, heading: str) -> tuple[str, list[str]]:
    """The comment at the head of an option's file: what it is, and paragraphs under a heading."""
    lines = (CONF / group / f"{name}.yaml").read_text().splitlines()
    comment = takewhile(lambda line: line.startswith("#"), lines)
    texts = [line.removeprefix("#").strip() for line in comment if "# @package" not in line]
    what, *under_heading = "".join(f"\n{text}" for text in texts).split(f"\n{heading}")
    return _flat(what), [_flat(text) for text in under_heading]


def _flat(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    from kdlab.ending import ending

    with ending("kdlab.config.menu", "stopped"):
        print(page(), end="")
