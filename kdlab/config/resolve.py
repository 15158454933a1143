"""A composed page becomes a run: options resolved, unused nodes dropped, combinations checked.

Everything that can be known to fail is refused here, before any work.
"""

from collections.abc import Mapping
from dataclasses import astuple, replace

from kdlab.architecture import Architecture
from kdlab.config import terms
from kdlab.config.identity import digest, effective
from kdlab.config.parents import (
    Compose,
    check_stage,
    finished,
    stage,
    teacher_architecture,
    teachers,
)
from kdlab.config.tasks import check_task
from kdlab.config.terms import Option
from kdlab.errors import BadInput, Misfit, NotApplicable
from kdlab.models import checkpoints, class_order
from kdlab.options import callables
from kdlab.options.memo import of_files
from kdlab.options.schema import Data, InitKeys, Named, Page, Size, Task, parse
from kdlab.run import Init, Run

INIT_TAKES = ("weights", "student", "source")
SIZE = ("layers", "hidden", "heads", "intermediate")
TEACHERS_WEIGHTS = {"pretrained", "finetuned"}


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
        parent: composes a parent's run from overrides.
        option: reads one option's file, for `knowledge=logits`.

    Raises:
        BadInput: naming the key, for any combination that cannot be run.
    """
    source, task = callables.call(page.task, Task, "task")
    check_task(task, page.data)
    student = _student(page)
    selected = terms.selected(page, task, overrides, option)
    used = bool(selected) or page.init.get("weights") == "finetuned"
    if used and page.tokenizer != page.teacher.tokenizer:
        raise BadInput(f"tokenizer={page.tokenizer}: a student reads with its teacher's tokenizer")
    heard = _heard(overrides, choices)
    teacher, *others = (teachers(page, heard, parent) if used else ()) or (None,)
    checkpoint = finished(page) if used else None
    source_dimensions = teacher_architecture(teacher, checkpoint)
    earlier = callables.call(page.init, InitKeys, "init", *INIT_TAKES)[1].run
    is_staged = earlier and page.init.get("weights") == "run"
    before = stage(page, student, heard, parent) if is_staged else None
    init = _init(page, student, before.student if before else source_dimensions, option)
    compared = tuple(
        terms.term(page, key, node, student, source_dimensions) for key, node in selected.items()
    )
    _check_data(page.data, is_taught=bool(compared))
    if checkpoint and compared:
        _check_outputs(task, checkpoint, page.teacher.insist)
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
        init=replace(init, run=before),
        terms=compared,
        teacher=teacher,
        teacher_checkpoint=checkpoint,
        choices={**choices, "knowledge": "+".join(selected) or "none"},
        overrides=overrides,
        other_teachers=tuple(others),
        insist=page.teacher.insist,
    )
    check_stage(run)
    _check_objective(run)
    return replace(run, uid=digest(effective(run)))


def _heard(overrides: tuple[str, ...], choices: Mapping[str, str]) -> tuple[str, ...]:
    """What parents inherit from: a task that a recipe chose counts as one's own choice."""
    if choices.get("recipe", "none") == "none" or any(t.startswith("task=") for t in overrides):
        return overrides
    return (f"task={choices['task']}", *overrides)


def _check_data(data: Data, is_taught: bool) -> None:
    if data.fold and data.fold[0] >= data.fold[1]:
        raise BadInput(f"data.fold={list(data.fold)}: fold k of K, k from 0 to K - 1")
    if data.transfer == "unlabelled" and not is_taught:
        raise BadInput(
            "data.transfer=unlabelled: without knowledge, rows without a label teach nothing"
        )


def _student(page: Page) -> Architecture:
    shape, keys = callables.call(page.shape, Named, "shape", *SIZE)
    size: Size = page.size
    try:
        with callables.naming_mistakes(f"shape={keys.name}", shape.target):
            solved = shape.bind()(size.layers, size.hidden, size.heads, size.intermediate)
    except Misfit as error:
        raise NotApplicable(f"shape={keys.name}: {error}") from None
    dimensions = parse(Size, dict(zip(SIZE, solved, strict=False)), f"shape={keys.name}: size")
    student = Architecture(page.family, *astuple(dimensions))
    if student.hidden % student.heads:
        raise BadInput(f"size: {student.heads} heads do not divide the width {student.hidden}")
    return student


def _init(page: Page, student: Architecture, teacher: Architecture | None, option: Option) -> Init:
    call, keys = callables.call(page.init, InitKeys, "init", *INIT_TAKES)
    checkpoint = keys.checkpoint
    stated = option("init", keys.name)["weights"]
    if keys.weights != stated and not {keys.weights, stated} <= TEACHERS_WEIGHTS:
        allowed = sorted(TEACHERS_WEIGHTS) if stated in TEACHERS_WEIGHTS else [stated]
        raise BadInput(f"init.weights={keys.weights}: init={keys.name} takes {', '.join(allowed)}")
    if keys.weights != "run" and (keys.run or keys.head != "fresh"):
        there = " ".join(f"~init.{key}" for key in ("run", "head") if key in page.init)
        raise BadInput(
            f"init.run, init.head: init={keys.name} has no earlier run; "
            f"use init=run init.run=[...], or drop a recipe's with {there}"
        )
    if keys.weights == "run" and not keys.run:
        raise BadInput(f"init={keys.name}: init.run must be given, as a list of overrides")
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
        with callables.naming_mistakes(f"init={keys.name}", call.target):
            call.bind()({}, student, source)
        if files := checkpoint or (finished(page) if keys.weights == "finetuned" else None):
            _check_source(student, files)
    except Misfit as error:
        raise terms.refusal(call)(f"init={keys.name}: {error}") from None
    return Init(keys.name, call, keys.weights, checkpoint, head=keys.head)


@of_files
def _check_source(student: Architecture, checkpoint: str) -> None:
    from kdlab.models.student import check_source

    check_source(student, checkpoint)


def _check_outputs(task: Task, checkpoint: str, insist: bool) -> None:
    found = checkpoints.output_count(checkpoint)
    if task.classes is not None and found != task.classes:
        raise NotApplicable(
            f"teacher.checkpoint={checkpoint}: {found} outputs, "
            f"and task.classes={task.classes} in task={task.name}"
        )
    if insist or task.labels is None:
        return
    try:
        class_order.order(
            task.name, [str(name) for name in task.labels], checkpoints.output_names(checkpoint)
        )
    except NotApplicable as error:
        raise NotApplicable(f"teacher.checkpoint={checkpoint}: {error}") from None


def _check_objective(run: Run) -> None:
    """Rehearse every term once on random tensors of the real widths and head counts."""
    if not run.terms:
        if run.hard_weight == 0:
            raise BadInput("hard.weight=0 with knowledge=none: nothing to train on")
        return
    from kdlab.config.rehearsal import rehearse

    source = teacher_architecture(run.teacher, run.teacher_checkpoint)
    assert source is not None
    for term in run.terms:
        where = f"knowledge.{term.key}"
        try:
            with callables.naming_mistakes(where, term.loss.target):
                rehearse(term, run.student, source, run.task.classes, run.train.freeze_encoder)
        except Misfit as error:
            raise NotApplicable(f"{where}: {error}") from None
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from None
