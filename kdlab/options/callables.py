"""A YAML names a function and its knobs; this finds the one and checks the others.

    # conf/knowledge/logits_kl.yaml
    logits_kl:
      _target_: kdlab.losses.response.kl      # the function
      temperature: 1.0                        # a knob: its keyword-only parameter
      weight: 1.0                             # a key of the group, of `TermKeys`

A knob has no default in Python, so that YAML is the only home of a value.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from kdlab.errors import BadInput, Misfit, NotApplicable
from kdlab.options import spelling
from kdlab.options.memo import by_content
from kdlab.options.parsing import parse

MISTAKE = "a mistake in the function of "  # how a note on an error begins, by which it is known


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
        value = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInput(f"no function at {target!r} ({error})") from None
    if not callable(value):
        raise BadInput(f"{target!r} is not a function")
    return value


@cache
def knobs(target: str) -> dict[str, Any]:
    """The keyword-only parameters of a function or a module's class, with their annotations."""
    value: Any = function(target)
    called = vars(value)["__init__"] if isinstance(value, type) else value
    hints = get_type_hints(called, include_extras=True)
    parameters = inspect.signature(function(target)).parameters.values()
    return {p.name: hints.get(p.name, Any) for p in parameters if p.kind is p.KEYWORD_ONLY}


@cache
def _adapters(target: str) -> dict[str, TypeAdapter[Any]]:
    """What checks each knob: its annotation, with a range if it has one; "2" is no number."""
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
    expected = knobs(target)
    values = {key: value for key, value in node.items() if key in expected}
    rest = {key: value for key, value in node.items() if key not in values and key != "_target_"}
    allowed = set(getattr(keys, "__dataclass_fields__", {}))
    if twice := (allowed | {"_target_"}) & expected.keys():
        raise BadInput(f"{where}: a knob of {target} is called {min(twice)}, as a key of the group")
    for key in rest:
        if key not in allowed:
            known = sorted((allowed - {"name"}) | set(expected))
            suggestion = spelling.key_meant(f"{where}.{key}", [f"{where}.{name}" for name in known])
            listed = f"known keys: {', '.join(known) or 'none'}"
            raise BadInput(f"{where}.{key}: unknown key; {suggestion or listed}")
    for key in expected:
        if key not in values:
            raise BadInput(f"{where}.{key}: missing")
        check(target, key, values[key], f"{where}.{key}")
    return Call(target, values), parse(keys, rest, where)


def check_signature(target: str, takes: Sequence[str], where: str) -> None:
    """Refuse a function that cannot be called with `takes` in order and its knobs by name."""
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
    try:
        _adapters(target)[knob].validate_python(value)
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"]
        raise BadInput(f"{where}={value!r}: {message[0].lower()}{message[1:]}") from None


@contextmanager
def calling(where: str, call: Call) -> Iterator[None]:
    """Name the option in every error of its function, which is called inside.

    A `Misfit` becomes `NotApplicable`, with which a study leaves the run out, because other
    dimensions would do. But a list of layers that somebody wrote, as for `matching=custom`, is
    wrong by itself: `BadInput`. Any other error is a mistake in the function. It keeps its
    traceback for whoever wrote it, and gets a note.
    """
    has_list = any(isinstance(value, list) for value in call.knobs.values())
    try:
        yield
    except Misfit as error:
        raise (BadInput if has_list else NotApplicable)(f"{where}: {error}") from None
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
    except Exception as error:
        error.add_note(f"{MISTAKE}{where}, {call.target}")
        raise


def is_mistake(error: BaseException) -> bool:
    """Whether an error is a mistake in an option's function, as `calling` notes."""
    return any(note.startswith(MISTAKE) for note in getattr(error, "__notes__", ()))
