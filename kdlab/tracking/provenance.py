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

if TYPE_CHECKING:
    import torch

LIBRARIES = ("torch", "transformers", "numpy")
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
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


@cache
def commit() -> str | None:
    """The commit of kdlab's checkout, with a plus sign if files differ from it."""
    checkout = Path(__file__).resolve().parents[1]
    if (checkout / COMMIT).is_file():  # a copy that a sweep made for its workers
        return (checkout / COMMIT).read_text().strip() or None
    try:
        head = _git(checkout, "rev-parse", "--short=12", "HEAD")
        changed = _git(checkout, "status", "--porcelain", "--untracked-files=no")
        return head + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(checkout: Path, *command: str) -> str:
    return subprocess.run(
        ["git", "-C", str(checkout), *command], check=True, capture_output=True, text=True
    ).stdout.strip()
