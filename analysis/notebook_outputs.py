"""Notebooks with their outputs, from published records: `python -m analysis.notebook_outputs`.

Without a name it executes all notebooks of `analysis/notebooks` in place, else those that are
named: each in a kernel of its own, beside a root with every study of `analysis/results/records`.
The same records give the same bytes. A notebook of a study that is not published has no outputs.
It needs what `pip install -e '.[notebook]'` installs.
"""

import argparse
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import nbformat
from nbclient import NotebookClient

from analysis.archive import restore
from kdlab.ending import ending
from kdlab.storage.durable import write_whole

ANALYSIS = Path(__file__).parent
NOTEBOOKS, RECORDS = ANALYSIS / "notebooks", ANALYSIS / "results" / "records"
SECONDS = 600  # for one cell: the longest trains a small study
NOT_PUBLISHED = "no plan of study"  # how the refusal of a study begins that has no records here
# What would differ on another machine: addresses of objects, and folders.
OF_A_MACHINE = re.compile(r" at 0x[0-9a-f]{6,}|(?<![\w.])/(?:tmp|home|root|usr|var|Users)/")
IMAGE = re.compile(r"data:image/[\w+]+;base64,[\w+/=]+")


def main() -> None:
    """The command line: exit code 2 for bad input."""
    with ending("analysis.notebook_outputs", "stopped; what is written is whole", (RuntimeError,)):
        text = (__doc__ or "").split("\n\n")
        parser = argparse.ArgumentParser(description=text[0], epilog=text[1])
        paths = sorted(NOTEBOOKS.glob("*.ipynb"))
        names = [path.stem for path in paths]
        parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
        chosen = parser.parse_args().names or names
        if unknown := [name for name in chosen if name not in names]:
            parser.error(f"{unknown[0]}: no such notebook; there: {', '.join(names)}")
        for name in chosen:
            notebook, why = executed(NOTEBOOKS / f"{name}.ipynb")
            write_whole(NOTEBOOKS / f"{name}.ipynb", written(notebook))
            print(f"{name}: {why or 'with its outputs'}", flush=True)


def executed(path: Path) -> tuple[Any, str]:
    """A notebook after it ran on the published records, and why it has no outputs; "" if it has.

    Raises:
        RuntimeError: a cell ends in an error, or prints what is of this machine alone.
    """
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    metadata = dict(notebook.metadata)
    with tempfile.TemporaryDirectory() as room, _environment(room):
        for records in sorted(RECORDS.iterdir()):
            restore(records, Path(room) / "runs")
        where = {"metadata": {"path": str(path.parent)}}
        NotebookClient(notebook, timeout=SECONDS, resources=where, allow_errors=True).execute()
        notebook.metadata = nbformat.from_dict(metadata)  # the version of this machine's Python
        why = _error(notebook)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.metadata.pop("execution", None)  # when it ran
                cell.outputs = [] if why else [_portable(output, room) for output in cell.outputs]
                cell.execution_count = None if why else cell.execution_count
    return notebook, f"without outputs: {why}" if why else ""


def written(notebook: Any) -> bytes:
    """A notebook's file."""
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    return f"{text}\n".encode()


def of_a_machine(text: str) -> str:
    """The first path or address in an output that another machine would not have; "" if none."""
    match = OF_A_MACHINE.search(IMAGE.sub("", text))
    return match.group() if match else ""


@contextmanager
def _environment(room: str) -> Iterator[None]:
    """The variables of a kernel that knows nothing of the user's settings."""
    jupyter = ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
    own = {name: str(Path(room) / name) for name in jupyter}
    own |= {"JUPYTER_PLATFORM_DIRS": "1", "KDLAB_ROOT": str(Path(room) / "runs"), "TMPDIR": room}
    paths = [str(ANALYSIS.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    with patch.dict(os.environ, own | {"PYTHONPATH": os.pathsep.join(paths)}):
        os.environ.pop("KDLAB_STUDY", None)
        yield


def _error(notebook: Any) -> str:
    """Why a notebook has no outputs: the line of a study that is not published; else ""."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                line = f"{output.ename}: {output.evalue}"
                if not output.evalue.startswith(NOT_PUBLISHED):
                    raise RuntimeError(f"{line}, in the cell\n{cell.source}")
                return str(output.evalue).partition(" under ")[0]
    return ""


def _portable(output: Any, room: str) -> Any:
    """An output as any machine would have it: the root of the records is called `runs`."""
    text = nbformat.v4.writes(nbformat.v4.new_notebook(cells=[_cell(output)]))  # type: ignore[no-untyped-call]
    text = text.replace(f"{room}/runs", "runs")
    if alien := of_a_machine(text):
        raise RuntimeError(f"an output has {alien!r}, which is of this machine alone")
    return nbformat.reads(text, as_version=4).cells[0].outputs[0]  # type: ignore[no-untyped-call]


def _cell(output: Any) -> Any:
    return nbformat.v4.new_code_cell(outputs=[output])  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
