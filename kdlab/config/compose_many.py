"""Many runs composed fast: a second, small Hydra for studies of thousands of runs.

Why it exists. Hydra composes one run at a time, and for each reads, merges and parses everything
anew, though the runs of a study differ in a few values. That is 0.16 s a run, 4.6 hours for the
103,400 runs of a large study; with this file all of their planning takes 39 s (README.md).

How it works. The overrides of a run are of two kinds: those that decide which nodes and keys the
config has, its structure, and values that are laid over leaves. Hydra composes each structure once,
and the top-level nodes of a structure apart from each other, as far as no option reaches beyond its
own node: a node that two structures have in common is composed once.

An example, the run `matching=last size=tiny seed=3 train.lr=1e-3`:

    1. split      structure: matching=last, size=tiny    values: seed is 3, train.lr is 0.001
    2. compose    Hydra composes the default config, and once each `matching=last` and `size=tiny`;
                  the node `matching` of the one and the node `size` of the other are put into the
                  default config
    3. lay over   config["seed"] = 3, config["train"]["lr"] = 0.001
    4. follow     a leaf such as `tokenizer: ${teacher.tokenizer}` gets that key's value

A second run with `matching=first` needs one more composition, a third with `seed=4` none.

What it leaves to Hydra. Whatever is not in one of the few forms understood here (`_HydraOnly`),
and every config that turns out to be wrong: Hydra has the last word, and the messages are its own.

How it is checked. `compose_each` has a sample of each study composed by Hydra as well, and stops
where a run is not the same. tests/kdlab/config/test_compose_many.py does so for every option and
for each form of an override, wrong ones included.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from kdlab.config import compose, option_files, override_rules
from kdlab.errors import BadInput, NotApplicable
from kdlab.options.memo import files_unchanged, of_files
from kdlab.run import Run

CHECKS = 5  # runs compared with Hydra's: of all, and again of the first one of each structure
KEY = re.compile(r"\w+(\.\w+)*")
REFERENCE = re.compile(r"\$\{(\.*)(\w+(?:\.\w+)*)\}")  # ${a.b} from the root, ${.b} from here
STANDALONE = re.compile(r"\$\{(?:oc\.env|package):[^${}]*\}")  # refers to no other key

Overrides = tuple[str, ...]
Path = tuple[str, ...]
Composed = tuple[dict[str, Any], dict[str, str]]  # a config, and the option chosen in each group


@dataclass(frozen=True)
class _Override:
    """One override, parsed.

    Attributes:
        kind: a choice of options; a value of a key; or anything else that is done to the composed
            config.
        node: the top-level node that it changes.
        path: of the key that gets a value.
        value: of that key; or the names of several options that one group gets.
    """

    kind: Literal["option", "value", "other"]
    node: str
    path: Path = ()
    value: Any = None


@dataclass(frozen=True)
class _Structure:
    """A composed config; the leaves at `unresolved` are interpolations, or missing."""

    config: Mapping[str, Any]
    choices: Mapping[str, str]
    unresolved: tuple[Path, ...]


class _HydraOnly(Exception):
    """An override or a leaf in a form that only Hydra understands."""


def compose_each(runs: Sequence[Overrides]) -> Iterator[Run | NotApplicable]:
    """The run of each list of overrides, in order: equal to what `compose` gives, much sooner.

    Files and environment are taken not to change until the last run is given. Where the options of
    a run do not go together, the refusal takes the run's place.

    Raises:
        BadInput: as `compose` does, where the first wrong run would be given.
        RuntimeError: a run is not what Hydra composes: a mistake here, or conf/ outgrew it.
    """
    memo: dict[str, Any] = {}
    with files_unchanged(memo):
        checked = _sample(runs)
    for position, overrides in enumerate(runs):
        # Entered for each run anew: between two of them the caller's code runs, outside the memo.
        with files_unchanged(memo):
            run = _assembled(overrides) if len(runs) > 2 * CHECKS else None
            if run is None or position in checked:
                by_hydra = _run_or_refusal(overrides)
                # Two errors are never equal; two refusals are the same if they say the same.
                if run is not None and run != by_hydra and str(run) != str(by_hydra):
                    raise RuntimeError(f"not what Hydra composes: {' '.join(overrides)}")
                run = by_hydra
        yield run


def _run_or_refusal(overrides: Overrides) -> Run | NotApplicable:
    try:
        return compose.compose(*overrides)
    except NotApplicable as error:
        return NotApplicable(str(error))  # a new one, which holds no frames and their memory


def _sample(runs: Sequence[Overrides]) -> set[int]:
    """Positions of runs to check: some of all, and some of the first ones of each structure."""
    first: dict[Overrides, int] = {}
    for position, overrides in enumerate(runs):
        with suppress(_HydraOnly):
            first.setdefault(_split(overrides)[0], position)
    draw = random.Random(0)
    of_all = draw.sample(range(len(runs)), min(CHECKS, len(runs)))
    of_first = draw.sample(list(first.values()), min(CHECKS, len(first)))
    return {*of_all, *of_first}


def _assembled(overrides: Overrides) -> Run | NotApplicable | None:
    """The run, a refusal, or None where Hydra must compose it or say what else is wrong."""
    try:
        structural, values = _split(overrides)
        structure = _structure(structural)
        config = _filled(structure, values)
        return compose.interpret(config, structure.choices, overrides, _parent)[0]
    except NotApplicable as error:
        return NotApplicable(str(error))
    except (_HydraOnly, BadInput):
        return None


@of_files
def _parent(*overrides: str) -> Run:
    run = _assembled(overrides)
    return run if isinstance(run, Run) else compose.compose(*overrides)


# Step 1: overrides into a structure and values.


def _split(overrides: Overrides) -> tuple[Overrides, list[_Override]]:
    """The overrides that Hydra composes, and the values to lay over the result."""
    structural: list[str] = []
    values: dict[int, _Override] = {}
    for position, text in enumerate(overrides):
        override = _parsed(text)
        if override.kind == "value":
            values[position] = override
            continue
        if override.kind == "other":
            # Hydra goes through these and the values in order, so earlier values of the node must
            # be there before: `train.lr=1 ++train.lr=2` is not `++train.lr=2 train.lr=1`.
            same = {where for where, value in values.items() if value.node == override.node}
            structural += [overrides[where] for where in values if where in same]
            values = {where: value for where, value in values.items() if where not in same}
        structural.append(text)
    return tuple(structural), list(values.values())


@of_files
def _parsed(text: str) -> _Override:
    override = override_rules.parsed(text)
    if override is None:
        raise _HydraOnly
    key, value = override.key_or_group, override.value()
    node = re.split(r"\W", override.package or key)[0]
    is_plain = not (override.package or text.startswith(("+", "~")))
    if option_files.is_group(key) and not isinstance(value, dict):
        is_several = is_plain and key == node and isinstance(value, list) and len(value) > 1
        return _Override("option", node, value=value if is_several else None)
    if is_plain and KEY.fullmatch(key) and "{" not in repr(value) and not _is_unresolved(value):
        return _Override("value", node, tuple(key.split(".")), value)
    return _Override("other", node)


def _is_unresolved(leaf: Any) -> bool:
    """Whether a leaf may be missing or an interpolation, or a list with such items."""
    text = leaf if isinstance(leaf, str) else repr(leaf) if isinstance(leaf, list) else ""
    return "${" in text or "???" in text


# Step 2: a structure, from as few compositions of Hydra's as possible.


@of_files
def _structure(texts: Overrides) -> _Structure:
    """The default config, but for the nodes that overrides change: each as Hydra composes it alone.

    Where that cannot be, Hydra composes the whole.
    """
    default, default_choices = _composed(())
    config, choices = dict(default), dict(default_choices)
    by_node: dict[str, list[str]] = {}
    for text in texts:
        by_node.setdefault(_parsed(text).node, []).append(text)
    for node, own in by_node.items():
        part = _part(node, tuple(own))
        if part is None:
            config, choices = _composed(texts)
            break
        config[node] = part[0][node]
        if node not in part[1]:  # of several options Hydra records no choice
            choices.pop(node, None)
        changed = {key: name for key, name in part[1].items() if default_choices.get(key) != name}
        # In Hydra's order: groups that overrides add come before all others.
        added = {key: name for key, name in changed.items() if key not in choices}
        choices = added | choices | changed
    return _Structure(config, choices, tuple(_unresolved(config)))


@of_files
def _part(node: str, texts: Overrides) -> Composed | None:
    """The default config with the overrides of one node; None if they change another one too."""
    override = _parsed(texts[0])
    if len(texts) == 1 and override.kind == "option" and override.value:
        # Each is composed once for all lists that it is in. If two have a key in common, Hydra must
        # merge what is below it.
        parts = [_part(node, (f"{node}={name}",)) for name in override.value]
        contents = [part[0][node] for part in parts if part]
        merged = {key: value for content in contents for key, value in content.items()}
        if None not in parts and len(merged) == sum(map(len, contents)):
            return {node: merged}, {}
    with suppress(BadInput):  # they may be right beside the others; else Hydra says what is wrong
        files = compose.files(()) ^ compose.files(texts)  # that are added, or replaced
        if {package.partition(".")[0] for _, package in files} <= {node}:
            part = _composed(texts)
            return part if node in part[0] else None
    return None


@of_files
def _composed(texts: Overrides) -> Composed:
    return compose.composed(texts, resolve=False)


def _unresolved(node: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(node, dict):
        for key, child in node.items():
            yield from _unresolved(child, (*path, key))
    elif _is_unresolved(node):
        yield path


# Steps 3 and 4: values laid over leaves, and references followed.


def _filled(structure: _Structure, values: Sequence[_Override]) -> dict[str, Any]:
    """A structure's config with its values, and with values in the place of interpolations."""
    config = dict(structure.config)
    for override in values:
        _put(config, override.path, override.value)
    # All are looked up before any is put in, as each may refer to another one.
    resolved = {path: _value(config, path, 0) for path in structure.unresolved}
    for path, value in resolved.items():
        _put(config, path, value)
    return config


