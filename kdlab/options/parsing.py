"""Plain data becomes a dataclass of `schema`, and what is wrong with it becomes one line."""

from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from kdlab.errors import BadInput
from kdlab.options import spelling

T = TypeVar("T")


def parse(kind: type[T], values: Any, where: str = "") -> T:
    """Values as a dataclass, checked.

    Raises:
        BadInput: naming the first key that is wrong; `where` is the node's place in the config.
    """
    try:
        return adapter(kind).validate_python(values)  # type: ignore[arg-type]
    except ValidationError as error:
        # A misspelt key is also a missing one: name the misspelling.
        errors = error.errors(include_url=False)
        first = min(errors, key=lambda e: e["type"] != "unexpected_keyword_argument")
        location = (where, *first["loc"])
        key = ".".join(str(part) for part in location if part not in ("", "function-after[]"))
        raise BadInput(_sentence(key, first, kind)) from None


@cache  # building one takes a hundred times as long as using it
def adapter(kind: Any) -> TypeAdapter[Any]:
    """What turns plain data into a dataclass, and back."""
    return TypeAdapter(kind)


def _fields(kind: Any, path: tuple[Any, ...]) -> list[str]:
    """The keys of a dataclass, or of one inside it."""
    for name in path:
        known = getattr(kind, "__dataclass_fields__", {})
        kind = known[name].type if name in known else kind
    return list(getattr(kind, "__dataclass_fields__", {}))


def _sentence(key: str, error: Any, kind: Any) -> str:
    """An error of pydantic's in our words."""
    if error["type"] == "unexpected_keyword_argument":
        known = _fields(kind, error["loc"][:-1])
        parents = key.split(".")[:-1]
        suggestion = spelling.key_meant(key, [".".join([*parents, name]) for name in known])
        return f"{key}: unknown key; {suggestion or 'known keys: ' + ', '.join(sorted(known))}"
    if error["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{key}: missing"
    return f"{key}={error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"
