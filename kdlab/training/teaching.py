"""Teachers at work: one, or cross-fitted ones, each of which teaches the rows that it never saw.

Of K folds, teacher k is trained without fold k; what a student is shown of a row comes from the
teacher of the row's fold. Rows are split within a batch, at its padded length, and the traces are
put back in order, so that any knowledge can be taught, at the cost of K teachers in memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdlab import metrics, run
from kdlab.data.tokens import Encoded
from kdlab.errors import BadInput
from kdlab.models.teacher import load_teacher
from kdlab.models.trace import PredictedTokens, Trace, joined, trace
from kdlab.training import scoring


def load(
    student: run.Run,
    tokenizer: Any,
    names: Sequence[str] | None,
    root: str,
    device: torch.device,
) -> list[nn.Module]:
    """The run's teachers, frozen and without dropout: one, one for each fold, or none.

    A run without knowledge needs none, though it may start from its teacher's weights. Arguments as
    in `load_teacher`.
    """
    if not student.terms:
        return []
    ways = [replace(student, teacher=teacher) for teacher in run.teachers(student)] or [student]
    found = [load_teacher(way, tokenizer, names, root, device) for way in ways]
    return [teacher for teacher in found if teacher is not None]


def examine(
    cohort: Sequence[run.Run], teachers: Sequence[nn.Module], select: Encoded, device: torch.device
) -> dict[str, np.ndarray]:
    """Score a finished checkpoint on select before it teaches, for nothing else vouches for it.

    Returns its outputs by split; of teachers that were trained here none are asked for.

    Raises:
        BadInput: it is worse than the most frequent label, and a run does not insist.
    """
    taught = [student for student in cohort if student.terms]
    if not teachers or not taught[0].teacher_checkpoint or taught[0].task.masked:
        return {}
    task, found = taught[0].task, outputs(teachers, select, device)
    own, least = (
        scoring.selection(task, select.labels, answers)[0]
        for answers in (found, metrics.majority(select.labels, select.classes))
    )
    if own < least and not all(student.insist for student in taught):
        scored = f"{' and '.join(task.select_by)} on select is {own:.3f}"
        raise BadInput(
            f"teacher.checkpoint={taught[0].teacher_checkpoint}: its {scored}, that of the most "
            f"frequent label {least:.3f}: are its classes in another order (id2label in its "
            "config.json)? teacher.insist=true lets it teach"
        )
    return {"select": found}


def show(
    teachers: Sequence[nn.Module],
    inputs: Mapping[str, Tensor],
    rows: np.ndarray,
    wanted: frozenset[int],
    asked: PredictedTokens | None,
) -> Trace:
    """What the teachers make of a batch.

    Args:
        teachers: one, or in order of their folds.
        inputs: the batch.
        rows: [b], where its rows stand among the training rows, modulo K their folds.
        wanted, asked: layers and tokens, as in `trace`; cross-fitted teachers are asked no tokens.
    """
    if len(teachers) == 1:
        return trace(teachers[0], inputs, wanted, asked)
    folds = torch.from_numpy(rows % len(teachers)).to(inputs["attention_mask"].device)
    chosen = [(folds == fold).nonzero()[:, 0] for fold in range(len(teachers))]
    parts = [
        trace(teacher, {name: tensor[own] for name, tensor in inputs.items()}, wanted)
        for teacher, own in zip(teachers, chosen, strict=True)
        if len(own)
    ]
    return joined(parts, torch.cat(chosen).argsort())


def outputs(teachers: Sequence[nn.Module], data: Encoded, device: torch.device) -> np.ndarray:
    """Outputs [n, classes] of a scored split, whose rows no teacher saw.

    Of several teachers the logarithm of their mean probabilities; of regression their mean.
    """
    found = [scoring.predict(teacher, data, device) for teacher in teachers]
    if len(found) == 1:
        return found[0]
    stacked = torch.from_numpy(np.stack(found))
    if data.classes == 1:
        return stacked.mean(0).numpy()
    return (stacked.log_softmax(-1).logsumexp(0) - float(np.log(len(found)))).numpy()