def _put(config: dict[str, Any], path: Path, value: Any) -> None:
    """Change one leaf; nodes on the way are copied, because other runs' configs share them."""
    node = config
    for key in path[:-1]:
        child = node.get(key)
        if not isinstance(child, dict):
            raise _HydraOnly
        node[key] = node = dict(child)
    if isinstance(node.get(path[-1], {}), dict):  # no such leaf: Hydra merges, or refuses
        raise _HydraOnly
    node[path[-1]] = value


def _value(config: Mapping[str, Any], path: Path, steps: int) -> Any:
    """The value at a path, references followed, `steps` of them so far."""
    value: Any = config
    for key in path:
        if not isinstance(value, dict) or key not in value:
            raise _HydraOnly
        value = value[key]
    is_circle = steps > len(config)
    if isinstance(value, dict) or value == "???" or is_circle:
        raise _HydraOnly
    if not _is_unresolved(value):
        return value
    if isinstance(value, str) and STANDALONE.fullmatch(value):
        return compose.resolved(value)
    reference = REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if not reference or len(reference[1]) > len(path):
        raise _HydraOnly
    # As many dots as there are in front, as many nodes up from here; without one, from the root.
    dots = len(reference[1])
    start = path[: len(path) - dots] if dots else ()
    return _value(config, (*start, *reference[2].split(".")), steps + 1)
