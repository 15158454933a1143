"""A composed page becomes a run: options resolved, unused nodes dropped, combinations checked.

Everything that can be known to fail is refused here, before any work.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from kdlab import build, checkpoints, terms
from kdlab.architecture import Architecture
from kdlab.run import Init, Run, digest, effective
from kdlab.schema import BadInput, InitKeys, Named, NotApplicable, Page, Size, Task, Teacher
from kdlab.tasks import check_task
from kdlab.terms import Option

TEACHERS_WEIGHTS = {"pretrained", "finetuned"}

Compose = Callable[..., Run]


def resolve(
    page: Page,
    choices: Mapping[str, str],
    overrides: tuple[str, ...],
    parent: Compose,
    option: Option,
) -> Run:
    """The run of a composed page.

    Args:
        page: the parsed configuration.
        choices: the option chosen in each group.
        overrides: the command-line overrides, from which a teacher inherits task and splits.
        parent: composes the teacher's run from overrides.
        option: reads one option's file, for `knowledge=logits`.

    Raises:
        BadInput: naming the key, for any combination that cannot be run.
    """
    source, task = build.call(page.task, Task, "task")
    check_task(task, page.data)
    student = _student(page)
    selected = terms.selected(page, task, overrides, option)
    used = bool(selected) or page.init.get("weights") == "finetuned"
    if used and page.tokenizer != page.teacher.tokenizer:
        raise BadInput(f"tokenizer={page.tokenizer}: a student reads with its teacher's tokenizer")
    teacher = _parent(page, _heard(overrides, choices), parent) if used else None
    finished = _finished(page) if used else None
    source_dimensions = teacher_architecture(teacher, finished)
    init = _init(page, student, source_dimensions, option)
    compared = tuple(
        terms.term(page, key, node, student, source_dimensions) for key, node in selected.items()
    )
    if page.data.transfer == "unlabelled" and not compared:
        raise BadInput(
            "data.transfer=unlabelled: without knowledge, rows without a label teach nothing"
        )
    run = Run(
        seed=page.seed,
        hard_weight=page.hard.weight,
        hard_schedules=terms.schedules(page.hard.schedules, None, "hard"),
        task=task,
        source=source,
        data=page.data,
        train=page.train,
        protocol=page.protocol,
        tokenizer=page.tokenizer,
        student=student,
        init=init,
        terms=compared,
        teacher=teacher,
        teacher_checkpoint=finished,
        choices={**choices, "knowledge": "+".join(selected) or "none"},
        overrides=overrides,
    )
    _check_objective(run)
    return replace(run, uid=digest(effective(run)))


def _heard(overrides: tuple[str, ...], choices: Mapping[str, str]) -> tuple[str, ...]:
    """What parents inherit from: a task that a recipe chose counts as one's own choice."""
    if choices.get("recipe", "none") == "none" or any(t.startswith("task=") for t in overrides):
        return overrides
    return (f"task={choices['task']}", *overrides)


def _parent(page: Page, overrides: tuple[str, ...], parent: Compose) -> Run | None:
    """The teacher's run; None for a finished checkpoint."""
    if page.teacher.finetuned:
        return None
    if page.teacher.size is None:
        raise BadInput("teacher=none: knowledge and finetuned inits need a teacher")
    for text in page.teacher.overrides:
        if _is_inherited(text):
            raise BadInput(f"teacher.overrides: {text}: task and splits are the student's")
    try:
        return parent(*_frozen(page), *parent_overrides(page.teacher, overrides))
    except BadInput as error:
        raise BadInput(f"teacher={page.teacher.name}: {error}") from None


def _frozen(page: Page) -> list[str]:
    """On a corpus a pretrained teacher learns a head and stays what it is, unless told not to."""
    is_kept = page.task.get("masked") is not None and page.teacher.checkpoint
    return ["train.freeze_encoder=true"] if is_kept else []


def _finished(page: Page) -> str | None:
    """The finished checkpoint that serves as teacher, if one does."""
    return page.teacher.checkpoint if page.teacher.finetuned else None


