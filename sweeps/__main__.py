"""`python -m sweeps COMMAND STUDY [override ...]`."""

import argparse
import os
import sys

from kdlab.ending import ending
from kdlab.errors import BadInput

EPILOG = """\
examples:
  python -m sweeps plan quickstart                    what there is to do; writes nothing
  python -m sweeps launch quickstart --wait           run it here; done runs are skipped
  python -m sweeps launch glue_small launcher=slurm launcher.partition=gpu root=/scratch/runs
  python -m sweeps launch big --max-gpu-hours 100     what comes first in the plan, up to 100 hours
  python -m sweeps status glue_small --watch          states, rate, failures
  python -m sweeps retry glue_small --class gpu_oom   forgive failures and launch again
  python -m sweeps logs 0123456789abcdef0123456789abcdef
  python -m sweeps clean --dry-run                    what of finished and dead runs could go
  python -m sweeps wandb glue_small --project kd --mode offline

STUDY is a name in sweeps/studies, a .yaml file, or a study that was launched before. Overrides are
added to every run. `launch` returns when everything is submitted; calling it again submits only
what is not done and not in a queue.
"""


CLEAN_DAYS = "days for which the checkpoint of a run without a record is kept (default 30)"


def main() -> None:
    """The command line: exit code 2 for bad input, 1 if a run failed or SLURM does not answer."""
    with ending("sweeps", "stopped; the same command goes on where it was", (RuntimeError,)):
        arguments = _arguments()
        sys.exit(arguments.run(arguments))


def _arguments() -> argparse.Namespace:
    parser = _parser()
    # argparse gives up on overrides that follow an option; they are the ones without a dash.
    arguments, rest = parser.parse_known_args()
    unknown = rest if "overrides" not in arguments else [r for r in rest if r.startswith("-")]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if rest:
        arguments.overrides += rest
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sweeps",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str, run: object, target: str = "study") -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        if target:
            command.add_argument(target)
        command.set_defaults(run=run)
        # `plan` and `launch` take it among their overrides, as root=FOLDER.
        if name not in ("plan", "launch"):
            command.add_argument("--root", default=_root())
        return command

    for name, text, run in (
        ("plan", "count the runs and what they take; write nothing", _plan),
        ("launch", "submit what is not done", _launch),
    ):
        command = add(name, text, run)
        command.add_argument("overrides", nargs="*", help="Hydra overrides for every run")
        command.add_argument(
            "--max-gpu-hours", type=_positive, metavar="H", help="of work, at most"
        )
        if name == "launch":
            command.add_argument("--wait", action="store_true", help="until all is done")
    command = add("status", "where the runs stand", _status)
    command.add_argument("--watch", action="store_true", help="again and again")
    command = add("retry", "forgive failures, and hosts, and launch again", _retry)
    command.add_argument("--class", dest="classes", action="append", default=[], metavar="CLASS")
    command.add_argument("--uid", dest="uids", action="append", default=[], metavar="UID")
    command.add_argument("--all", dest="all_", action="store_true")
    add("rerun", "repeat a recorded run for its outputs and its model", _rerun, target="uid")
    add("cancel", "end a study's tasks; what they train is saved", _cancel)
    add("logs", "what a run's tasks printed", _logs, target="uid")
    command = add("wandb", "push a study's records to Weights & Biases, once each", _wandb)
    command.add_argument("--project", default="kdlab")
    command.add_argument("--entity", default=None, help="a user or a team; yours if left out")
    command.add_argument("--mode", choices=("online", "offline"), default="online")
    text = "remove what finished and dead processes left: checkpoints, partial files, locks"
    command = add("clean", text, _clean, target="")
    command.add_argument("--dry-run", action="store_true", help="only say what would go")
    command.add_argument("--days", type=_positive, default=30.0, metavar="N", help=CLEAN_DAYS)
    return parser


def _positive(text: str) -> float:
    """A number above 0, as argparse reads it."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):  # not `number <= 0`, which nan would pass
        raise argparse.ArgumentTypeError(f"{text}: a number above 0")
    return number


def _root() -> str:
    """Where runs are unless an option or an override says otherwise."""
    return os.environ.get("KDLAB_ROOT", "runs")


# Each command imports what it needs when it is called: `--help` and a mistyped option are answered
# at once, without the seconds that pandas and Hydra take to load.


def _plan(arguments: argparse.Namespace) -> int:
    from sweeps import commands

    request = commands.requested(arguments.study, tuple(arguments.overrides), _root())
    return commands.plan_only(request, arguments.max_gpu_hours)


def _launch(arguments: argparse.Namespace) -> int:
    from sweeps import commands

    request = commands.requested(arguments.study, tuple(arguments.overrides), _root())
    return commands.run_launch(request, arguments.max_gpu_hours, wait=arguments.wait)


def _status(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from kdlab.storage import repeats
    from sweeps import status
    from sweeps.journal import failures

    now = status.load(arguments.study, arguments.root)
    failures.report_skipped(now.skipped)
    if arguments.watch:
        status.watch(arguments.study, arguments.root, every=5.0)
    Console().print(status.show(now))
    for line in repeats.notes(arguments.root):
        print(f"sweeps: {line}", file=sys.stderr)
    return 0


def _retry(arguments: argparse.Namespace) -> int:
    from sweeps import commands

    if not (arguments.classes or arguments.uids or arguments.all_):
        raise BadInput("retry: which? --class CLASS, --uid UID or --all")
    return commands.retry(
        arguments.study,
        arguments.root,
        classes=arguments.classes,
        uids=arguments.uids,
        all_=arguments.all_,
    )


def _rerun(arguments: argparse.Namespace) -> int:
    from sweeps import commands

    return commands.rerun(arguments.uid, arguments.root)


def _cancel(arguments: argparse.Namespace) -> int:
    from sweeps import status
    from sweeps.submit import reconcile

    status.read_plan(arguments.study, arguments.root)  # refuses a study that was never launched
    print(f"{reconcile.cancel(arguments.root, arguments.study)} tasks cancelled")
    return 0


def _logs(arguments: argparse.Namespace) -> int:
    from sweeps import status

    return status.logs(arguments.uid, arguments.root)


def _clean(arguments: argparse.Namespace) -> int:
    from sweeps import leftovers

    removed = leftovers.remove(arguments.root, arguments.days, arguments.dry_run)
    for path, size in removed:
        print(f"{size:>12,} {path}")
    word = "would be removed" if arguments.dry_run else "removed"
    print(f"{len(removed)} {word}, {sum(size for _, size in removed):,} bytes")
    return 0


def _wandb(arguments: argparse.Namespace) -> int:
    from sweeps.wandb_sink import replay

    pushed, skipped = replay(
        arguments.study,
        arguments.root,
        project=arguments.project,
        entity=arguments.entity,
        mode=arguments.mode,
    )
    print(f"{pushed} pushed, {skipped} were there already")
    return 0


if __name__ == "__main__":
    main()
