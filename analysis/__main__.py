"""Records to tables, and what is behind a number: `python -m analysis COMMAND ...`.

examples:
  python -m analysis tables quickstart
  python -m analysis tables mine --layout a1_knowledge --format tex --split select
  python -m analysis why mine/main/logits/sst2
  python -m analysis diff mine/logits mine/hidden
  python -m analysis figures mine --format png
  python -m analysis guideline mine
  python -m analysis report mine
  python -m analysis submission mine --row both --out glue.zip

ROOT is runs/, or KDLAB_ROOT. Each command has a --help of its own.
"""

# What a docstring here says is what `--help` says: its first line, and below it the examples.

import argparse
import inspect
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis import load
from kdlab.ending import ending
from kdlab.errors import BadInput
from kdlab.storage.durable import write_whole
from kdlab.storage.ledger import damaged
from kdlab.storage.roots import default_root
from sweeps.journal import command_line
from sweeps.journal.run_states import study_folder

if TYPE_CHECKING:
    from analysis.tables.model import Table
DRAWN = 4  # tables at most whose figures `tables` draws beside them: each takes a second


def main() -> None:
    """The command line: exit code 2 for bad input."""
    with ending("analysis", "stopped; the same command starts again"):
        parser = _parser()
        command_line.answer_completion(parser)
        arguments = parser.parse_args()
        arguments.run(arguments)


def _parser() -> argparse.ArgumentParser:
    # Imports of pandas are within functions: this module alone loads in no time.
    from analysis.figures.drawing import FORMATS, NAMES
    from analysis.glue import submission
    from analysis.statistics.seed_tests import MARGIN

    parser = argparse.ArgumentParser("python -m analysis", **_help(__doc__))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(
        name: str, run: Callable[[argparse.Namespace], None], *positional: str
    ) -> argparse.ArgumentParser:
        texts = _help(run.__doc__)
        command = commands.add_parser(name, help=texts["description"], **texts)
        for metavar in positional:
            argument = command.add_argument(metavar.lower(), metavar=metavar)
            if metavar == "STUDY":
                command_line.of_studies(argument)
        command.add_argument("--root", default=default_root(), help="where runs are (%(default)s)")
        command.set_defaults(run=run)
        return command

    def add_margin(command: argparse.ArgumentParser) -> None:
        text = "differences that do not matter: ≈ marks what is shown to be smaller (%(default)s)"
        command.add_argument("--margin", type=float, default=MARGIN, metavar="POINTS", help=text)

    tables = add("tables", _tables, "STUDY")
    tables.add_argument("--split", choices=("report", "select"), default="report")
    add_margin(tables)
    tables.add_argument(
        "--layout", metavar="NAME", help="rows and columns as layouts/NAME.yaml has them"
    )
    text = "what is written: some or all"
    tables.add_argument("--format", default="all", metavar="md,tex,html,csv", help=text)
    command_line.add_json(tables)
    add_margin(add("guideline", _guideline, "STUDY"))
    add_margin(add("report", _report, "STUDY"))
    out = add("archive", _archive, "STUDY")
    out.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="named as the study")
    add("restore", _restore, "FOLDER")
    command_line.add_json(add("why", _why, "CELL"))
    diff = add("diff", _diff, "A", "B")
    diff.add_argument("--other", metavar="ROOT", help="where the runs of B are: --root, or this")
    command_line.add_json(diff)
    submission.add_arguments(add("submission", submission.run))
    figures = add("figures", _figures, "STUDY")
    figures.add_argument("--format", choices=FORMATS, default="pdf", help="(%(default)s)")
    text = f"of {', '.join(NAMES)}"
    figures.add_argument(
        "--only", choices=NAMES, nargs="+", default=NAMES, metavar="FIGURE", help=text
    )
    return parser


def _help(docstring: str | None) -> dict[str, Any]:
    """What argparse takes of a docstring: its first line as description, the rest below."""
    description, _, epilog = inspect.cleandoc(docstring or "").partition("\n\n")
    form = argparse.RawDescriptionHelpFormatter  # lines of the examples stay as they are
    return {"description": description, "epilog": epilog, "formatter_class": form}


