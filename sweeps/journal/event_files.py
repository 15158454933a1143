"""Files of JSON lines that only grow: a second read goes on where the first one ended.

A sweep of thousands of tasks has thousands of event files, and its events are added up after every
cohort. What was read before is therefore kept in memory, and only new bytes are parsed.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdlab.storage import durable

JsonObject = dict[str, Any]
Check = Callable[[JsonObject, Path, int], JsonObject]
TAIL = 256  # bytes that are compared to notice that another file took a file's place


@dataclass
class Journal:
    """What was read of one file so far.

    Attributes:
        stamp: the file's inode, its size in bytes and its time of change (ns) at the last read.
        end: how many bytes were read: those of its whole lines.
        tail: the last of these bytes.
        lines: how many lines they are.
        events: what the valid lines say, in their order.
        skipped: for each invalid line its file, its number and the reason.
    """

    stamp: tuple[int, int, int] = (0, 0, 0)
    end: int = 0
    tail: bytes = b""
    lines: int = 0
    events: list[JsonObject] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


_JOURNALS: dict[Path, Journal] = {}


def read(folder: Path, check: Check) -> list[Journal]:
    """Read every `*.jsonl` file of a folder, in the order of their names.

    A line that `kdlab.storage.durable` did not write, or that `check` refuses, is listed under
    `skipped`.
    A last line without a line break is left for the next read: somebody may be writing it.

    Args:
        folder: where the files are; it need not exist.
        check: called once for each line with its JSON object, its file and its number, from 1. It
            returns the event to keep, and raises ValueError for a line that is not one.
    """
    paths = sorted(folder.glob("*.jsonl"))
    # Only the folder that was read last is kept in memory: a process works under one root.
    for path in _JOURNALS.keys() - set(paths):
        del _JOURNALS[path]
    return [_read(path, check) for path in paths]


def _read(path: Path, check: Check) -> Journal:
    # Before the file is read: what is appended meanwhile changes the stamp, and is read next time.
    stat = path.stat()
    stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    journal = _JOURNALS.get(path)
    # Opening thousands of files on a network file system takes seconds; asking for sizes is fast.
    if journal and journal.stamp == stamp:
        return journal
    with open(path, "rb") as file:
        if journal is None or not _is_longer_version(journal, stamp, file.fileno()):
            journal = _JOURNALS[path] = Journal()
        file.seek(journal.end)
        _add(journal, file.read(), path, check)
    journal.stamp = stamp
    return journal


def _is_longer_version(journal: Journal, stamp: tuple[int, int, int], file: int) -> bool:
    """Whether a file still begins with what was read of it, so that the rest can be appended."""
    inode, size, _ = stamp
    if inode != journal.stamp[0] or size <= journal.stamp[1]:
        return False
    # A file system may give a new file the inode of a removed one: the content decides.
    start = journal.end - len(journal.tail)
    return os.pread(file, len(journal.tail), start) == journal.tail


def _add(journal: Journal, content: bytes, path: Path, check: Check) -> None:
    """Add the whole lines of new content to a journal."""
    whole = content[: content.rfind(b"\n") + 1]
    for line in whole.splitlines(keepends=True):
        journal.lines += 1
        if line == b"\n":  # a writer begins with a line break, in case the last one died in a line
            continue
        try:
            json_object = durable.page_of(line)
            if json_object is None:
                raise ValueError("torn, damaged or foreign")
            journal.events.append(check(json_object, path, journal.lines))
        except (ValueError, RecursionError) as error:
            journal.skipped.append(f"{path.parent.name}/{path.name}, line {journal.lines}: {error}")
    journal.end += len(whole)
    journal.tail = (journal.tail + whole)[-TAIL:]
