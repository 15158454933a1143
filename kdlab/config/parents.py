"""A run's parents as overrides: its teacher, the teacher's own teachers, the run it starts from.

A parent is a run like any other: its overrides are composed, checked and hashed, and it leaves a
record. What each kind of parent takes over from its child, the student, and what it has of its own:

    key of the parent     teacher            teacher assistant        stage (`init=run`)
    --------------------  -----------------  -----------------------  ---------------------------
    task, protocol [1]    the student's      the student's            the student's [2]
    data.fold             the student's [3]  the student's [3]        the student's [2]
    data.rows             teacher.rows       teacher.rows             the student's [2]
    seed                  teacher.seed       drawn for its place      the student's
    family, tokenizer     the teacher's      the teacher's            the student's
    size                  teacher.size       teacher.assistants[-1]   the student's
    train.lr, epochs      the teacher's      the teacher's            the default
    train.stop            teacher.stop       the default              the default
    teacher               none               the assistants before    the student's
    knowledge             none               the default              the default
    whatever they name    teacher.overrides  assistant_overrides      init.run

[1] but for protocol.checkpoint and protocol.evaluations, which are each run's own
[2] unless `init.run` names a task
[3] or, with `teacher.folds`, the fold that this one teacher must not see
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any

from kdlab import streams
from kdlab.config import option_files
from kdlab.config.overrides import contradiction, is_operational, quoted
from kdlab.config.overrides import key as key_of
from kdlab.encoders.architecture import Architecture
from kdlab.errors import BadInput, NotApplicable
from kdlab.options.schema import Config, Teacher, task_kind
from kdlab.run import Checkpoint, Origin, Run

Compose = Callable[..., Run]  # the run of overrides
Fold = tuple[int, int] | None  # number k of K folds, which a run leaves out
Values = dict[str, Any]  # keys of a config and their values

SPLITS = ("select_on", "select", "select_max")  # keys of `protocol` that choose held-out rows
OWN_PROTOCOL = ("protocol.checkpoint", "protocol.evaluations")  # that no parent takes over
WHOLE_RUNS = ("recipe", "experiment")  # groups whose options may choose a task, and all else
BARE = ("family", "size", "shape", "teacher", "knowledge")  # whose values need no quotes in Hydra


def teachers(
    config: Config, inherited: tuple[str, ...], compose_parent: Compose
) -> tuple[Origin, ...]:
    """Who teaches: a run, or one for each fold; or a finished checkpoint.

    Args:
        config: the student's.
        inherited: of the student's overrides those that a teacher has too.
        compose_parent: gives the run of overrides.

    Raises:
        BadInput: a teacher that cannot be.
        NotApplicable: it cannot teach this student.
    """
    teacher = config.teacher
    if teacher.finetuned and (teacher.stop != 1 or teacher.folds):
        key = "folds" if teacher.folds else "stop"
        raise BadInput(f"teacher.{key}: teacher={teacher.name} is finished, not trained here")
    if teacher.finetuned and teacher.checkpoint and not teacher.assistants:
        return (Checkpoint(teacher.checkpoint),)
    if teacher.size is None and not teacher.finetuned:
        raise BadInput("teacher=none: knowledge and finetuned inits need a teacher")
    is_language_model = task_kind(config.task) == "masked_lm"
    folds = _folds(config, is_language_model)
    _check_own("teacher.overrides", teacher.overrides, ())
    _check_own("teacher.assistant_overrides", teacher.assistant_overrides, ("teacher", "size"))
    # On a corpus a pretrained teacher learns a head and stays what it is, unless told not to.
    keeps_encoder = is_language_model and teacher.checkpoint and not teacher.assistants
    frozen = ["train.freeze_encoder=true"] if keeps_encoder else []
    try:
        runs = tuple(
            compose_parent(*frozen, *teacher_overrides(teacher, inherited, fold)) for fold in folds
        )
    except BadInput as error:
        # A teacher alone is wrong for every student; a chain of assistants may suit another one.
        kind = type(error) if teacher.assistants else BadInput
        raise kind(f"teacher={teacher.name}: {error}") from None
    if any(run.data.fold != fold for run, fold in zip(runs, folds, strict=True)):
        raise BadInput("teacher.assistant_overrides: data.fold: it is what the student leaves out")
    return runs


def _folds(config: Config, is_language_model: bool) -> list[Fold]:
    """The fold that each teacher leaves out: the student's, or each in turn to cross-fit."""
    if not config.teacher.folds:
        return [config.data.fold]
    if is_language_model:
        what = "a text is its own labels; there is nothing to cross-fit"
        raise NotApplicable(f"teacher.folds: {what}")
    if config.init.get("weights") == "finetuned":
        what = "init.weights=finetuned needs one teacher, not one a fold"
        raise NotApplicable(f"teacher.folds: {what}")
    if config.data.fold:
        raise BadInput("teacher.folds: the student leaves out data.fold already")
    return [(fold, config.teacher.folds) for fold in range(config.teacher.folds)]


