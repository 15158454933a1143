"""A copy of the code, named by its content: later edits do not change what is queued."""

import shutil
from pathlib import Path

from kdlab import config, costs
from kdlab.record import short_digest, write_whole

PACKAGES = ("kdlab", "sweeps")
KINDS = {".py", ".yaml", ".typed"}


def snapshot(root: str | Path) -> Path:
    """Copy kdlab, sweeps and conf to `root/code/<tree hash>`, once; return the folder."""
    home = Path(__file__).resolve().parents[1]
    files = {
        f"{package}/{path.relative_to(home / package)}": path
        for package in PACKAGES
        for path in _files(home / package)
    } | {f"conf/{path.relative_to(config.CONF)}": path for path in _files(config.CONF)}
    content = {name: path.read_bytes() for name, path in sorted(files.items())}
    tree = short_digest(b"".join(f"{n} {short_digest(c)}\n".encode() for n, c in content.items()))
    target = Path(root) / "code" / tree
    if not target.is_dir():
        partial = target.with_name(f"{tree}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        for name, text in content.items():
            write_whole(partial / name, text)
        write_whole(partial / "kdlab" / costs.COMMIT, (costs.commit() or "").encode())
        partial.rename(target)
    return target


def _files(room: Path) -> list[Path]:
    return sorted(path for path in room.rglob("*") if path.is_file() and path.suffix in KINDS)
