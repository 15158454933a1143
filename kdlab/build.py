"""A YAML names a function and its knobs; this finds the one and checks the other.

A knob is a keyword-only parameter without a default: YAML is the only home of a value.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from kdlab.remembered import by_content
from kdlab.schema import BadInput, parse


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
def call(node: Mapping[str, Any], keys: type, where: str) -> tuple[Call, Any]:
    """Split a callable node into its `Call` and its `keys`, both checked.

    Args:
        node: the composed YAML: `_target_`, the keys of `keys`, and one value per knob.
        keys: the dataclass of the group's own keys.
        where: the node's place in the config, for messages.

    Raises:
        BadInput: an unknown function, an unknown or missing knob, or a value of the wrong type.
    """
    if "_target_" not in node:
        raise BadInput(f"{where}: no option of this name is selected (known keys: {list(node)})")
    target = str(node["_target_"])
    expected = _adapters(target)
    own = {key: value for key, value in node.items() if key in expected}
    rest = {key: value for key, value in node.items() if key not in own and key != "_target_"}
    allowed = set(getattr(keys, "__dataclass_fields__", {}))
    for key in rest:
        if key not in allowed:
            known = ", ".join(sorted((allowed - {"name"}) | set(expected)))
            raise BadInput(f"{where}.{key}: unknown key; known keys: {known or 'none'}")
    for key, adapter in expected.items():
        if key not in own:
            raise BadInput(f"{where}.{key}: missing")
        _check_type(own[key], adapter, f"{where}.{key}")
    return Call(target, own), parse(keys, rest, where)


def check(target: str, knob: str, value: Any, where: str) -> None:
    """Refuse a value that a function's knob may not have."""
    _check_type(value, _adapters(target)[knob], where)


def _check_type(value: Any, adapter: TypeAdapter[Any], key: str) -> None:
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"]
        raise BadInput(f"{key}={value!r}: {message[0].lower()}{message[1:]}") from None
