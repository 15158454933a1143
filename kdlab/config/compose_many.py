"""Many runs composed fast: each option goes through Hydra once, values are laid over the options.

What is not in one of the few forms understood here is left to Hydra, which also has the last word
on every error. A sample of the runs is compared with what Hydra composes.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from kdlab.config import compose, option_files, override_rules
from kdlab.errors import BadInput, NotApplicable
from kdlab.options.memo import of_files, still
from kdlab.run import Run

CHECKS = 5  # runs compared with Hydra's: of all, and again of the first one of each structure
KEY = re.compile(r"\w+(\.\w+)*")
NUMBER = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)=(-?(?:0|[1-9]\d*))(\.\d+)?(e-?\d+)?", re.A)
REFERENCE = re.compile(r"\$\{(\.*)(\w+(?:\.\w+)*)\}")  # ${a.b} from the root, ${.b} from here
APART = re.compile(r"\$\{(?:oc\.env|package):[^${}]*\}")  # refers to nothing on its page

Overrides = tuple[str, ...]
Path = tuple[str, ...]


@dataclass(frozen=True)
class _Said:
    """What one override says.

    Attributes:
        kind: an option of a group; another change of the defaults list; a value of a key; or
            anything else that is done to the composed page.
        node: the top-level node that it is about.
        path: of a value.
        value: of a value, or the name or names of an option.
    """

    kind: Literal["option", "default", "value", "other"]
    node: str
    path: Path = ()
    value: Any = None


@dataclass(frozen=True)
class _Composed:
    """A page whose interpolations stand as they were written, `waiting` at these paths."""

    plain: Mapping[str, Any]
    choices: Mapping[str, str]
    waiting: tuple[Path, ...]


class _HydraOnly(Exception):
    """Nothing here knows what Hydra would do."""


def compose_each(pages: Sequence[Overrides]) -> Iterator[Run | NotApplicable]:
    """The run of each page of overrides, in order: equal to what `compose` gives, much sooner.

    Files and environment are taken to keep still until the last run is given. A refusal stands in
    the place of a run whose options do not go together.

    Raises:
        BadInput: as `compose` does, where the run of the first wrong page would be given.
        RuntimeError: a run is not what Hydra composes: a mistake here, or conf/ outgrew it.
    """
    kept: dict[str, Any] = {}
    with still(kept):
        checked = _sample(pages)
    for position, overrides in enumerate(pages):
        with still(kept):
            run = _assembled(overrides) if len(pages) > 2 * CHECKS else None
            if run is None or position in checked:
                right = _run_or_refusal(overrides)
                if run is not None and not _alike(run, right):
                    raise RuntimeError(f"not what Hydra composes: {' '.join(overrides)}")
                run = right
        yield run


def _run_or_refusal(overrides: Overrides) -> Run | NotApplicable:
    try:
        return _by_hydra(*overrides)
    except NotApplicable as error:
        return NotApplicable(str(error))  # without the frames that the error holds


def _alike(one: Run | NotApplicable, other: Run | NotApplicable) -> bool:
    if isinstance(one, Run) or isinstance(other, Run):
        return one == other
    return str(one) == str(other)


def _sample(pages: Sequence[Overrides]) -> set[int]:
    """Positions spread over all pages and over their structures."""
    first: dict[Overrides, int] = {}
    for position, overrides in enumerate(pages):
        with suppress(_HydraOnly):
            first.setdefault(_split(overrides)[0], position)
    draw = random.Random(0)
    return {
        position
        for positions in (range(len(pages)), list(first.values()))
        for position in draw.sample(positions, min(CHECKS, len(positions)))
    }


def _assembled(overrides: Overrides) -> Run | NotApplicable | None:
    """The run, a refusal, or None where Hydra must compose it or say what else is wrong."""
    try:
        texts, values = _split(overrides)
        structure = _structure(texts)
        plain = _page(structure, values)
        return compose.interpret(plain, structure.choices, overrides, _teacher, _option)[0]
    except NotApplicable as error:
        return NotApplicable(str(error))
    except (_HydraOnly, BadInput):
        return None


@of_files
def _teacher(*overrides: str) -> Run:
    found = _assembled(overrides)
    return found if isinstance(found, Run) else _by_hydra(*overrides)


def _by_hydra(*overrides: str) -> Run:
    """As `compose`, but each teacher once."""
    plain, choices = compose.composed(overrides, resolve=True)
    return compose.interpret(plain, choices, overrides, _teacher_by_hydra, _option)[0]


_teacher_by_hydra = of_files(_by_hydra)
_option = of_files(option_files.option)
_files = of_files(compose.files)
_apart = of_files(compose.resolved)


def _split(overrides: Overrides) -> tuple[Overrides, list[_Said]]:
    """A page's structure, which Hydra composes, and the values to lay over it."""
    texts: list[str] = []
    values: dict[int, _Said] = {}
    for position, text in enumerate(overrides):
        said = _said(text)
        if said.kind == "value":
            values[position] = said
            continue
        if said.kind == "other":  # Hydra goes through these and the values in order
            texts += [overrides[earlier] for earlier in values]
            values.clear()
        texts.append(text)
    return tuple(texts), list(values.values())


def _said(text: str) -> _Said:
    # Hydra's parser takes as long as all the rest of a run, and most values are numbers.
    found = NUMBER.fullmatch(text)
    path = _path(found[1]) if found else ()
    if not found or not path:
        return _parsed(text)
    number = text[len(found[1]) + 1 :]
    return _Said("value", path[0], path, float(number) if found[3] or found[4] else int(number))


