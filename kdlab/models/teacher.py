"""Teachers: finished runs or checkpoints, frozen, with outputs in the order of the classes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from kdlab.ending import say
from kdlab.errors import BadInput
from kdlab.models import checkpoints, class_order, heads, origins
from kdlab.run import Origin, Run


def load_teachers(
    run: Run, tokenizer: Any, names: Sequence[str] | None, root: str, device: torch.device
) -> list[nn.Module]:
    """The run's teachers, frozen and without dropout: none, one, or one for each fold.

    A run without terms needs none, though it may start from its teacher's weights. Arguments as
    of `load_teacher`.
    """
    if not run.terms:
        return []
    return [load_teacher(run, origin, tokenizer, names, root, device) for origin in run.teachers]


def load_teacher(
    run: Run,
    teacher: Origin,
    tokenizer: Any,
    names: Sequence[str] | None,
    root: str,
    device: torch.device,
) -> nn.Module:
    """A teacher of a run, frozen and without dropout.

    Args:
        run: of the student.
        teacher: one of those that the run has.
        tokenizer: the student's.
        names: what the task's classes are called. If a finished checkpoint calls its outputs by
            the same names in another order, they are put into the task's order.
        root: where parents' models are.
        device: where the teacher goes.
    """
    path = origins.folder(teacher, root)
    model = heads.load_with_head(run.task, path)
    if not run.task.is_language_model and model.config.num_labels != run.task.classes:
        raise BadInput(
            f"teacher: {model.config.num_labels} outputs, {run.task.name} has {run.task.classes}"
        )
    if order := outputs_order(run, names):
        heads.reorder(model, order)
        say(f"{path}: outputs {order} of the teacher are {', '.join(names or ())}")
    if len(tokenizer) > model.config.vocab_size:
        known = model.config.vocab_size
        raise BadInput(f"teacher: it knows {known} tokens, the tokenizer has {len(tokenizer)}")
    return model.eval().requires_grad_(False).to(device)


def outputs_order(run: Run, names: Sequence[str] | None) -> list[int] | None:
    """Which output of the run's finished checkpoint each class is; None if the order is the same.

    Raises:
        BadInput: the outputs have other names than the classes, and the run does not insist.
    """
    if not run.teacher_checkpoint or run.task.is_language_model:
        return None
    outputs = checkpoints.output_names(run.teacher_checkpoint)
    try:
        return class_order.order(run.task.name, names, outputs)
    except BadInput as error:
        if run.insist:
            return None
        raise type(error)(f"teacher.checkpoint={run.teacher_checkpoint}: {error}") from None
