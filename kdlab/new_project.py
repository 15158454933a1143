"""`kdlab new FOLDER`: a project of one's own (`kdlab.project`), with one of each thing.

Files of `kdlab/template` are written with the project's name in the place of `PACKAGE`. Those of
Python are called `.txt` there, so that nothing takes them for modules of kdlab.
"""

import argparse
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

from kdlab import project
from kdlab.errors import BadInput
from kdlab.storage.durable import write_whole

TEMPLATE = Path(__file__).resolve().parent / "template"
NAME = "PACKAGE"  # what stands for the project's name in the template
RENAMED = {"gitignore.txt": ".gitignore"}
ABOUT = "Make a folder for options, losses and studies of your own, with one of each."
NEXT = """{count} files in {folder}; next:
  cd {folder}
  python -m pytest
  kdlab knowledge=hidden_huber
  kdlab-sweeps plan huber"""


def command(arguments: Sequence[str]) -> None:
    """Make the project that a command line names, and say what to do next."""
    parser = argparse.ArgumentParser("kdlab new", description=ABOUT)
    parser.add_argument("folder", help="that does not exist or is empty; named as the package")
    folder = parser.parse_args(arguments).folder
    print(NEXT.format(count=len(make(Path(folder))), folder=folder))


def make(folder: Path) -> list[Path]:
    """Write the files of a new project; return them.

    Raises:
        BadInput: there is something already, or no package can have the folder's name.
    """
    name = folder.resolve().name
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or name in project.TAKEN:
        allowed = f"letters, digits and _, and none of {', '.join(project.TAKEN)}"
        raise BadInput(f"new {name}: it is the name of a Python package too: {allowed}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"new {folder}: there is something already; nothing was written")
    other = importlib.util.find_spec(name)
    if other and other.origin:  # an empty folder that Python looks into has none
        raise BadInput(f"new {name}: Python has a package of this name; call yours otherwise")
    written = []
    for path in sorted(path for path in TEMPLATE.rglob("*") if path.is_file()):
        place = path.relative_to(TEMPLATE)
        file = RENAMED.get(place.name, place.name.removesuffix(".txt"))
        written.append(folder / str(place.parent).replace(NAME, name) / file)
        write_whole(written[-1], path.read_text().replace(NAME, name).encode())
    return written
