"""Where a result was computed: code, libraries and machine.

Loads torch only where a device is described: commands that need just the commit start at once.
"""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdlab.storage.durable import Damaged, line, page_of, write_whole

if TYPE_CHECKING:
    import torch

LIBRARIES = ("torch", "transformers", "numpy")
PACKAGE = Path(__file__).resolve().parents[1]
COMMIT = "COMMIT"  # the file of a copy that says it


def provenance(device: "torch.device") -> dict[str, Any]:
    """Code, libraries and machine."""
    import torch

    return {
        "commit": commit(),
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
        "host": platform.node(),
        "accelerator": device.type,
        "device": machine(device),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }


def machine(device: "torch.device") -> str:
    """The name of the GPU, or of the CPU."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


@cache
def processor() -> str:
    """The CPU's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    # Linux says it once for each core; on ARM not at all.
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def is_copy() -> bool:
    """Whether this code is a copy that a sweep made for its workers."""
    return (PACKAGE / COMMIT).is_file()


@cache
def commit() -> str | None:
    """The commit of kdlab's checkout, with a plus sign if files differ from it."""
    if is_copy():
        return copied_commit(PACKAGE)
    try:
        head = _git(PACKAGE, "rev-parse", "--short=12", "HEAD")
        # Untracked files, such as records and notes, would put a plus sign on nearly every commit.
        changed = _git(PACKAGE, "status", "--porcelain", "--untracked-files=no")
        return head + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def write_commit(package: Path) -> None:
    """Write the commit of this code into a copy of the package."""
    write_whole(package / COMMIT, line({"commit": commit()}))


def copied_commit(package: Path) -> str | None:
    """The commit that a copy of the package says it is of.

    Raises:
        Damaged: the file that says it is not what was written.
    """
    content = page_of((package / COMMIT).read_bytes())
    if content is None:
        raise Damaged(f"{package / COMMIT} is damaged; the next launch mends it")
    return content["commit"]


def _git(folder: Path, *command: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *command], check=True, capture_output=True, text=True
    ).stdout.strip()
