"""How a command ends: one line and an exit code.

Where nobody reads any more what is printed, as in `python -m kdlab ... | head -1`, it is silent.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from kdlab.errors import BadInput
from kdlab.options.callables import is_mistake
from kdlab.storage.durable import Damaged

BAD_INPUT, FAILED, STOPPED = 2, 1, 130
CLOSED = 141  # 128 + SIGPIPE, what a shell reports where the reader of a pipe has left


@contextmanager
def ending(
    program: str, stopped: str, failures: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """End the process as a command line should.

    One line and exit code 2 for bad input, and for a file that is not what was written; one line
    and 1 for a disk that fails; 130 after Ctrl-C; 141 where the reader of a pipe has left. Anything
    else is a mistake in the code, and keeps its traceback.

    Args:
        program: the name before each line.
        stopped: the line after Ctrl-C.
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
        if is_mistake(error):  # in an option's own function, whose author needs the traceback
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
    """Discard what is still in a buffer, and all that is printed from now on."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(devnull, stream.fileno())
    os.close(devnull)