@of_files
def _path(key: str) -> Path:
    """The path of a key that a number may be given to; none for a group."""
    other = option_files.is_group(key) or override_rules.is_files_own(key)
    return () if other else tuple(key.split("."))


@of_files
def _parsed(text: str) -> _Said:
    override = override_rules.parsed(text)
    if override is None:
        raise _HydraOnly
    key, value = override.key_or_group, override.value()
    node = re.split(r"\W", override.package or key)[0]
    plain = not (override.package or text.startswith(("+", "~")))
    if option_files.is_group(key) and not isinstance(value, dict):
        return _Said("option" if plain and key == node else "default", node, value=value)
    if plain and KEY.fullmatch(key) and "{" not in repr(value) and not _waits(value):
        return _Said("value", node, tuple(key.split(".")), value)
    return _Said("other", node)


def _waits(leaf: Any) -> bool:
    """Whether a leaf may be missing or an interpolation, or a list with such items."""
    text = leaf if isinstance(leaf, str) else repr(leaf) if isinstance(leaf, list) else ""
    return "${" in text or "???" in text


@of_files
def _structure(texts: Overrides) -> _Composed:
    """The page of options and of what Hydra alone understands.

    Hydra composes the latter, together with the options of the nodes that they are about. Nodes
    that one option alone fills are taken from that option's page, everything else on its default.
    """
    said = [(text, _said(text)) for text in texts]
    for text, what in said:
        if what.kind in ("option", "default") and not all(
            _reach(one) <= {what.node} for one in _one_by_one(text)
        ):
            return _composed(texts)
    busy = {what.node for _, what in said if what.kind != "option"}
    apart = {what.node: text for text, what in said if what.node not in busy}
    page = _composed(tuple(text for text, what in said if what.node in busy))
    plain, choices = dict(page.plain), dict(page.choices)
    waiting = [path for path in page.waiting if path[0] not in apart]
    for node, text in apart.items():
        part = _part(node, text)
        if node not in part.plain:  # an empty file
            return _composed(texts)
        plain[node] = part.plain[node]
        if node in part.choices:
            choices[node] = part.choices[node]
        else:  # several options
            choices.pop(node, None)
        waiting += [path for path in part.waiting if path[0] == node]
    return _Composed(plain, choices, tuple(waiting))


@of_files
def _part(node: str, text: str) -> _Composed:
    """The page of one option; of several that fill separate nodes of one, put together."""
    parts = [_composed((one,)) for one in _one_by_one(text)]
    if len(parts) == 1:
        return parts[0]
    found: dict[str, Any] = {}
    for part in parts:
        inner = part.plain.get(node)
        if not isinstance(inner, dict) or inner.keys() & found.keys():
            return _composed((text,))
        found |= inner
    return _Composed({node: found}, {}, tuple(path for part in parts for path in part.waiting))


def _one_by_one(text: str) -> list[str]:
    """`group=[a,b]` as `group=a` and `group=b`; any other override as it is."""
    said = _said(text)
    if said.kind != "option" or not isinstance(said.value, list) or len(said.value) < 2:
        return [text]
    return [f"{said.node}={name}" for name in said.value]


@of_files
def _reach(text: str) -> set[str]:
    """The top-level nodes to which an override's files go, or the default's that they replace."""
    try:
        default, own = _files(()), _files((text,))
    except BadInput:
        return {""}
    return {place.partition(".")[0] for _, place in ((default - own) | (own - default))}


@of_files
def _composed(texts: Overrides) -> _Composed:
    plain, choices = compose.composed(texts, resolve=False)
    return _Composed(plain, choices, tuple(_waiting(plain)))


def _waiting(node: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(node, dict):
        for key, child in node.items():
            yield from _waiting(child, (*path, key))
    elif _waits(node):
        yield path


def _page(structure: _Composed, values: Sequence[_Said]) -> dict[str, Any]:
    """A structure's page with values laid over its leaves and references followed."""
    page = dict(structure.plain)
    for said in values:
        _put(page, said.path, said.value)
    found = {path: _value(page, path, 0) for path in structure.waiting}
    for path, value in found.items():
        _put(page, path, value)
    return page


def _put(page: dict[str, Any], path: Path, value: Any) -> None:
    """Change one leaf; nodes on the way are copied, for other pages have them too."""
    node = page
    for key in path[:-1]:
        child = node.get(key)
        if not isinstance(child, dict):
            raise _HydraOnly
        node[key] = node = dict(child)
    if isinstance(node.get(path[-1], {}), dict):  # no such leaf: Hydra merges, or refuses
        raise _HydraOnly
    node[path[-1]] = value


def _value(page: Mapping[str, Any], path: Path, steps: int) -> Any:
    """The value at a path, references followed."""
    value: Any = page
    for key in path:
        if not isinstance(value, dict) or key not in value:
            raise _HydraOnly
        value = value[key]
    if isinstance(value, dict) or value == "???" or steps > len(page):
        raise _HydraOnly
    if not _waits(value):
        return value
    if isinstance(value, str) and APART.fullmatch(value):
        return _apart(value)
    found = REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if not found or len(found[1]) > len(path):
        raise _HydraOnly
    beside = path[: len(path) - len(found[1])] if found[1] else ()
    return _value(page, (*beside, *found[2].split(".")), steps + 1)
