"""`python -m analysis tables|guideline STUDY`: printed and written."""

import argparse
import sys
from pathlib import Path

from analysis import default_root
from kdlab.schema import BadInput

EPILOG = """\
examples:
  python -m analysis tables quickstart
  python -m analysis tables glue_small --root /scratch/runs
  python -m analysis tables glue_small_tune --split select
  python -m analysis guideline glue_small

Files go to ROOT/studies/STUDY/tables, and to guideline.md beside it. ROOT is runs/, or KDLAB_ROOT.
"""


def main() -> None:
    """The command line: exit code 2 for bad input."""
    arguments = _parser().parse_args()
    try:
        {"tables": _tables, "guideline": _guideline}[arguments.command](arguments)
    except BadInput as error:
        print(f"analysis: {error}", file=sys.stderr)
        sys.exit(2)


def _parser() -> argparse.ArgumentParser:
    from analysis.stats import MARGIN

    parser = argparse.ArgumentParser(
        prog="python -m analysis",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    tables = commands.add_parser("tables", help="print the tables; write .md, .tex and .csv")
    tables.add_argument("--split", choices=("report", "select"), default="report")
    guideline = commands.add_parser(
        "guideline", help="print and write the best practice that the study's data supports"
    )
    for command in (tables, guideline):
        command.add_argument("study")
        command.add_argument("--root", default=default_root())
        command.add_argument(
            "--margin",
            type=float,
            default=MARGIN,
            metavar="POINTS",
            help="differences that do not matter: ≈ is shown to be smaller (%(default)s)",
        )
    return parser


def _guideline(arguments: argparse.Namespace) -> None:
    import analysis
    from analysis.guideline import guideline, markdown
    from kdlab.record import write_whole

    if not arguments.margin > 0:
        raise BadInput(f"--margin {arguments.margin:g}: points above 0")
    text = markdown(guideline(analysis.load(arguments.study, arguments.root), arguments.margin))
    path = Path(arguments.root) / "studies" / arguments.study / "guideline.md"
    write_whole(path, text.encode())
    print(text)
    print(f"written to {path}")


def _tables(arguments: argparse.Namespace) -> None:
    import analysis
    from analysis import formats, papers
    from kdlab.record import write_whole

    if not arguments.margin > 0:
        raise BadInput(f"--margin {arguments.margin:g}: points above 0")
    runs = analysis.load(arguments.study, arguments.root)
    room = Path(arguments.root) / "studies" / arguments.study / "tables"
    shown = papers.of_study(runs, split=arguments.split, margin=arguments.margin)
    if not shown:
        raise BadInput(
            f"{arguments.study}: nothing to show on {arguments.split}; trials: --split select"
        )
    for table in shown:
        stem = table.name if arguments.split == "report" else f"{table.name}_{arguments.split}"
        for suffix, text in formats.FORMATS.items():
            write_whole(room / f"{stem}.{suffix}", text(table).encode())
        print(formats.markdown(table))
    print(f"written to {room} ({', '.join(f'.{suffix}' for suffix in formats.FORMATS)})")


if __name__ == "__main__":
    main()
