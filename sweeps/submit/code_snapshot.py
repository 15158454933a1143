"""A copy of the code, named by its content: later edits do not change what is queued."""

import shutil
from pathlib import Path

from kdlab.config import option_files
from kdlab.durable import PARTIAL, write_whole
from kdlab.tracking import provenance
from sweeps.task import code_check


def snapshot(root: str | Path) -> Path:
    """Copy kdlab, sweeps and conf to `root/code/<tree hash>`, once; return the folder.

    A copy that is there already is held against the content, and what is damaged is written anew.
    """
    content = code_check.content(code_check.HOME, option_files.CONF)
    target = Path(root) / code_check.CODE / code_check.digest(content)
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
    there = code_check.content(target, target / code_check.CONF)
    for name in there.keys() | content.keys():
        if there.get(name) == content.get(name):
            continue
        print(f"sweeps: {target / name} is damaged and mended", flush=True)
        if name in content:
            write_whole(target / name, content[name])
        else:
            (target / name).unlink()
