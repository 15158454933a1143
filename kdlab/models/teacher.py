"""Teachers: finished runs or checkpoints, frozen, with outputs in the order of the classes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from kdlab.ending import say
from kdlab.errors import BadInput
from kdlab.models import checkpoints, class_order, heads
from kdlab.models.saved_files import checked
from kdlab.run import Run


def load_teacher(
    run: Run, tokenizer: Any, names: Sequence[str] | None, root: str, device: torch.device
) -> nn.Module | None:
    """The run's teacher, frozen and without dropout; None if it uses none.

    Args:
        run: of the student.
        tokenizer: the student's.
        names: what the task's classes are called; a finished checkpoint that calls its outputs so
            in another order has them put into the task's.
        root: where parents are.
        device: where the teacher goes.
    """
    if run.teacher:
        path = checked(root, run.teacher.uid)
    elif run.teacher_checkpoint:
        path = checkpoints.locate(run.teacher_checkpoint)
    else:
        return None
    model = heads.load_with_head(run.task, path)
    if not run.task.masked and model.config.num_labels != run.task.classes:
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
    """Which output of the run's finished checkpoint each class is, None where it is the same one.

    Raises:
        BadInput: the outputs have other names than the classes, and nobody insists.
    """
    if not run.teacher_checkpoint or run.task.masked:
        return None
    theirs = checkpoints.names(run.teacher_checkpoint)
    try:
        return class_order.order(run.task.name, names, theirs)
    except BadInput as error:
        if run.insist:
            return None
        raise type(error)(f"teacher.checkpoint={run.teacher_checkpoint}: {error}") from None
