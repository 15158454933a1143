"""A copy of the code, named by its content: later edits do not change what is queued."""

import shutil
from pathlib import Path

from kdlab.config import option_files
from kdlab.storage.durable import PARTIAL, write_whole
from kdlab.tracking import provenance
from sweeps.task import code_check


def snapshot(root: str | Path) -> Path:
    """Copy kdlab, sweeps and conf to `root/code/<tree hash>`, once; return the folder.

    A copy that is there already is compared with the content, and damaged files are written anew.
    """
    content = code_check.content(code_check.PROJECT, option_files.CONF)
    target = Path(root) / code_check.COPIES / code_check.digest(content)
    if target.is_dir():
        _mend(target, content)
        return target
    # Written beside and renamed at the end: a task never sees half a copy. What an earlier launch
    # left unfinished is in the way; no other is at work, as this one holds the lock.
    partial = target.with_name(f"{target.name}{PARTIAL}")
    shutil.rmtree(partial, ignore_errors=True)
    for name, file_content in content.items():
        write_whole(partial / name, file_content)
    provenance.write_commit(partial / "kdlab")
    partial.rename(target)
    return target


def _mend(target: Path, content: dict[str, bytes]) -> None:
    """Write damaged and missing files of a copy anew, and remove foreign ones."""
    copied = code_check.content(target, target / code_check.CONF)
    for name in copied.keys() | content.keys():
        if copied.get(name) == content.get(name):
            continue
        print(f"sweeps: {target / name} is damaged and mended", flush=True)
        if name in content:
            write_whole(target / name, content[name])
        else:
            (target / name).unlink()
    if not code_check.has_commit(target):
        print(f"sweeps: the commit of {target} is damaged and mended", flush=True)
        provenance.write_commit(target / "kdlab")
