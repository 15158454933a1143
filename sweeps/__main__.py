"""`python -m sweeps plan|launch STUDY [override ...]`."""

import argparse
import sys
from pathlib import Path

from kdlab.schema import BadInput

EPILOG = """\
examples:
  python -m sweeps plan quickstart                    what there is to do; writes nothing
  python -m sweeps launch quickstart --wait           run it here; done runs are skipped
  python -m sweeps launch glue_small --wait task.path=/data/glue threads=4 root=/scratch/runs

STUDY is a name in sweeps/studies or a .yaml file. Overrides are added to every run.
"""


def main() -> None:
    """The command line: exit code 2 for bad input, 1 if a run failed."""
    parser = _parser()
    # argparse gives up on overrides that follow an option; they are the ones without a dash.
    arguments, rest = parser.parse_known_args()
    if unknown := [text for text in rest if text.startswith("-")]:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    arguments.overrides += rest
    try:
        sys.exit(_command(arguments))
    except BadInput as error:
        print(f"sweeps: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("sweeps: stopped; the same command goes on where it was", file=sys.stderr)
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sweeps",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("plan", "count the runs"), ("launch", "run what is not done")):
        command = commands.add_parser(name, help=text)
        command.add_argument("study", help="a name in sweeps/studies, or a .yaml file")
        command.add_argument("overrides", nargs="*", help="Hydra overrides for every run")
        command.add_argument("--cohort", type=int, default=8, help="students side by side")
        if name == "launch":
            command.add_argument(
                "--wait", action="store_true", required=True, help="run in this process"
            )
    return parser


def _command(arguments: argparse.Namespace) -> int:
    from kdlab.config import place
    from sweeps import cohorts, local, plan, study

    extra = tuple(arguments.overrides)
    if arguments.cohort < 1:
        raise BadInput(f"--cohort {arguments.cohort}: at least 1")
    loaded = study.load(arguments.study)
    planned = plan.plan(loaded, extra)
    where = place(*planned[0].cell.overrides)
    counted = plan.counts(planned, where.root)
    print(loaded.question)
    print(", ".join(f"{number} {what}" for what, number in counted.items()), flush=True)
    for rule in loaded.skip:
        left_out = sum(1 for entry in planned if entry.cell.excluded == rule.name)
        print(f"{left_out} excluded by {rule.name}: {rule.reason}")
    if arguments.command == "plan":
        return 0
    plan.write(planned, Path(arguments.study).stem, loaded, where.root)
    from kdlab.cohort import missing

    waiting = missing(plan.unique(planned), where)
    failed = local.run(cohorts.group(waiting, arguments.cohort), where)
    for uid, message in failed.items():
        print(f"failed {uid}: {message}", file=sys.stderr)
    print(f"{len(waiting) - len(failed)} run, {len(failed)} failed; records under {where.root}")
    return 1 if failed else 0


if __name__ == "__main__":
    main()
