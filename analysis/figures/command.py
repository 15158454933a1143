"""`python -m analysis figures`."""

import argparse

from analysis import default_root
from analysis.figures.drawing import FORMATS, NAMES
from kdlab.errors import BadInput
from sweeps.journal.run_states import study_folder


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of `python -m analysis figures`."""
    command.add_argument("study")
    command.add_argument("--root", default=default_root())
    command.add_argument("--format", choices=FORMATS, default="pdf", help="(%(default)s)")
    command.add_argument("--only", choices=NAMES, nargs="+", default=NAMES, metavar="FIGURE",
                         help=f"of {', '.join(NAMES)}")  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """`python -m analysis figures`: draw, write, and say what could not be drawn."""
    import analysis
    from analysis import figures

    runs = analysis.load(arguments.study, arguments.root)
    gallery = figures.every(runs, arguments.only)
    folder = study_folder(arguments.root, arguments.study) / "figures"
    for path in figures.write(gallery, folder, arguments.format):
        print(path)
    for note in gallery.notes:
        print(f"not drawn: {note}")
    if not gallery.drawings:
        raise BadInput(f"{arguments.study}: nothing to draw yet")