def _formats(text: str) -> list[str]:
    """The names of formats, from a list with commas or `all`."""
    from analysis.tables.formats import FORMATS

    names = list(FORMATS) if text == "all" else text.split(",")
    if unknown := [name for name in names if name not in FORMATS]:
        raise BadInput(f"--format {unknown[0]}: no such format; there: {', '.join(FORMATS)}")
    return names


def _check_margin(margin: float) -> None:
    if not margin > 0:
        raise BadInput(f"--margin {margin:g}: points above 0")


def _tables(arguments: argparse.Namespace) -> None:
    """print a study's tables, and write them

    examples:
      python -m analysis tables quickstart
      python -m analysis tables glue_small --root /scratch/runs --format md,tex
      python -m analysis tables glue_small_tune --split select        # trials too
      python -m analysis tables mine --layout a1_knowledge            # as a paper has it

    Below the tables stand a dot for each seed of each arm, and what the tests say in a sentence.
    Files go to ROOT/studies/STUDY/tables. What is missing, failed, diverged, duplicate or stale is
    named first, on stderr.
    """
    from analysis.read import completeness
    from analysis.report import terminal
    from analysis.tables import formats

    # What may be wrong with the arguments is refused before records are read, which may be long.
    suffixes, arrange = _formats(arguments.format), layout(arguments.layout)
    _check_margin(arguments.margin)
    runs = load(arguments.study, arguments.root)
    problems = [*completeness.lines(completeness.audit(runs)), *damaged(arguments.root)]
    # Problems on stderr: the tables alone can be piped into a file.
    print("\n".join(problems), file=sys.stderr)
    tables = arrange(runs, split=arguments.split, margin=arguments.margin)
    if not tables:
        raise BadInput(
            f"{arguments.study}: nothing to show on {arguments.split}; trials: --split select"
        )
    folder = study_folder(arguments.root, arguments.study) / "tables"
    write(tables, folder, arguments.split, suffixes)
    if arguments.as_json:
        print(json.dumps([formats.data(table) for table in tables]))
        return
    print("\n".join(formats.markdown(table) for table in tables))
    if lines := terminal.summary(tables, arguments.margin):
        print(lines, end="\n\n")
    print(f"written to {folder} ({', '.join(f'.{suffix}' for suffix in suffixes)})")
    if arguments.split == "report" and len(tables) <= DRAWN:
        from analysis import figures

        for path in figures.write(figures.means(runs, tables), folder.parent / "figures", "png"):
            print(f"drawn: {path}")


def layout(name: str | None) -> "Callable[..., list[Table]]":
    """The function that arranges a study's tables: each as its block says, or all in one way."""
    from analysis.tables import papers

    # Without one each table is as its block of the study says: some may have one, others none.
    try:
        return papers.table(name) if name else papers.of_study
    except BadInput as error:
        raise BadInput(f"--{error}") from None


def write(tables: "list[Table]", folder: Path, split: str, suffixes: list[str]) -> None:
    """Write a file for each table and format, under names that LaTeX and shells can take."""
    from analysis.tables.formats import FORMATS

    stems: Counter[str] = Counter()
    for table in tables:
        stem = re.sub(r"[^\w.+-]+", "_", table.name).strip("_.") or "table"
        stem += "" if split == "report" else f"_{split}"
        stems[stem] += 1
        if stems[stem] > 1:  # a paper's table may be several, one of each of the study's
            stem += f"_{stems[stem]}"
        for suffix in suffixes:
            write_whole(folder / f"{stem}.{suffix}", FORMATS[suffix](table).encode())


def _guideline(arguments: argparse.Namespace) -> None:
    """the best practice that a study's data supports, printed and written

    examples:
      python -m analysis guideline quickstart
      python -m analysis guideline mine --root /scratch/runs --margin 0.5

    It goes to ROOT/studies/STUDY/guideline.md.
    """
    from analysis.guideline import guideline, markdown

    _check_margin(arguments.margin)
    text = markdown(guideline(load(arguments.study, arguments.root), arguments.margin))
    print(text)
    _write_text(arguments, "guideline.md", text)