def inherited_overrides(
    config: Config, overrides: Sequence[str], choices: Mapping[str, str]
) -> tuple[str, ...]:
    """The student's overrides that its parents have too: its task and protocol.

    What a recipe or an experiment chose counts as the user's own choice.
    """
    own = tuple(text for text in overrides if _is_inherited(text))
    chosen = [group for group in WHOLE_RUNS if choices.get(group, "none") != "none"]
    said = {key_of(text) for text in own}
    if "experiment" not in chosen:
        return (f"task={choices['task']}", *own) if chosen and "task" not in said else own
    # An experiment may set any key of the two, in a file of its own or in one that it is based on.
    groups = [f"{g}={choices[g]}" for g in ("task", "protocol") if g not in said]
    values = dict(_leaves(config.task, "task")) | dict(_leaves(vars(config.protocol), "protocol"))
    kept = {key: v for key, v in values.items() if key not in OWN_PROTOCOL and key not in said}
    return (*groups, *own, *as_overrides(kept))


def _leaves(node: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    """Every value of a node with its key, but for those that are its option's file's to say."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{where}.{key}")
        elif key not in (*option_files.OWN, "name"):
            yield f"{where}.{key}", value


def teacher_overrides(teacher: Teacher, inherited: tuple[str, ...], fold: Fold) -> list[str]:
    """The overrides of the run that teaches.

    With `assistants` it is the run of the last of them, whose teacher is the one before: teacher
    assistants (Mirzadeh et al. 2019, arXiv 1902.03393) or, at equal sizes, born-again generations
    (Furlanello et al. 2018, arXiv 1805.04770).

    Args:
        teacher: of the student's config.
        inherited: of the student's overrides those that a teacher has too.
        fold: what the student, or the student's rows of one fold, must not meet.
    """
    shared: Values = {
        "family": teacher.family,
        "tokenizer": teacher.tokenizer,
        "size": teacher.size,
        "seed": teacher.seed,
        "data.rows": teacher.rows,
        "train.lr": teacher.lr,
        "train.epochs": teacher.epochs,
    }
    fold_left_out = {"data.fold": list(fold)} if fold else {}
    if teacher.assistants:
        # A seed of its own for each place in the chain: generations of one size start apart.
        place = f"assistant/{len(teacher.assistants)}"
        own = {"size": teacher.assistants[-1], "seed": streams.key(teacher.seed, place) % 2**31}
        # A finished teacher has no epochs and no learning rate to hand on, for it was not trained.
        shared = {key: value for key, value in (shared | own).items() if value is not None}
        values = shared | fold_left_out
        chain = _teacher_group(teacher, {"assistants": teacher.assistants[:-1], "folds": None})
        return [*inherited, *chain, *as_overrides(values), *teacher.assistant_overrides]
    values = {"teacher": "none", "knowledge": "none"} | shared | fold_left_out
    if teacher.stop != 1:
        values["train.stop"] = teacher.stop
    if teacher.checkpoint:
        values["++init.checkpoint"] = teacher.checkpoint
    return [*inherited, *teacher.overrides, *as_overrides(values)]


def stage(
    config: Config, student: Architecture, inherited: tuple[str, ...], compose_parent: Compose
) -> Run:
    """The run that `init=run` starts from, with what `init.run` says on top.

    Stages: Jiao et al. 2020, arXiv 1909.10351 (intermediate layers, then outputs).

    Raises:
        BadInput: it cannot be run.
    """
    changes: list[str] = config.init["run"]
    _check_list("init.run", changes)
    changed = {text.partition("=")[0] for text in changes}
    values: Values = {
        "seed": config.seed,
        "family": student.family,
        "tokenizer": config.tokenizer,
        "size": f"l{student.layers}_h{student.hidden}_a{student.heads}",
        "size.intermediate": student.intermediate,
        "shape": "standard",  # the student's shape has been solved: its size is exact
    }
    if "task" in changed:
        inherited = ()
    else:
        values["data.rows"] = config.data.rows
        if config.data.fold:
            values["data.fold"] = list(config.data.fold)
    teacher = [] if "teacher" in changed else _teacher_group(config.teacher, {})
    try:
        return compose_parent(*inherited, *teacher, *as_overrides(values), *changes)
    except BadInput as error:
        raise type(error)(f"init.run: {error}") from None


def check_stage(run: Run) -> None:
    """Refuse a run to start from that knows rows or words which the student must not."""
    before = run.init.stage
    if before is None:
        return
    is_same = (before.source, before.task.train) == (run.source, run.task.train)
    if is_same and any(getattr(before.protocol, k) != getattr(run.protocol, k) for k in SPLITS):
        raise BadInput("init.run: it trains on other splits of the same task: it may see select")
    if is_same and run.data.fold and before.data.fold != run.data.fold:
        raise BadInput("init.run: it trains on the fold that data.fold leaves out")
    # Without a tokenizer the words of the task's own rows are the tokens.
    if before.tokenizer != run.tokenizer or (run.tokenizer is None and not is_same):
        raise BadInput("init.run: it reads other tokens than the student: name one tokenizer")
    if run.init.head == "keep" and before.task.name != run.task.name:
        raise BadInput(
            f"init.head=keep: the run's classifier is for task {before.task.name}, "
            f"not {run.task.name}"
        )


def _check_own(key: str, texts: list[str], of_chain: tuple[str, ...]) -> None:
    """Refuse overrides of a teacher's own that are the student's to say, or the chain's."""
    _check_list(key, texts)
    for text in texts:
        if _is_inherited(text):
            raise BadInput(f"{key}: {text}: task and splits are the student's")
        if _top(text) in of_chain:
            raise BadInput(f"{key}: {text}: the chain says it (teacher, teacher.assistants)")


def _check_list(key: str, texts: list[str]) -> None:
    """Refuse what would be ignored: where a parent is computed, or the first of two values."""
    if both := contradiction(texts):
        raise BadInput(f"{key}: {both}")
    for text in texts:
        if is_operational(text):
            raise BadInput(f"{key}: {text}: where and how runs are computed is said of the student")


def _teacher_group(teacher: Teacher, changed: Values) -> list[str]:
    """A config's teacher group as overrides, so that a parent has the same teacher."""
    values = {f.name: getattr(teacher, f.name) for f in fields(teacher) if f.name != "name"}
    keys = {f"teacher.{key}": value for key, value in (values | changed).items()}
    return [f"teacher={teacher.name}", *as_overrides(keys)]


def as_overrides(values: Mapping[str, Any]) -> list[str]:
    """Keys and values as texts that Hydra reads as the same values: `{"seed": 3}` is `seed=3`."""
    return [f"{key}={_value(key, value)}" for key, value in values.items()]


def _value(key: str, value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(_value(key, item) for item in value)}]"
    if isinstance(value, str):
        return value if key in BARE else quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


@lru_cache(4096)
def _is_inherited(override: str) -> bool:
    return _top(override) in ("task", "protocol") and key_of(override) not in OWN_PROTOCOL


def _top(override: str) -> str:
    """The group that an override is about: `train` for `++train.lr=1`."""
    return key_of(override).partition(".")[0]
