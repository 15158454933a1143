"""`python -m sweeps COMMAND STUDY [override ...]`.

examples:
  python -m sweeps plan quickstart                    what there is to do; writes nothing
  python -m sweeps launch quickstart --wait           run it here; done runs are skipped
  python -m sweeps launch glue_small launcher=slurm launcher.partition=gpu root=/scratch/runs
  python -m sweeps launch big --max-gpu-hours 100     what comes first in the plan, up to 100 hours
  python -m sweeps list                               the studies that there are, and what is done
  python -m sweeps status glue_small --watch          states, rate, failures, what is at work
  python -m sweeps retry glue_small --class gpu_oom   forgive failures and launch again
  python -m sweeps logs 0123ab                        six digits of a run's uid do
  python -m sweeps clean --dry-run                    what of finished and dead runs could go
  python -m sweeps wandb glue_small --project kd --mode offline

STUDY is a name in sweeps/studies, a .yaml file, or a study that was launched before. Overrides are
added to every run. `launch` returns when everything is submitted; calling it again submits only
what is not done and not in a queue.
"""

import argparse
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

from kdlab.ending import ending
from kdlab.storage.roots import default_root
from sweeps.journal import command_line

# By command the function that carries it out. Its parameters are the command's options.
FUNCTIONS = {
    "plan": "commands.plan_study",
    "launch": "commands.launch_study",
    "status": "status.print_status",
    "list": "status.print_list",
    "retry": "commands.retry",
    "rerun": "commands.rerun",
    "cancel": "commands.cancel",
    "logs": "status.logs",
    "wandb": "wandb_sink.push",
    "clean": "leftovers.clean",
}
COMPOSING = ("plan", "launch", "retry", "rerun")  # commands that read options
CONFIG_DIR = "with option files of a folder besides kdlab's and the project's"
INTERRUPT = "with --wait: Ctrl-C cancels the study's tasks, which else go on"
CLEAN_DAYS = "days for which the checkpoint of a run without a record is kept (default 30)"


def main() -> None:
    """The command line: exit code 2 for bad input, 1 if a run failed or SLURM does not answer."""
    with ending("sweeps", "stopped; the same command goes on where it was", (RuntimeError,)):
        options = vars(_arguments())
        module, _, name = FUNCTIONS[options.pop("command")].partition(".")
        if "overrides" in options:
            _say_root(options)
        with _searching(options):
            # Imported only now, and that one alone: `--help` and a mistyped option are answered at
            # once, and `clean` without the second that Hydra takes to load.
            sys.exit(getattr(import_module(f"sweeps.{module}"), name)(**options))


def _say_root(options: dict[str, Any]) -> None:
    """Let `--root FOLDER` and the override `root=FOLDER` say the same."""
    from kdlab.config import overrides

    if options["root"] is not None:
        options["overrides"].append(f"root={overrides.quoted(options['root'])}")
    options["root"] = overrides.root(options["overrides"]) or default_root()


def _searching(options: dict[str, Any]) -> AbstractContextManager[None]:
    """Search the folders of options that a command's arguments name, and take these out of it."""
    if "config_dir" not in options:
        return nullcontext()
    from kdlab.config import option_files, search_path

    folders = search_path.folders(options.pop("config_dir"))
    if "overrides" in options:
        named, options["overrides"] = search_path.split(options["overrides"])
        folders += named
    return option_files.searching(folders)


def _arguments() -> argparse.Namespace:
    parser = _parser()
    command_line.answer_completion(parser)
    # argparse gives up on overrides that follow an option; they are the ones without a dash.
    arguments, rest = parser.parse_known_args()
    unknown = rest if "overrides" not in arguments else [r for r in rest if r.startswith("-")]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if rest:
        arguments.overrides += rest
    return arguments


def _parser() -> argparse.ArgumentParser:
    # The help shows what stands above: the first line before the options, the rest behind them.
    description, _, examples = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m sweeps",
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str, target: str = "study") -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        if target == "study":
            command_line.of_studies(command.add_argument(target))
        elif target:
            command.add_argument(target)
        text = f"where runs are ({default_root()})"
        command.add_argument("--root", default=default_root(), metavar="FOLDER", help=text)
        if name in ("plan", "launch"):
            _add_overrides(command)
        if name in COMPOSING:
            command.add_argument("--config-dir", "-cd", metavar="FOLDER", help=CONFIG_DIR)
        if name in ("plan", "status", "list"):
            command_line.add_json(command)
        return command

    add("plan", "count the runs and what they take; write nothing")
    command = add("launch", "submit what is not done")
    command.add_argument("--wait", action="store_true", help="until all is done")
    command.add_argument("--cancel-on-interrupt", action="store_true", help=INTERRUPT)
    command = add("status", "where the runs stand")
    command.add_argument("--watch", action="store_true", help="again and again")
    add("list", "the studies there are: questions, and what is done of each", target="")
    command = add("retry", "forgive failures, and hosts, and launch again")
    command.add_argument("--class", dest="classes", action="append", default=[], metavar="CLASS")
    command.add_argument("--uid", dest="uids", action="append", default=[], metavar="UID")
    command.add_argument("--all", dest="all_", action="store_true")
    add("rerun", "repeat a recorded run for its outputs and its model", target="uid")
    add("cancel", "end a study's tasks; what they train is saved")
    add("logs", "what a run's tasks printed", target="uid")
    command = add("wandb", "push a study's records to Weights & Biases, once each")
    command.add_argument("--project", default="kdlab")
    command.add_argument("--entity", default=None, help="a user or a team; yours if left out")
    command.add_argument("--mode", choices=("online", "offline"), default="online")
    text = "remove what finished and dead processes left: checkpoints, partial files, locks"
    command = add("clean", text, target="")
    command.add_argument("--dry-run", action="store_true", help="only say what would go")
    command.add_argument("--days", type=_positive, default=30.0, metavar="N", help=CLEAN_DAYS)
    return parser


def _add_overrides(command: argparse.ArgumentParser) -> None:
    """Let a command take overrides, with another root among them, and a budget."""
    command.set_defaults(root=None)  # overrides may say it
    command.add_argument("overrides", nargs="*", help="Hydra overrides for every run")
    text = "of work, at most"
    command.add_argument("--max-gpu-hours", type=_positive, metavar="H", help=text)


def _positive(text: str) -> float:
    """A number above 0, as argparse reads it."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):  # not `number <= 0`, which nan would pass
        raise argparse.ArgumentTypeError(f"{text}: a number above 0")
    return number


if __name__ == "__main__":
    main()
