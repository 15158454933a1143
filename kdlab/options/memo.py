"""Answers that are kept: of pure functions by content, of files for as long as they keep still."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

ROOM = 4096  # answers that a pure function keeps before it starts afresh

P = ParamSpec("P")
R = TypeVar("R")
_still: ContextVar[dict[str, Any] | None] = ContextVar("still", default=None)


def by_content(function: Callable[P, R]) -> Callable[P, R]:
    """Keep what a pure function gave for arguments of equal `repr`; errors are not kept.

    An answer is shared by all who ask: nobody may change it.
    """
    kept: dict[str, R] = {}

    @wraps(function)
    def ask(*args: P.args, **kwargs: P.kwargs) -> R:
        key = repr((args, kwargs)) if kwargs else repr(args)
        try:
            return kept[key]
        except KeyError:
            answer = function(*args, **kwargs)
        if len(kept) >= ROOM:
            kept.clear()
        kept[key] = answer
        return answer

    return ask


@contextmanager
def still(kept: dict[str, Any]) -> Iterator[None]:
    """Take files as unchanging inside: what functions `of_files` read is kept in `kept`."""
    token = _still.set(kept)
    try:
        yield
    finally:
        _still.reset(token)


def of_files(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function that reads files be asked once inside `still`, and every time outside."""

    name = f"{function.__module__}.{function.__qualname__}"

    @wraps(function)
    def ask(*args: P.args, **kwargs: P.kwargs) -> R:
        kept = _still.get()
        if kept is None:
            return function(*args, **kwargs)
        key = f"{name} {args} {kwargs}"
        if key not in kept:
            kept[key] = function(*args, **kwargs)
        return kept[key]

    return ask
