"""A project of one's own: a folder with options, functions and studies, outside of kdlab's code.

It is the nearest folder, from the working directory upwards, whose `pyproject.toml` says

    [tool.kdlab]
    packages = ["mylab"]

Its `conf/` has option files beside those of kdlab, its `studies/` has studies, its `layouts/` how
tables are arranged, and `packages` are its Python packages: an option's file may name their
functions, and a launch copies them to its tasks. Whoever works in a project trusts its files, as
with pytest and its conftest.py.
"""

import importlib.util
import re
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kdlab.errors import BadInput
from kdlab.tracking.provenance import is_copy

FILE, TABLE = "pyproject.toml", "tool.kdlab"
HEADING = re.compile(rb"^\s*\[tool\.kdlab\]", re.MULTILINE)
PACKAGES = "packages"  # the one key of the table
# What a package must not be called.
TAKEN = ("conf", "studies", "layouts", "kdlab", "sweeps", "analysis")


@dataclass(frozen=True)
class Project:
    """A project.

    Attributes:
        folder: where it is.
        packages: the names of its Python packages, folders there.
    """

    folder: Path
    packages: tuple[str, ...]

    @property
    def conf(self) -> Path:
        """The folder of its options."""
        return self.folder / "conf"

    @property
    def studies(self) -> Path:
        """The folder of its studies."""
        return self.folder / "studies"

    @property
    def layouts(self) -> Path:
        """The folder of its layouts of tables."""
        return self.folder / "layouts"


def current() -> Project | None:
    """The project that the working directory is in; None where it is in none.

    Its packages can be imported from then on. A task that runs a copy of the code is in none: the
    copy has what it needs.

    Raises:
        BadInput: its `pyproject.toml` says something wrong, or Python finds other packages.
    """
    return None if is_copy() else _nearest(Path.cwd())


@cache
def _nearest(folder: Path) -> Project | None:
    for candidate in (folder, *folder.parents):
        path = candidate / FILE
        # Most projects of Python have this file, and are none of kdlab's.
        if path.is_file() and HEADING.search(path.read_bytes()):
            return _read(path)
    return None


def _read(path: Path) -> Project:
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text())["tool"]["kdlab"]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: {error}") from None
    if unknown := sorted(table.keys() - {PACKAGES}):
        raise BadInput(f"{path}: {TABLE}.{unknown[0]}: unknown key; known keys: {PACKAGES}")
    names = table.get(PACKAGES, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadInput(f"{path}: {TABLE}.{PACKAGES}={names!r}: a list of names of packages")
    if names and str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last, so that no folder of a project hides a library
    for name in names:
        if problem := _problem(path.parent, name):
            raise BadInput(f"{path}: {TABLE}.{PACKAGES}: {name}: {problem}")
    return Project(path.parent, tuple(names))


def _problem(folder: Path, name: str) -> str | None:
    """What is wrong with the name of a project's package."""
    if name in TAKEN or not name.isidentifier():
        return f"no name for a package of a project; it is a word, and none of {', '.join(TAKEN)}"
    if not (folder / name / "__init__.py").is_file():
        return f"there is no {folder / name / '__init__.py'}"
    spec = importlib.util.find_spec(name)
    places = spec.submodule_search_locations if spec else None
    if (folder / name).resolve() not in {Path(place).resolve() for place in places or []}:
        where = spec.origin if spec else "nowhere"
        return f"Python finds {where} under this name: call the project's otherwise"
    return None
