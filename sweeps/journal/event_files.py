"""Files of JSON lines that only grow: each is read on from where it was read before."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdlab import durable

Page = dict[str, Any]
TAIL = 256  # bytes by which a file that took the place of another is told


@dataclass
class Journal:
    """What was read of a file.

    Attributes:
        stamp: the file's inode, size and time of change when it was read last.
        end: how many bytes were read: those of its whole lines.
        tail: the last of these bytes.
        lines: how many lines they are.
        pages: what the lines say, in their order.
        odd: the lines that say nothing, by file and number, each with the reason.
    """

    stamp: tuple[int, int, int] = (0, 0, 0)
    end: int = 0
    tail: bytes = b""
    lines: int = 0
    pages: list[Page] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)


_JOURNALS: dict[Path, Journal] = {}


def read(folder: Path, check: Callable[[Page, Path, int], Page]) -> list[Journal]:
    """What every `*.jsonl` file of a folder says.

    A line that `kdlab.durable` did not write, or that `check` refuses, is passed over and listed
    under `odd`.
    A last line without an end is left for later: somebody may be writing it.

    Args:
        folder: which need not be there.
        check: what a page becomes, given its file and the number of its line, from 1; it raises
            ValueError for one that is none. It is called once for each line.
    """
    paths = sorted(folder.glob("*.jsonl"))
    for path in _JOURNALS.keys() - set(paths):
        del _JOURNALS[path]
    return [_read(path, check) for path in paths]


def _read(path: Path, check: Callable[[Page, Path, int], Page]) -> Journal:
    found = path.stat()
    stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
    journal = _JOURNALS.get(path)
    if journal and journal.stamp == stamp:
        return journal
    with open(path, "rb") as file:
        if journal is None or not _goes_on(journal, stamp, file.fileno()):
            journal = _JOURNALS[path] = Journal()
        file.seek(journal.end)
        _add(journal, file.read(), path, check)
    journal.stamp = stamp
    return journal


def _goes_on(journal: Journal, stamp: tuple[int, int, int], file: int) -> bool:
    """Whether a file still begins with what was read of it."""
    inode, size, _ = stamp
    if inode != journal.stamp[0] or size <= journal.stamp[1]:
        return False
    start = journal.end - len(journal.tail)
    return os.pread(file, len(journal.tail), start) == journal.tail


def _add(
    journal: Journal, content: bytes, path: Path, check: Callable[[Page, Path, int], Page]
) -> None:
    whole = content[: content.rfind(b"\n") + 1]
    for line in whole.splitlines(keepends=True):
        journal.lines += 1
        if line == b"\n":
            continue
        try:
            page = durable.page_of(line)
            if page is None:
                raise ValueError("torn, damaged or foreign")
            journal.pages.append(check(page, path, journal.lines))
        except (ValueError, RecursionError) as error:
            journal.odd.append(f"{path.parent.name}/{path.name}, line {journal.lines}: {error}")
    journal.end += len(whole)
    journal.tail = (journal.tail + whole)[-TAIL:]
