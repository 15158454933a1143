"""`python -m kdlab group=option key=value ...`: one run, from overrides to a record."""

import os
import re
import sys
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from kdlab.build import is_mistake
from kdlab.config import CONF, one_line, register, run_and_place
from kdlab.override_rules import refused
from kdlab.schema import BadInput

HYDRAS = tuple(f"hydra.sweeper.{key}" for key in ("name", "wait", "max_gpu_hours"))
HERE = "local"  # the launcher of this machine


@hydra.main(config_path=str(CONF), config_name="run", version_base="1.3")
def _main(config: Any) -> None:
    try:
        _run(list(HydraConfig.get().overrides.task))
    except BadInput as error:  # here, because Hydra prints lines of its own about what gets past
        _refuse(error)


def _run(overrides: list[str]) -> None:
    run, where = run_and_place(*overrides)
    if where.launcher["name"] != HERE:
        name = where.launcher["name"]
        raise BadInput(f"launcher={name}: a single run trains here; -m launches")
    print(f"run {run.uid}: {_summary(run)}", flush=True)
    from kdlab.cohort import distill

    record = distill(run, where)
    for split, scores in record.result.get("scores", {}).items():
        shown = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        print(f"{split:18} {shown}")
    print(f"{record.result['status']}: the record is under {where.root}/records")


def _check(arguments: list[str]) -> None:
    """Refuse what cannot be said before Hydra composes it; of Hydra's own settings most."""
    for text in arguments:
        key = text.lstrip("+~").partition("=")[0]
        if re.split(r"\W", key)[0] == "hydra" and key not in HYDRAS:
            raise BadInput(
                f"{key}: Hydra's own; here {', '.join(HYDRAS)} may be said, and "
                "runs go where launcher=local or launcher=slurm says"
            )
        if key not in HYDRAS and not text.startswith("-") and (reason := refused(text)):
            raise BadInput(reason)


def _refuse(error: Exception) -> NoReturn:
    overrides = [text for text in sys.argv[1:] if not text.startswith("-")]
    print(f"kdlab: {one_line(error, overrides)}", file=sys.stderr)
    sys.exit(2)


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
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        register(sys.argv[1:])
        _check(sys.argv[1:])
        _main()
    except (HydraException, OmegaConfBaseException, BadInput) as error:
        _refuse(error)
    except RuntimeError as error:
        if not {"-m", "--multirun"} & set(sys.argv) or is_mistake(error):
            raise
        print(f"kdlab: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("kdlab: stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
