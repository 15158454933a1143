"""The files of the code, and the hash that names a copy of them. Loads no torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import kdlab
from kdlab.storage.durable import Damaged, short_digest
from kdlab.tracking import provenance

PACKAGES, CONF = ("kdlab", "sweeps"), "conf"
SUFFIXES = {".py", ".yaml", ".typed"}
Folders = Sequence[tuple[str, Path]]
COPIES = "code"  # the folder of all copies under a root
# The folder that holds the packages; in a wheel `sweeps` is a part of `kdlab`.
PROJECT = Path(kdlab.__file__).resolve().parents[1]


def of_copy(home: Path) -> Folders:
    """The folders of a copy: all that are in it, since a foreign one would be other code."""
    return [(path.name, path) for path in home.iterdir() if path.is_dir()]


def content(folders: Folders) -> dict[str, bytes]:
    """The content of the files of some folders, by the name in a copy.

    Args:
        folders: the name of each in a copy, and where it is.
    """
    # By suffix: what Python and editors write beside the code does not make it other code.
    return {
        f"{name}/{path.relative_to(folder)}": path.read_bytes()
        for name, folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in SUFFIXES
    }


def digest(files: Mapping[str, bytes]) -> str:
    """The hash of a set of files, names and content."""
    lines = (f"{name} {short_digest(files[name])}\n".encode() for name in sorted(files))
    return short_digest(b"".join(lines))


def has_commit(home: Path) -> bool:
    """Whether a copy says which commit it is of, and the file that does is whole."""
    try:
        provenance.copied_commit(home / "kdlab")
    except (OSError, Damaged):
        return False
    return True


def check(home: Path = PROJECT) -> None:
    """Refuse to run a copy of the code whose content is not what its folder's name says.

    Code that is not under a root's `code` folder is no copy, and passes.

    Raises:
        Damaged: it is other code; a launch mends it.
    """
    if home.parent.name != COPIES or not (home / CONF).is_dir():
        return
    if digest(content(of_copy(home))) != home.name or not has_commit(home):
        raise Damaged(f"{home} is damaged; the next launch mends it")
