"""The files of the code, and the hash that names a copy of them. Loads no torch."""

from collections.abc import Mapping
from pathlib import Path

import kdlab
from kdlab.storage.durable import Damaged, short_digest
from kdlab.tracking import provenance

PACKAGES, CONF = ("kdlab", "sweeps"), "conf"
SUFFIXES = {".py", ".yaml", ".typed"}
COPIES = "code"  # the folder of all copies under a root
# The folder that holds the packages; in a wheel `sweeps` is a part of `kdlab`.
PROJECT = Path(kdlab.__file__).resolve().parents[1]


def content(home: Path, conf: Path) -> dict[str, bytes]:
    """The content of the files of kdlab, sweeps and conf by name.

    Args:
        home: the folder that holds the packages.
        conf: the folder of the options, which is elsewhere in an installed wheel.
    """
    # By suffix: what Python and editors write beside the code does not make it other code.
    folders = {**{name: home / name for name in PACKAGES}, CONF: conf}
    return {
        f"{name}/{path.relative_to(folder)}": path.read_bytes()
        for name, folder in folders.items()
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
    if digest(content(home, home / CONF)) != home.name or not has_commit(home):
        raise Damaged(f"{home} is damaged; the next launch mends it")
