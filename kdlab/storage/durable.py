"""Files that are whole or not there, and whose content is checked when it is read.

A disk, a cable or a memory may change a bit without an error. What is kept therefore carries a
digest of itself: each line of a ledger (a file of JSON lines that is only appended to) has its own,
a sealed file has one at its end, a YAML file in a comment that ends it. Parquet's pages have
checksums of their own.
"""

import hashlib
import json
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from kdlab.errors import BadInput

PARTIAL = ".partial"  # what the name of a file or folder ends in while it is written
SEAL = 32  # bytes
_COMMENT = b"# digest of the lines above: "
_KEY, _CLOSE = b',"check":"', b'"}\n'  # how a line of a ledger ends, around its digest


class Damaged(ValueError):
    """A file is not what was written."""


def short_digest(content: bytes) -> str:
    """A 128-bit digest of bytes."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def check_root(root: str | Path) -> None:
    """Refuse a root under which no file can be written, before any work; create nothing.

    Raises:
        BadInput: naming the root and the system's error.
    """
    try:
        # The root itself may not be there yet.
        existing = Path(root).absolute()
        while not existing.exists():
            existing = existing.parent
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise BadInput(f"root={root}: no files can be written there: {error.strerror}") from None


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)


def write_whole(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file so that it is there whole or not at all; a `private` one for its owner alone.

    It is written and synced under another name first, and then renamed, which is one step.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of this process: two that write the same file must not write into each other's.
    partial = path.with_name(f"{path.name}.{worker()}{PARTIAL}")
    try:
        with open(partial, "wb", opener=_for_owner if private else None) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or, after a power cut, the new name may have no content
        partial.replace(path)
    except OSError:  # a full disk is not made fuller
        partial.unlink(missing_ok=True)
        raise


def append(path: Path, content: bytes) -> os.stat_result:
    """Append to a file and sync it to disk; return the file's state afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        return os.fstat(file.fileno())


@cache  # by process id, since a forked process has its parent's cache but must not have its name
def _worker(process: int) -> str:
    return f"{socket.gethostname()}-{process}-{time.time_ns():x}"


def worker() -> str:
    """This process's part of file names: host, process id, and time of its first use."""
    return _worker(os.getpid())


# ---- ledgers -----------------------------------------------------------------------------------


def check(content: bytes) -> bytes:
    """The digest of a line's content, which ends the line."""
    return hashlib.blake2b(content, digest_size=8).hexdigest().encode()


def line(content: Mapping[str, Any]) -> bytes:
    """An object as one line of JSON, whose last key `check` is a digest of all before it.

    Example:
        {"uid": "1"} becomes {"uid":"1","check":"6a3c..."}.
    """
    # Without its closing brace, so that the digest becomes a key of the same object.
    body = json.dumps(content, separators=(",", ":")).encode()[:-1]
    return body + _KEY + check(body) + _CLOSE


def is_whole(written: bytes) -> bool:
    """Whether a line is as `line` made it: not torn, damaged or foreign."""
    # From the right, as a value in the object may contain the same bytes.
    body, _, end = written.rpartition(_KEY)
    return end == check(body) + _CLOSE


def page_of(written: bytes) -> dict[str, Any] | None:
    """The object that a line holds; None if the line is torn, damaged or foreign."""
    if not is_whole(written):
        return None
    content = json.loads(written.rpartition(_KEY)[0] + b"}")
    return content if isinstance(content, dict) else None


def append_line(path: Path, content: Mapping[str, Any]) -> tuple[int, os.stat_result]:
    """Append an object as one line of JSON, synced.

    Returns:
        The byte where the line begins, and the file's state afterwards.
    """
    written = line(content)
    # The newline before ends a line that an earlier, failed write may have torn.
    state = append(path, b"\n" + written)
    return state.st_size - len(written), state


def whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects in the whole lines of a file that `append_line` wrote."""
    return (content for content, _, _ in addressed_lines(path, 0, path.stat().st_size))


def addressed_lines(path: Path, start: int, end: int) -> Iterator[tuple[dict[str, Any], int, int]]:
    """The objects in the whole lines within some bytes of a file, and the bytes where they lie."""
    for content, first, last in stretches(path, start, end):
        if content is not None:
            yield content, first, last


def stretches(path: Path, start: int, end: int) -> Iterator[tuple[dict[str, Any] | None, int, int]]:
    """As `addressed_lines`, with None for each line that is torn, damaged or foreign."""
    with open(path, "rb") as file:
        file.seek(start)
        for written in file.read(end - start).splitlines(keepends=True):
            first, start = start, start + len(written)
            if written != b"\n":
                yield page_of(written), first, start


# ---- sealed files ------------------------------------------------------------------------------


def write_sealed(path: Path, content: bytes) -> None:
    """Write a file whole, with a digest at its end."""
    write_whole(path, content + hashlib.blake2b(content, digest_size=SEAL).digest())


def read_sealed(path: Path) -> bytes:
    """The content of a file that `write_sealed` wrote.

    Raises:
        Damaged: its digest is not that of its content.
    """
    written = path.read_bytes()
    content, seal = written[:-SEAL], written[-SEAL:]
    if hashlib.blake2b(content, digest_size=SEAL).digest() != seal:
        raise Damaged(f"{path} is damaged")
    return content


# ---- YAML files --------------------------------------------------------------------------------


def write_yaml(path: Path, text: str, *, private: bool = False) -> None:
    """Write YAML whole, with its digest in a comment at the end; a `private` file as `write_whole`.

    Args:
        path: the file.
        text: YAML that ends with a newline.
    """
    content = text.encode()
    write_whole(path, content + _COMMENT + check(content) + b"\n", private=private)


def read_yaml(path: Path) -> str:
    """The YAML that `write_yaml` wrote, without the comment.

    Raises:
        FileNotFoundError: it is not there.
        Damaged: it is not what was written.
    """
    content, _, end = path.read_bytes().rpartition(_COMMENT)
    if end != check(content) + b"\n":
        raise Damaged(f"{path} is not what was written")
    return content.decode()
