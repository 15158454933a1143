"""A YAML names a function and its knobs; this finds the one and checks the other.

A knob is a keyword-only parameter without a default: YAML is the only home of a value.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from kdlab.errors import BadInput, Misfit
from kdlab.options import spelling
from kdlab.options.memo import by_content
from kdlab.options.schema import parse

MISTAKE = "a mistake in the function of "


@dataclass(frozen=True)
class Call:
    """A function by its dotted name, and the values of its knobs."""

    target: str
    knobs: Mapping[str, Any]

    def bind(self) -> Callable[..., Any]:
        """The function with its knobs filled in."""
        return partial(function(self.target), **self.knobs)


@cache
def function(target: str) -> Callable[..., Any]:
    """The function at a dotted name such as `kdlab.losses.response.kl`."""
    module, _, name = target.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInput(f"no function at {target!r} ({error})") from None
    if not callable(found):
        raise BadInput(f"{target!r} is not a function")
    return found


@cache
def knobs(target: str) -> dict[str, Any]:
    """The keyword-only parameters of a function or a module's class, with their annotations."""
    found: Any = function(target)
    made_by = vars(found)["__init__"] if isinstance(found, type) else found
    hints = get_type_hints(made_by, include_extras=True)
    parameters = inspect.signature(function(target)).parameters.values()
    return {p.name: hints.get(p.name, Any) for p in parameters if p.kind is p.KEYWORD_ONLY}


@cache
def _adapters(target: str) -> dict[str, TypeAdapter[Any]]:
    strict = ConfigDict(strict=True)
    return {key: TypeAdapter(kind, config=strict) for key, kind in knobs(target).items()}


@by_content
def call(node: Mapping[str, Any], keys: type, where: str, *takes: str) -> tuple[Call, Any]:
    """Split a callable node into its `Call` and its `keys`, both checked.

    Args:
        node: the composed YAML: `_target_`, the keys of `keys`, and one value per knob.
        keys: the dataclass of the group's own keys.
        where: the node's place in the config, for messages.
        takes: what a function of the group is called with, beside its knobs.

    Raises:
        BadInput: an unknown function, or one that cannot be called so; an unknown or missing knob,
            or a value of the wrong type.
    """
    if "_target_" not in node:
        raise BadInput(f"{where}: no option of this name is selected (known keys: {list(node)})")
    target = str(node["_target_"])
    check_signature(target, takes, where)
    expected = _adapters(target)
    own = {key: value for key, value in node.items() if key in expected}
    rest = {key: value for key, value in node.items() if key not in own and key != "_target_"}
    allowed = set(getattr(keys, "__dataclass_fields__", {}))
    if taken := (allowed | {"_target_"}) & expected.keys():
        raise BadInput(f"{where}: a knob of {target} is called {min(taken)}, as a key of the group")
    for key in rest:
        if key not in allowed:
            known = sorted((allowed - {"name"}) | set(expected))
            meant = spelling.key_meant(f"{where}.{key}", [f"{where}.{own}" for own in known])
            listed = f"known keys: {', '.join(known) or 'none'}"
            raise BadInput(f"{where}.{key}: unknown key; {meant or listed}")
    for key, adapter in expected.items():
        if key not in own:
            raise BadInput(f"{where}.{key}: missing")
        _check_type(own[key], adapter, f"{where}.{key}")
    return Call(target, own), parse(keys, rest, where)


def check_signature(target: str, takes: Sequence[str], where: str) -> None:
    """Refuse a function that cannot be called with `takes` and its knobs, which have names."""
    signature = inspect.signature(function(target))
    try:
        signature.bind(*takes, **dict.fromkeys(knobs(target)))
    except TypeError as error:
        contract = ", ".join([*takes, "*, its knobs"])
        raise BadInput(
            f"{where}: {target} takes ({', '.join(signature.parameters)}), and is called as "
            f"({contract}): {error}"
        ) from None


def check(target: str, knob: str, value: Any, where: str) -> None:
    """Refuse a value that a function's knob may not have."""
    _check_type(value, _adapters(target)[knob], where)


def _check_type(value: Any, adapter: TypeAdapter[Any], key: str) -> None:
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"]
        raise BadInput(f"{key}={value!r}: {message[0].lower()}{message[1:]}") from None


@contextmanager
def naming_mistakes(where: str, target: str) -> Iterator[None]:
    """Say of an error which option's function made it; its traceback is for who wrote that."""
    try:
        yield
    except (Misfit, BadInput):
        raise
    except Exception as error:
        error.add_note(f"{MISTAKE}{where}, {target}")
        raise


def is_mistake(error: BaseException) -> bool:
    """Whether an error is a function's own, and no refusal of ours."""
    return any(note.startswith(MISTAKE) for note in getattr(error, "__notes__", ()))
