"""What a wheel of kdlab has: all of it under `kdlab`, so that it overwrites nobody's package.

In the repository `sweeps`, `analysis` and `conf` lie beside `kdlab`. Installed so, they would be
packages of these names for everybody: pip lets the `sweeps` that W&B publishes and ours overwrite
each other's files without a word, and an `analysis` folder of the user's would hide ours. In a
wheel they are `kdlab.sweeps`, `kdlab.analysis` and `kdlab/conf`, and every import, dotted name and
command that names them says so. An editable install changes nothing: it is the repository.
"""

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MOVED = ("sweeps", "analysis")  # that are parts of `kdlab` in a wheel
PLUGINS = "hydra_plugins"  # a namespace of Hydra's, where it looks for the sweeper
TEXTS = {".py", ".yaml", ".ipynb"}  # that name modules
_NAME = rf"(?P<name>{'|'.join(MOVED)})"
RENAMED = (
    re.compile(rf"(?P<before>\b(?:from|import) ){_NAME}\b"),
    re.compile(rf'(?P<before>(?:python -m |"-m", ")){_NAME}\b'),
    # A dotted name, in code or in words; no path, and no file such as tests/sweeps.py.
    re.compile(rf"(?P<before>(?<![\w./])){_NAME}(?=\.[a-z_{{])"),
)


def renamed(text: str) -> str:
    """A text of the repository as a wheel has it."""
    for pattern in RENAMED:
        text = pattern.sub(r"\g<before>kdlab.\g<name>", text)
    return text


def lay_out(repository: Path, target: Path) -> None:
    """Write what a wheel has into a folder, as it is to lie in `site-packages`."""
    skipped = shutil.ignore_patterns("__pycache__", ".*", PLUGINS)
    package = target / "kdlab"
    for name in ("kdlab", *MOVED, "conf"):
        place = package if name == "kdlab" else package / name
        shutil.copytree(repository / name, place, ignore=skipped, dirs_exist_ok=True)
    plugins = repository / "sweeps" / PLUGINS
    shutil.copytree(plugins, target / PLUGINS, ignore=shutil.ignore_patterns("__pycache__"))
    for path in target.rglob("*"):
        if path.suffix in TEXTS:
            path.write_text(renamed(path.read_text(encoding="utf-8")), encoding="utf-8")


class Wheel(BuildHookInterface):
    """Hatchling calls this before it writes a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files of the wheel, which are made in a folder beside."""
        if version == "editable":
            return
        scripts = self.metadata.core.scripts  # read after this, when the wheel is written
        scripts.update({command: renamed(target) for command, target in scripts.items()})
        self.made = tempfile.TemporaryDirectory(prefix="kdlab-wheel-")  # gone with this process
        lay_out(Path(self.root), Path(self.made.name))
        for path in Path(self.made.name).iterdir():
            build_data["force_include"][str(path)] = path.name
