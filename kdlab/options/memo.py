"""Two memos for planning, where thousands of runs ask the same questions.

`by_content` is for pure functions: it keeps results for as long as the process lives. `of_files` is
for functions that read files, which may change: it keeps results only inside `files_unchanged`,
whose caller says for how long, and where they are kept.

    memo = {}
    with files_unchanged(memo):
        option("task", "sst2")      # reads the file
        option("task", "sst2")      # does not
    option("task", "sst2")          # reads the file

Both go by the text (`repr`) of the arguments. These are often dicts, which have no hash; and 1, 1.0
and True, which YAML tells apart and so does a uid, are equal as keys of a dict. Whoever gets a
result shares it with all others: nobody may change it. An error is not kept.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

MOST = 4096  # results that `by_content` keeps of a function before it starts afresh

P = ParamSpec("P")
R = TypeVar("R")
_memo: ContextVar[dict[str, Any] | None] = ContextVar("memo", default=None)


def by_content(function: Callable[P, R]) -> Callable[P, R]:
    """Keep what a pure function gives, by the text of its arguments."""
    results: dict[str, Any] = {}
    return _remembering(function, lambda: results, MOST)


@contextmanager
def files_unchanged(memo: dict[str, Any]) -> Iterator[None]:
    """Take files and environment not to change inside; results of `of_files` are kept in `memo`.

    A memo may be entered again later, with the results that it has by then.
    """
    token = _memo.set(memo)
    try:
        yield
    finally:
        _memo.reset(token)


def of_files(function: Callable[P, R]) -> Callable[P, R]:
    """Have a function that reads files called once for each arguments inside `files_unchanged`."""
    return _remembering(function, _memo.get, math.inf)


def _remembering(
    function: Callable[P, R], current: Callable[[], dict[str, Any] | None], most: float
) -> Callable[P, R]:
    """The function, with results that are kept in the current memo, if there is one.

    The key in the memo is the function's full name and the text of its arguments.
    """
    name = f"{function.__module__}.{function.__qualname__}"

    @wraps(function)
    def remembering(*args: P.args, **kwargs: P.kwargs) -> R:
        memo = current()
        if memo is None:
            return function(*args, **kwargs)
        key = f"{name} {args} {kwargs}"
        if key not in memo:
            result = function(*args, **kwargs)
            if len(memo) >= most:
                memo.clear()
            memo[key] = result
        return memo[key]

    return remembering