def teacher_architecture(teacher: Run | None, finished: str | None) -> Architecture | None:
    """The dimensions of a teacher, None where there is none."""
    if teacher:
        return teacher.student
    return checkpoints.architecture(finished) if finished else None


def parent_overrides(teacher: Teacher, overrides: tuple[str, ...]) -> list[str]:
    """The teacher's run, as overrides: the student's task and splits, the teacher's own rest."""
    inherited = [text for text in overrides if _is_inherited(text)]
    own = {
        "teacher": "none",
        "knowledge": "none",
        "family": teacher.family,
        "tokenizer": _quote(teacher.tokenizer),
        "size": teacher.size,
        "seed": teacher.seed,
        "data.rows": _quote(teacher.rows),
        "train.lr": teacher.lr,
        "train.epochs": teacher.epochs,
    }
    if teacher.checkpoint:
        own["++init.checkpoint"] = _quote(teacher.checkpoint)
    return [*inherited, *teacher.overrides, *(f"{key}={value}" for key, value in own.items())]


@lru_cache(4096)
def _is_inherited(override: str) -> bool:
    key = override.lstrip("+~").partition("=")[0]
    own = ("protocol.checkpoint", "protocol.evaluations")
    return key.partition(".")[0] in ("task", "protocol") and key not in own


def _quote(value: Any) -> str:
    if value is None or isinstance(value, int):
        return "null" if value is None else str(value)
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _student(page: Page) -> Architecture:
    shape, keys = build.call(page.shape, Named, "shape")
    size: Size = page.size
    try:
        dimensions = shape.bind()(size.layers, size.hidden, size.heads, size.intermediate)
    except ValueError as error:
        raise NotApplicable(f"shape={keys.name}: {error}") from None
    student = Architecture(page.family, *dimensions)
    if student.hidden % student.heads:
        raise BadInput(f"size: {student.heads} heads do not divide the width {student.hidden}")
    return student


def _init(page: Page, student: Architecture, teacher: Architecture | None, option: Option) -> Init:
    call, keys = build.call(page.init, InitKeys, "init")
    checkpoint = keys.checkpoint
    stated = option("init", keys.name)["weights"]
    if keys.weights != stated and not {keys.weights, stated} <= TEACHERS_WEIGHTS:
        allowed = sorted(TEACHERS_WEIGHTS) if stated in TEACHERS_WEIGHTS else [stated]
        raise BadInput(f"init.weights={keys.weights}: init={keys.name} takes {', '.join(allowed)}")
    if checkpoint and keys.weights != "checkpoint":
        raise BadInput(f"init.checkpoint: init={keys.name} reads none; use init=pretrained")
    if keys.weights == "pretrained":
        # What teaches text as it is has only been pretrained.
        is_tuned = page.teacher.finetuned and page.task.get("masked") is None
        checkpoint = None if is_tuned else page.teacher.checkpoint
        if not checkpoint:
            raise BadInput(
                f"init={keys.name}: teacher={page.teacher.name} has no pretrained weights; "
                "use init.weights=finetuned"
            )
    if keys.weights == "checkpoint" and not checkpoint:
        raise BadInput(f"init={keys.name}: init.checkpoint must be given")
    source = checkpoints.architecture(checkpoint) if checkpoint else teacher
    try:
        call.bind()({}, student, source)
    except ValueError as error:
        raise BadInput(f"init={keys.name}: {error}") from None
    return Init(keys.name, call, keys.weights, checkpoint)


def _check_objective(run: Run) -> None:
    """Rehearse every term once on random tensors of the real widths and head counts."""
    if not run.terms:
        if run.hard_weight == 0:
            raise BadInput("hard.weight=0 with knowledge=none: nothing to train on")
        return
    from kdlab.rehearsal import rehearse

    source = teacher_architecture(run.teacher, run.teacher_checkpoint)
    assert source is not None
    for term in run.terms:
        try:
            rehearse(term, run.student, source, run.task.classes)
        except ValueError as error:
            raise BadInput(f"knowledge.{term.key}: {error}") from None
