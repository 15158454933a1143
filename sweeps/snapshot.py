"""A copy of the code, named by its content: later edits do not change what is queued."""

import shutil
from pathlib import Path

from kdlab import option_files, provenance
from kdlab.durable import PARTIAL, write_whole
from sweeps import tree


def snapshot(root: str | Path) -> Path:
    """Copy kdlab, sweeps and conf to `root/code/<tree hash>`, once; return the folder.

    A copy that is there already is held against the content, and what is damaged is written anew.
    """
    content = tree.content(tree.HOME, option_files.CONF)
    target = Path(root) / tree.CODE / tree.digest(content)
    if target.is_dir():
        _mend(target, content)
        return target
    partial = target.with_name(f"{target.name}{PARTIAL}")
    shutil.rmtree(partial, ignore_errors=True)
    for name, written in content.items():
        write_whole(partial / name, written)
    write_whole(partial / "kdlab" / provenance.COMMIT, (provenance.commit() or "").encode())
    partial.rename(target)
    return target


def _mend(target: Path, content: dict[str, bytes]) -> None:
    there = tree.content(target, target / tree.CONF)
    for name in there.keys() | content.keys():
        if there.get(name) == content.get(name):
            continue
        print(f"sweeps: {target / name} is damaged and mended", flush=True)
        if name in content:
            write_whole(target / name, content[name])
        else:
            (target / name).unlink()
