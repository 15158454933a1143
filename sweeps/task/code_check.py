"""The files of the code, and the hash that names a copy of them. Loads no torch."""

from collections.abc import Mapping
from pathlib import Path

from kdlab.durable import Damaged, short_digest

PACKAGES, CONF = ("kdlab", "sweeps"), "conf"
KINDS = {".py", ".yaml", ".typed"}
CODE = "code"  # the folder of all copies
HOME = Path(__file__).resolve().parents[2]


def content(home: Path, conf: Path) -> dict[str, bytes]:
    """The files of kdlab, sweeps and conf by name."""
    rooms = {**{name: home / name for name in PACKAGES}, CONF: conf}
    return {
        f"{name}/{path.relative_to(room)}": path.read_bytes()
        for name, room in rooms.items()
        for path in sorted(room.rglob("*"))
        if path.is_file() and path.suffix in KINDS
    }


def digest(files: Mapping[str, bytes]) -> str:
    """The hash of files by name."""
    lines = (f"{name} {short_digest(files[name])}\n".encode() for name in sorted(files))
    return short_digest(b"".join(lines))


def check(home: Path = HOME) -> None:
    """Where this code is a copy, refuse to run one that is not what its folder's name says.

    Raises:
        Damaged: it is other code; a launch mends it.
    """
    if home.parent.name != CODE or not (home / CONF).is_dir():
        return
    if digest(content(home, home / CONF)) != home.name:
        raise Damaged(f"{home} is damaged; the next launch mends it")
