"""How a command ends: one line and an exit code, and not a word to a reader who has left."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from kdlab.durable import Damaged
from kdlab.errors import BadInput
from kdlab.options.callables import is_mistake

BAD_INPUT, FAILED, STOPPED = 2, 1, 130
CLOSED = 141  # what a shell reports of a program that SIGPIPE ended


@contextmanager
def ending(
    program: str, stopped: str, failures: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """End the process as a command line should.

    Bad input, or a file that is not what was written, is one line and exit code 2, a disk that
    fails one line and 1, and Ctrl-C 130. Where nobody reads what is printed any more, as in
    `... | head`, the command ends without a word. Anything else is our own mistake, and keeps its
    traceback.

    Args:
        program: the name before each line.
        stopped: what is said after Ctrl-C.
        failures: further errors that are one line and exit code 1.
    """
    kinds: tuple[type[Exception], ...] = (OSError, *failures)
    logging.raiseExceptions = False  # a closed pipe is no error of whoever logs
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # here: at the interpreter's own end it would be a traceback
    except BrokenPipeError:
        _drop_output()
        sys.exit(CLOSED)
    except (BadInput, Damaged) as error:
        _end(f"{program}: {error}", BAD_INPUT)
    except kinds as error:
        if is_mistake(error):
            raise
        _end(f"{program}: {error}", FAILED)
    except KeyboardInterrupt:
        _end(f"{program}: {stopped}", STOPPED)


def say(text: str) -> None:
    """Print a line of a command whose work goes on when nobody reads any more."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _drop_output()


def _end(line: str, code: int) -> None:
    print(line, file=sys.stderr)
    sys.exit(code)


def _drop_output() -> None:
    """Lead what is still printed, and what is still in a buffer, to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
