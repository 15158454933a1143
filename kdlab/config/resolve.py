"""A composed config becomes a run: options resolved, unused nodes dropped, combinations checked.

Everything that can be known to fail is refused here, before any work: a study of thousands of runs
shall not find out in the queue.
"""

from collections.abc import Mapping
from dataclasses import astuple, replace

from kdlab.config import parents, terms
from kdlab.config.identity import digest, effective
from kdlab.config.parents import Compose
from kdlab.config.student_init import student_init
from kdlab.config.tasks import check_task
from kdlab.encoders.architecture import Architecture
from kdlab.encoders.families import FAMILIES
from kdlab.errors import BadInput, NotApplicable
from kdlab.models import checkpoints, class_order, origins
from kdlab.options import callables
from kdlab.options.function_keys import Named
from kdlab.options.parsing import parse
from kdlab.options.schema import Config, Data, Size, Task
from kdlab.run import Origin, Run

SIZE = ("layers", "hidden", "heads", "intermediate")


def resolve(
    config: Config,
    choices: Mapping[str, str],
    overrides: tuple[str, ...],
    compose_parent: Compose,
) -> Run:
    """The run of a composed config.

    Args:
        config: the parsed configuration.
        choices: the option chosen in each group.
        overrides: of the command line, from which parents take over task and splits.
        compose_parent: gives a parent's run from overrides.

    Raises:
        BadInput: naming the key, for any combination that cannot be run.
    """
    source, task = callables.call(config.task, Task, "task")
    check_task(task, config.data)
    student = _student(config)
    selected = terms.selected(config, task, overrides)
    inherited = parents.inherited_overrides(config, overrides, choices)
    # A teacher that nothing uses is dropped: runs that differ in it alone are one run.
    teachers: tuple[Origin, ...] = ()
    if selected or config.init.get("weights") == "finetuned":
        if config.tokenizer != config.teacher.tokenizer:
            what = "a student reads with its teacher's tokenizer"
            raise BadInput(f"tokenizer={config.tokenizer}: {what}")
        teachers = parents.teachers(config, inherited, compose_parent)
    teacher_size = origins.architecture(teachers[0]) if teachers else None
    run = Run(
        seed=config.seed,
        hard_weight=config.hard.weight,
        hard_schedules=terms.schedules(config.hard.schedules, None, "hard"),
        task=task,
        source=source,
        data=config.data,
        train=config.train,
        protocol=config.protocol,
        tokenizer=config.tokenizer,
        student=student,
        init=student_init(config, student, teachers, inherited, compose_parent),
        terms=tuple(
            terms.term(config, key, node, student, teacher_size)
            for key, node in selected.items()
            if teacher_size  # which a run with terms has
        ),
        teachers=teachers,
        choices={**choices, "knowledge": "+".join(selected) or "none"},
        overrides=overrides,
        insist=config.teacher.insist,
    )
    _check(run, teacher_size)
    return replace(run, uid=digest(effective(run)))


def _student(config: Config) -> Architecture:
    """The student's dimensions: `size` sets a budget, `shape` trades depth for width within it."""
    shape, keys = callables.call(config.shape, Named, "shape", *SIZE)
    where = f"shape={keys.name}"
    with callables.calling(where, shape):
        solved = shape.bind()(*astuple(config.size))
    # Parsed again, because a shape's function may give what no size may be.
    dimensions = parse(Size, dict(zip(SIZE, solved, strict=False)), f"{where}: size")
    student = Architecture(config.family, *astuple(dimensions))
    if student.hidden % student.heads:
        raise BadInput(f"size: {student.heads} heads do not divide the width {student.hidden}")
    _check_padding(config)
    return student


def _check_padding(config: Config) -> None:
    """Refuse a tokenizer that pads with another token than the family's code takes for padding.

    Where its checkpoint does not state the token, a run tells at its start.
    """
    padding = FAMILIES[config.family].padding
    if padding is None:
        return
    stated = checkpoints.stated(config.tokenizer) if config.tokenizer else {"pad_token_id": 0}
    if (given := stated.get("pad_token_id", padding)) != padding:
        what = f"tokenizer={config.tokenizer or 'null (the words of the task)'}"
        raise BadInput(f"family={config.family}: pads with token {padding}, {what} with {given}")


def _check(run: Run, teacher: Architecture | None) -> None:
    """Refuse what only shows when all parts of a run are known."""
    _check_data(run.data, is_taught=bool(run.terms))
    if run.teacher_checkpoint and run.terms:
        _check_outputs(run.task, run.teacher_checkpoint, run.insist)
    parents.check_stage(run)
    if run.terms:
        assert teacher is not None
        # Imported late: torch takes seconds to load, which runs without terms do without.
        from kdlab.config.rehearsal import rehearse

        for term in run.terms:
            with callables.calling(f"knowledge.{term.key}", term.loss):
                rehearse(term, run, teacher)
    elif run.hard_weight == 0:
        raise BadInput("hard.weight=0 with knowledge=none: nothing to train on")


def _check_data(data: Data, is_taught: bool) -> None:
    if data.fold and data.fold[0] >= data.fold[1]:
        raise BadInput(f"data.fold={list(data.fold)}: fold k of K, k from 0 to K - 1")
    if data.transfer == "unlabelled" and not is_taught:
        raise BadInput(
            "data.transfer=unlabelled: without knowledge, rows without a label teach nothing"
        )


def _check_outputs(task: Task, checkpoint: str, insist: bool) -> None:
    """Refuse a finished teacher whose outputs are not the task's classes."""
    outputs = checkpoints.output_count(checkpoint)
    if not task.is_language_model and outputs != task.classes:
        raise NotApplicable(
            f"teacher.checkpoint={checkpoint}: {outputs} outputs, "
            f"and task.classes={task.classes} in task={task.name}"
        )
    if insist or task.labels is None:
        return
    labels = [str(label) for label in task.labels]
    try:
        class_order.order(task.name, labels, checkpoints.output_names(checkpoint))
    except NotApplicable as error:
        raise NotApplicable(f"teacher.checkpoint={checkpoint}: {error}") from None
