"""The teachers of a cohort: one, or cross-fitted ones, each of which teaches the rows it never saw.

Of K folds, teacher k is trained without fold k. What a student is taught of a row comes from the
teacher of the row's fold. To that end a batch is split by fold at its padded length, and the
teachers' traces are put back in the order of the batch, so that any knowledge can be taught. The
cost is K teachers in memory.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from kdlab import metrics
from kdlab.data.tokens import Encoded
from kdlab.errors import BadInput
from kdlab.models.trace import PredictedTokens, Trace, joined, trace
from kdlab.run import Run
from kdlab.training import scoring


def check_on_select(
    cohort: Sequence[Run], teachers: Sequence[nn.Module], select: Encoded, device: torch.device
) -> dict[str, np.ndarray]:
    """Score a finished checkpoint on select before it teaches, since nothing else vouches for it.

    Teachers that were trained here have been scored already.

    Returns:
        The logits on select, by split, so that they need not be computed again; else nothing.

    Raises:
        BadInput: it is worse than the most frequent label, and a run does not insist.
    """
    taught = [run for run in cohort if run.terms]
    if not teachers or not taught[0].teacher_checkpoint or taught[0].task.is_language_model:
        return {}
    task, logits = taught[0].task, teacher_logits(teachers, select, device)
    score, majority_score = (
        scoring.select_score(task, select.labels, outputs)[0]
        for outputs in (logits, metrics.majority(select.labels, select.classes))
    )
    if score < majority_score and not all(run.insist for run in taught):
        scored = f"{' and '.join(task.select_by)} on select is {score:.3f}"
        raise BadInput(
            f"teacher.checkpoint={taught[0].teacher_checkpoint}: its {scored}, that of the most "
            f"frequent label {majority_score:.3f}: are its classes in another order (id2label in "
            "its config.json)? teacher.insist=true lets it teach"
        )
    return {"select": logits}


def teacher_forward(
    teachers: Sequence[nn.Module],
    inputs: Mapping[str, Tensor],
    rows: np.ndarray,
    layers: frozenset[int],
    predicted: PredictedTokens | None,
) -> Trace:
    """One forward pass of the teachers over a batch, each row through the teacher of its fold.

    Args:
        teachers: one, or in order of their folds.
        inputs: of the models.
        rows: [b], positions among the training rows; modulo K they are the folds.
        layers: whose attention is traced, as in `trace`.
        predicted: as in `trace`; cross-fitted teachers are no language models, it is None there.
    """
    if len(teachers) == 1:
        return trace(teachers[0], inputs, layers, predicted)
    folds = torch.from_numpy(rows % len(teachers)).to(inputs["attention_mask"].device)
    rows_of = [(folds == fold).nonzero()[:, 0] for fold in range(len(teachers))]
    parts = [
        trace(teacher, {name: tensor[positions] for name, tensor in inputs.items()}, layers)
        for teacher, positions in zip(teachers, rows_of, strict=True)
        if len(positions)  # a small batch may have no row of a fold
    ]
    # `parts` lie fold by fold; the argsort of where their rows came from puts them back.
    return joined(parts, torch.cat(rows_of).argsort())


def teacher_logits(
    teachers: Sequence[nn.Module], data: Encoded, device: torch.device
) -> np.ndarray:
    """Logits [n, classes] on a scored split, whose rows no teacher saw in training.

    Of several teachers the logarithm of their mean probabilities; of regression their mean.
    """
    by_teacher = [scoring.predict(teacher, data, device) for teacher in teachers]
    if len(by_teacher) == 1:
        return by_teacher[0]
    stacked = torch.from_numpy(np.stack(by_teacher))
    if data.classes == 1:
        return stacked.mean(0).numpy()
    # Of probabilities, since logits of two teachers may differ by any constant.
    return (stacked.log_softmax(-1).logsumexp(0) - float(np.log(len(teachers)))).numpy()
