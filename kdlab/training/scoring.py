"""Outputs of a model on a split, and the scores of outputs. Always in float32."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

from kdlab import metrics, streams
from kdlab.data.masking import COLUMNS, HITS, LOSS
from kdlab.data.tokens import Encoded, examples, scoring_batches
from kdlab.models.trace import PredictedTokens, inference_logits
from kdlab.options.schema import Task

SCORING_ROWS = 64  # in a batch: fixed, so that outputs are the same bits in every run


def predict(model: nn.Module, data: Encoded, device: torch.device) -> np.ndarray:
    """Outputs of every row, float32, without dropout.

    Returns:
        Logits [n, classes]; of masked-LM [n, 2], the mean loss in nats of the row's masked tokens,
        and the share of them whose largest logit is the token's. Their masks are fixed: the same
        for every run, whatever its seed.
    """
    training = model.training  # a student that is scored while it trains goes on with dropout
    model.eval()
    outputs = np.zeros((len(data.labels), data.classes), dtype=np.float32)
    batches = scoring_batches(tuple(data.lengths.tolist()), SCORING_ROWS)
    data = data.on(device)
    for number, positions in enumerate(batches):
        # Seed 0 whatever the run's: masked-LM scores of two runs are of the same masked tokens.
        key = streams.key(0, f"masks/scored/{number}")
        inputs, labels, predicted = examples(data, positions, device, key, all_tokens=False)
        logits = inference_logits(model, inputs, predicted)
        if predicted is not None:
            # A vocabulary of logits for every masked token would be too much to keep.
            logits = _loss_and_hits(logits, labels, predicted, inputs["input_ids"])
        outputs[positions] = logits.cpu().numpy()
    model.train(training)
    return outputs


def predict_splits(
    model: nn.Module, splits: Mapping[str, Encoded], device: torch.device
) -> dict[str, np.ndarray]:
    """The outputs of every row of several splits, by the splits' names."""
    return {name: predict(model, data, device) for name, data in splits.items()}


def _loss_and_hits(
    logits: Tensor, labels: Tensor, predicted: PredictedTokens, ids: Tensor
) -> Tensor:
    """Mean loss and share of hits [b, 2] of each row of ids [b, t], from logits [n, vocabulary]."""
    by_token = torch.zeros(len(logits), COLUMNS, device=logits.device)
    by_token[:, LOSS] = cross_entropy(logits, labels, reduction="none")
    by_token[:, HITS] = (logits.argmax(-1) == labels).float()
    # The row of each token; a row without a masked token has zeros.
    rows, columns = ids.shape
    row = predicted.positions // columns
    sums = torch.zeros(rows, COLUMNS, device=logits.device)
    sums.index_add_(0, row, by_token)
    return sums / row.bincount(minlength=rows).clamp(min=1)[:, None]


def scores(task: Task, labels: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
    """The task's metrics of outputs, as fractions; 0 where an output is not finite."""
    if not np.isfinite(outputs).all():  # NaN has an argmax too, which would be scored
        return dict.fromkeys(task.metrics, 0.0)
    return {name: metrics.NAMES[name](labels, outputs) for name in task.metrics}


def select_score(task: Task, labels: np.ndarray, outputs: np.ndarray) -> tuple[float, bool]:
    """The score on the metrics `select_by`, and whether every row gets the same prediction."""
    score = metrics.selection(scores(task, labels, outputs), task.select_by)
    return score, is_degenerate(task, outputs)


def is_degenerate(task: Task, outputs: np.ndarray) -> bool:
    """Whether every row gets the same prediction; of masked-LM no predictions are kept."""
    return not task.is_language_model and metrics.is_degenerate(outputs)


def agreement(student: np.ndarray, teacher: np.ndarray) -> dict[str, float]:
    """How close a student's logits [n, classes] are to its teacher's.

    Returns:
        `top1`, the share of rows with the same prediction, and `kl`, KL(teacher ‖ student) in nats
        at temperature 1; of regression `mse` alone.
    """
    if student.shape[1] == 1:
        return {"mse": float(np.square(student - teacher).mean())}
    log_q, log_p = (log_softmax(torch.from_numpy(x).double(), -1) for x in (student, teacher))
    top1: Any = (student.argmax(-1) == teacher.argmax(-1)).mean()
    return {"top1": float(top1), "kl": float((log_p.exp() * (log_p - log_q)).sum(-1).mean())}
