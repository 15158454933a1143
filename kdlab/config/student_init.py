"""Where the student's encoder starts: the option `init`, checked against what it copies from."""

from collections.abc import Sequence

from kdlab.config import parents
from kdlab.config.option_files import option
from kdlab.config.parents import Compose
from kdlab.encoders.architecture import Architecture
from kdlab.errors import BadInput
from kdlab.models import origins
from kdlab.options import callables
from kdlab.options.function_keys import InitKeys
from kdlab.options.memo import of_files
from kdlab.options.schema import Config, task_kind
from kdlab.run import Checkpoint, Init, Origin

TAKES = ("weights", "student", "source")  # what a function of kdlab.init is called with
TEACHERS_WEIGHTS = {"pretrained", "finetuned"}  # an option that names one also takes the other


def student_init(
    config: Config,
    student: Architecture,
    teachers: Sequence[Origin],
    inherited: tuple[str, ...],
    compose_parent: Compose,
) -> Init:
    """The student's init, with the model that it copies from, if it copies from one.

    The init's function is called once without any weights, because it alone knows which
    architectures it can copy from.

    Args:
        config: the composed configuration.
        student: what is initialised.
        teachers: of the student, among them the one whose finetuned weights are copied.
        inherited: the overrides that parents take over.
        compose_parent: gives a parent's run.

    Raises:
        BadInput: keys of an init that do not go together, or an earlier run that cannot be.
        NotApplicable: these architectures do not suit each other.
    """
    call, keys = callables.call(config.init, InitKeys, "init", *TAKES)
    _check_keys(config, keys, option("init", keys.name)["weights"])
    origin: Origin | None = None
    if keys.weights == "run":
        origin = parents.stage(config, student, inherited, compose_parent)
    elif keys.weights == "finetuned":
        origin = teachers[0]
    elif keys.weights != "none":
        origin = Checkpoint(_checkpoint(config, keys))
    source = origins.architecture(origin) if origin else None
    with callables.calling(f"init={keys.name}", call):
        call.bind()({}, student, source)
        if isinstance(origin, Checkpoint):
            _check_source(student, origin.name)
    return Init(keys.name, call, keys.weights, origin, keys.head)


def _check_keys(config: Config, keys: InitKeys, of_file: str) -> None:
    """Refuse keys that say nothing of these weights; `of_file` are those of the option's file."""
    if keys.weights != of_file and not {keys.weights, of_file} <= TEACHERS_WEIGHTS:
        allowed = sorted(TEACHERS_WEIGHTS) if of_file in TEACHERS_WEIGHTS else [of_file]
        raise BadInput(f"init.weights={keys.weights}: init={keys.name} takes {', '.join(allowed)}")
    if keys.weights != "run" and (keys.run or keys.head != "fresh"):
        there = " ".join(f"~init.{key}" for key in ("run", "head") if key in config.init)
        raise BadInput(
            f"init.run, init.head: init={keys.name} has no earlier run; "
            f"use init=run init.run=[...], or drop a recipe's with {there}"
        )
    if keys.weights == "run" and not keys.run:
        raise BadInput(f"init={keys.name}: init.run must be given, as a list of overrides")
    if keys.checkpoint and keys.weights != "checkpoint":
        raise BadInput(f"init.checkpoint: init={keys.name} reads none; use init=pretrained")


def _checkpoint(config: Config, keys: InitKeys) -> str:
    """The checkpoint whose files are copied: one that is named, or the teacher's pretrained one."""
    if keys.weights == "checkpoint":
        if not keys.checkpoint:
            raise BadInput(f"init={keys.name}: init.checkpoint must be given")
        return keys.checkpoint
    # A language model that teaches text as it is counts as pretrained, though it is finished.
    is_tuned = config.teacher.finetuned and task_kind(config.task) != "masked_lm"
    if is_tuned or not config.teacher.checkpoint:
        raise BadInput(
            f"init={keys.name}: teacher={config.teacher.name} has no pretrained weights; "
            "use init.weights=finetuned"
        )
    return config.teacher.checkpoint


@of_files
def _check_source(student: Architecture, checkpoint: str) -> None:
    # Imported late: transformers takes seconds to load, which most plans do without.
    from kdlab.models.student import check_source

    check_source(student, checkpoint)