def _report(arguments: argparse.Namespace) -> None:
    """tables, guideline and figures of a study as one page, written

    examples:
      python -m analysis report quickstart
      python -m analysis report glue_small --root /scratch/runs --margin 0.5

    The file is ROOT/studies/STUDY/report.html: one page with everything in it, which needs no
    network.
    """
    from analysis.report import report

    _check_margin(arguments.margin)
    html = report(load(arguments.study, arguments.root), margin=arguments.margin)
    _write_text(arguments, "report.html", html)


def _figures(arguments: argparse.Namespace) -> None:
    """draw a study; write .pdf, .png or .svg"""
    from analysis import figures

    gallery = figures.every(load(arguments.study, arguments.root), arguments.only)
    folder = study_folder(arguments.root, arguments.study) / "figures"
    for path in figures.write(gallery, folder, arguments.format):
        print(path)
    for note in gallery.notes:
        print(f"not drawn: {note}")
    if not gallery.drawings:
        raise BadInput(f"{arguments.study}: nothing to draw yet")


def _archive(arguments: argparse.Namespace) -> None:
    """write a study's records into a few small files, to publish

    examples:
      python -m analysis archive mine --out results/mine
      python -m analysis restore results/mine --root /tmp/again        # and back
      python -m analysis tables mine --root /tmp/again                 # the same bytes
    """
    from analysis.archive import archive

    records = archive(arguments.study, arguments.root, arguments.out)
    size = sum(path.stat().st_size for path in arguments.out.iterdir())
    print(f"{records} records in {arguments.out}, {size / 1e6:.1f} MB")


def _restore(arguments: argparse.Namespace) -> None:
    """put a published study's records under a root, where tables are made of them

    examples:
      python -m analysis restore results/mine --root /tmp/again
      python -m analysis tables mine --root /tmp/again
    """
    from analysis.archive import restore

    study = restore(Path(arguments.folder), arguments.root)
    print(f"now: python -m analysis tables {study} --root {arguments.root}")


def _write_text(arguments: argparse.Namespace, name: str, text: str) -> None:
    """Write a file into the study's folder, and say where it is."""
    path = study_folder(arguments.root, arguments.study) / name
    write_whole(path, text.encode())
    print(f"written to {path}")


def _why(arguments: argparse.Namespace) -> None:
    """a cell's or a run's results, trouble, logs and command

    examples:
      python -m analysis why quickstart/logits
      python -m analysis why "mine/main/logits, weight=2/sst2" --root /scratch/runs
      python -m analysis why 0123ab

    A cell is STUDY/TABLE/ROW/COLUMN, with the study's own labels. TABLE and COLUMN may be left out,
    and beginnings suffice where they are unique; a row of trials is TABLE_tune/ROW, SETTINGS. A run
    is its uid, of which six digits do.
    """
    from analysis.explain import lookup, why

    if arguments.as_json:
        print(json.dumps(asdict(lookup.find(arguments.cell, arguments.root))))
        return
    print(why.why(arguments.cell, arguments.root))


def _diff(arguments: argparse.Namespace) -> None:
    """what two cells or runs do differently, and by how much they differ

    examples:
      python -m analysis diff mine/logits mine/hidden
      python -m analysis diff mine/logits yours/logits --other /scratch/yours
      python -m analysis diff 0123ab 0123ab --other /tmp/again        # a run, and its repetition

    A cell is STUDY/TABLE/ROW/COLUMN, with the study's own labels. TABLE and COLUMN may be left out,
    and beginnings suffice where they are unique; a row of trials is TABLE_tune/ROW, SETTINGS. A run
    is its uid, of which six digits do.
    """
    from analysis.explain.diff import data, diff

    asked = (arguments.a, arguments.b, arguments.root, arguments.other or arguments.root)
    print(json.dumps(data(*asked)) if arguments.as_json else diff(*asked))


if __name__ == "__main__":
    main()
