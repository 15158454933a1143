"""`python -m kdlab group=option key=value ...`: one run, from overrides to a record.

With `-m` Hydra's multirun hands all runs to `sweeps.multirun`, which launches them as a study.
`kdlab new FOLDER` is no run: it makes a project (`kdlab.new_project`).
"""

import os
import re
import sys
from collections.abc import Sequence
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser  # those of hydra.main, which has no other way
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from kdlab import new_project
from kdlab.config import search_path
from kdlab.config.compose import one_line, register, run_and_execution
from kdlab.config.option_files import CONF, searching
from kdlab.config.override_rules import refused
from kdlab.config.overrides import with_root
from kdlab.ending import ending, say
from kdlab.errors import BadInput

# The keys of Hydra's own that may be overridden: those of a multirun.
SWEEPER_KEYS = tuple(f"hydra.sweeper.{key}" for key in ("name", "wait", "max_gpu_hours"))
LOCAL = "local"  # the launcher of this machine
STOPPED = "stopped; the same command goes on from the last checkpoint"
MODES = ("run", "multirun", "cfg", "info", "shell_completion")  # Hydra's flags; one at a time


@hydra.main(config_path=str(CONF), config_name="run", version_base="1.3")
def _main(config: Any) -> None:
    with ending("kdlab", STOPPED):  # inside, as Hydra prints its own lines about any error
        _run(list(HydraConfig.get().overrides.task))


def _run(overrides: list[str]) -> None:
    run, execution = run_and_execution(*overrides)
    launcher = execution.launcher["name"]
    if launcher != LOCAL:
        raise BadInput(f"launcher={launcher}: a single run trains here; -m launches")
    say(f"run {run.uid}: {_summary(run)}")
    from kdlab.cohort import distill  # loads torch, which a refusal does without

    record = distill(run, execution)
    for split, scores in record.result.get("scores", {}).items():
        line = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        say(f"{split:18} {line}")
    say(f"{record.result['status']}: the record is under {execution.root}/records")


def _check(arguments: Sequence[str]) -> None:
    """Refuse overrides that no run may have, and all but a few of Hydra's own settings."""
    for text in arguments:
        key = text.lstrip("+~").partition("=")[0]
        # Flags are `_check_flags`'s. Others of Hydra's own would change where runs go, behind the
        # back of the launcher and of `root`.
        if key in SWEEPER_KEYS or text.startswith("-"):
            continue
        if re.split(r"\W", key)[0] == "hydra":
            raise BadInput(
                f"{key}: Hydra's own; of these only {', '.join((*SWEEPER_KEYS, search_path.KEY))} "
                "may be set, and runs go where launcher=local or launcher=slurm says"
            )
        if reason := refused(text):
            raise BadInput(reason)


def _check_flags(arguments: Sequence[str]) -> None:
    """Refuse flags of Hydra's that contradict each other, or that have no meaning here."""
    flags = get_args_parser().parse_args(arguments)
    modes = [f"--{mode.replace('_', '-')}" for mode in MODES if getattr(flags, mode)]
    if len(modes) > 1:
        raise BadInput(f"{' and '.join(modes)}: one at a time; --cfg job shows a single run")
    if flags.resolve and not flags.cfg:
        raise BadInput("--resolve: only with --cfg")
    if flags.experimental_rerun:
        raise BadInput("--experimental-rerun: the same command, or sweeps rerun UID, repeats a run")


def _summary(run: Any) -> str:
    choices = run.choices
    student = run.student
    teacher = run.teacher.choices["size"] if run.teacher else run.teacher_checkpoint or "unused"
    return (
        f"{choices['task']}, {student.layers}x{student.hidden} from {run.init.name}, "
        f"knowledge {choices['knowledge']}, seed {run.seed}, teacher {teacher}"
    )


def main() -> None:
    """Run the app; one line and exit code 2 for bad input, a traceback for our own mistakes."""
    # Or Hydra would print an error in its own way and exit, before anything here sees it.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    failures = (RuntimeError,) if {"-m", "--multirun"} & set(sys.argv) else ()
    with ending("kdlab", STOPPED, failures):
        if sys.argv[1:2] == ["new"]:
            new_project.command(sys.argv[2:])
            return
        named, arguments = search_path.split(with_root(sys.argv[1:]))
        with searching(named):
            _start(arguments)


def _start(arguments: list[str]) -> None:
    """Check a command line, without the folders of options that it names, and hand it to Hydra."""
    sys.argv[1:] = arguments
    try:
        _check_flags(arguments)
        register(arguments)
        search_path.register()
        _check(arguments)
        _main()
    except (HydraException, OmegaConfBaseException) as error:
        overrides = [text for text in arguments if not text.startswith("-")]
        raise BadInput(one_line(error, overrides)) from None


if __name__ == "__main__":
    main()
