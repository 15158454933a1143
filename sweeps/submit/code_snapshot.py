"""A copy of the code, named by its content: later edits do not change what is queued."""

import shutil
from pathlib import Path

from kdlab import project
from kdlab.config import option_files
from kdlab.storage.durable import PARTIAL, write_whole
from kdlab.tracking import provenance
from sweeps.task import code_check


def snapshot(root: str | Path) -> Path:
    """Copy the code, options included, to `root/code/<tree hash>`, once; return the folder.

    In a project its options and packages are copied too.

    A copy that is there already is compared with the content, and damaged files are written anew.
    """
    content = code_check.content(_folders())
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


def _folders() -> code_check.Folders:
    """The folders of the code, of kdlab's options, and of the project that one works in."""
    folders = [(name, code_check.PROJECT / name) for name in code_check.PACKAGES]
    folders.append((code_check.CONF, option_files.CONF))
    if own := project.current():
        folders += [(code_check.CONF, own.conf)]
        folders += [(name, own.folder / name) for name in own.packages]
    return folders


def _mend(target: Path, content: dict[str, bytes]) -> None:
    """Write damaged and missing files of a copy anew, and remove foreign ones."""
    copied = code_check.content(code_check.of_copy(target))
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
