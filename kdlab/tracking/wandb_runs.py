"""Runs on Weights & Biases: the uid as id, a row of history an evaluation, scores as summary.

Nothing but what is passed here leaves the process: no code, console, git state, environment,
command line or machine. The account's key stays with wandb: kdlab never reads it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from kdlab.errors import BadInput
from kdlab.options.schema import Text
from kdlab.record import Record
from kdlab.run import Run
from kdlab.tracking.tracker import Watch

Project = Annotated[str, Field(pattern=r"^[^/\\#?%:]{1,128}$")]
Mode = Literal["online", "offline"]
INIT_SECONDS = 30.0  # that a run waits for a network that is not there
FINISH_SECONDS = 60.0  # that it waits at its end for uploads; `wandb sync` can do them later
NAME, TAG = 128, 64  # characters that W&B allows


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where runs go: files under `<root>/wandb`, and online the entity's project."""

    root: Text
    project: Project
    entity: Text | None
    mode: Mode


def live(
    run: Run,
    root: str,
    *,
    project: Project,
    entity: Text | None,
    group: Text | None,
    mode: Mode,
    tags: list[Text],
) -> Watch:
    """Watch a run while it trains; one that is resumed goes on in the same W&B run."""
    choices = run.choices
    view = opened(
        Target(root=root, project=project, entity=entity, mode=mode),
        uid=run.uid,
        name=f"{choices['task']}, {choices['size']}, {choices['knowledge']}, seed {run.seed}",
        config=config(choices, run.overrides),
        group=group,
        job=None,
        tags=tags,
    )

    def evaluated(event: Mapping[str, float]) -> None:
        row = {name: value for name, value in event.items() if name != "step"}
        view.log(row, step=int(event["step"]), commit=True)

    def ended(record: Record | None) -> None:
        if record:
            view.summary.update(summary(record))
        # Without a record the run was cut short, which W&B shows as failed until it goes on.
        view.finish(exit_code=0 if record else 1)

    return Watch(evaluated, ended)


def opened(
    target: Target,
    *,
    uid: str,
    name: str,
    config: Mapping[str, Any],
    group: str | None,
    job: str | None,
    tags: list[str],
) -> Any:
    """An open W&B run of its own, beside any other; an id that W&B knows goes on.

    Raises:
        BadInput: wandb is not installed; or, online, nobody is logged in or no server is reached.
    """
    # wandb's reports of its own errors carry paths and need a network; its process inherits this.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    try:
        import wandb
    except ImportError:
        raise BadInput("wandb is not installed: pip install wandb") from None
    Path(target.root).mkdir(parents=True, exist_ok=True)
    try:
        return wandb.init(
            project=target.project,
            entity=target.entity,
            mode=target.mode,
            dir=str(Path(target.root).resolve()),
            id=uid,
            name=name[:NAME],
            group=group,
            job_type=job,
            tags=[tag[:TAG] for tag in tags],
            config=dict(config),
            reinit="create_new",  # a cohort has several runs in one process
            resume="allow",
            settings=wandb.Settings(**_quiet()),
        )
    except wandb.Error as error:
        raise BadInput(f"wandb: {' '.join(str(error).split())}") from None


def _quiet() -> dict[str, Any]:
    """Settings that keep wandb to what it is told, and its waits short."""
    return {
        "silent": True,
        "console": "off",
        # Empty, or wandb fills in the machine's name and the command.
        "host": "",
        "program": "",
        # Each of these is a way of its own by which code, libraries or measurements would leave.
        "save_code": False,
        "disable_code": True,
        "disable_git": True,
        "disable_job_creation": True,
        "label_disable": True,
        "x_disable_meta": True,
        "x_disable_stats": True,
        "x_disable_machine_info": True,
        "x_save_requirements": False,
        "symlink": False,
        "use_dot_wandb": False,
        "init_timeout": INIT_SECONDS,
        "finish_timeout": FINISH_SECONDS,
        "finish_timeout_raises": True,
    }


def config(choices: Mapping[str, str], overrides: tuple[str, ...] | list[str]) -> dict[str, Any]:
    """What runs can be filtered by: choices, and overrides by key."""
    pairs = [override.partition("=") for override in overrides]
    values = {key: value for key, _, value in pairs}
    return _without_dots(choices) | {"overrides": _without_dots(values)}


def _without_dots(values: Mapping[str, str]) -> dict[str, Any]:
    """With slashes for dots in keys, which W&B would read as nesting."""
    return {key.replace(".", "/"): value for key, value in values.items()}


def summary(record: Record) -> dict[str, Any]:
    """A record's scores as `split/metric`, its status, and what it cost."""
    result, cost = record.result, record.cost
    return {
        **{key: result[key] for key in ("status", "steps", "scored_step") if key in result},
        **_flat("", result.get("scores", {})),
        **_flat("agreement/", result.get("agreement", {})),
        **_flat("", {"parameters": cost["parameters"]}),
        **{key: cost[key] for key in ("flops", "seconds", "teacher_seconds", "peak_memory")},
    }


def _flat(prefix: str, nested: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """{a: {b: value}} as {prefix a/b: value}."""
    return {
        f"{prefix}{outer}/{inner}": value
        for outer, values in nested.items()
        for inner, value in values.items()
    }
