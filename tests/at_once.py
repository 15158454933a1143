"""Processes that start at once: forked from one that has loaded torch, Hydra and the rest.

A process of its own is what is killed, or has its own exit code, output and working directory;
that it loads everything again would be seconds of each test.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

LOADED = [
    "at_once",
    "hydra",
    "kdlab.cohort",
    "transformers.modeling_utils",  # which the first model of a process loads, for two seconds
    "kdlab.config.compose",
    "sweeps.commands",
    "analysis.tables.arrange",
]
LONGEST = 300  # seconds


@cache
def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    return context


def call(function: Callable[..., object], *arguments: object) -> int:
    """Call a function of a module in a process of its own; return its exit code.

    Where a signal ended it the code is minus the signal's number.
    """
    process = start(function, *arguments)
    process.join(LONGEST)
    if process.is_alive():
        process.kill()
        raise TimeoutError(f"not after {LONGEST} s: {function.__name__}")
    return int(process.exitcode)


def start(function: Callable[..., object], *arguments: object) -> Any:
    """As `call`, which would wait for the process that this returns."""
    process = _context().Process(target=_as_here, args=(dict(os.environ), function, arguments))
    process.start()
    return process


def _as_here(environment: Mapping[str, str], function: Callable[..., object], rest: Any) -> None:
    os.environ.clear()  # it is that of the process that everything is forked from
    os.environ.update(environment)
    function(*rest)


def python(
    *arguments: str, cwd: Path | None = None, is_read: bool = True
) -> subprocess.CompletedProcess[str]:
    """What `python -m` does with these arguments; its output is read, or its pipe is closed."""
    with tempfile.TemporaryDirectory() as room:
        out, err = Path(room, "out"), Path(room, "err")
        out.touch()
        code = call(_module, arguments, cwd or Path.cwd(), out if is_read else None, err)
        return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())


def _module(arguments: tuple[str, ...], folder: Path, out: Path | None, err: Path) -> None:
    os.chdir(folder)
    sys.path.insert(0, str(folder))  # as `python -m` does
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600) if path else _closed(), number)
    sys.argv = list(arguments)
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


def _closed() -> int:
    """A pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer
