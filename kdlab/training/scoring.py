"""Outputs and scores, always in float32."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

from kdlab import metrics, streams
from kdlab.data.masking import COLUMNS, HITS, LOSS
from kdlab.data.tokens import Encoded, examples, scoring_batches
from kdlab.models.trace import PredictedTokens, outputs
from kdlab.options.schema import Task

SCORING_ROWS = 64  # in a batch: fixed, so that outputs are the same bits in every run


def predict(model: nn.Module, data: Encoded, device: torch.device) -> np.ndarray:
    """Outputs [n, classes] of every row, float32, without dropout.

    Of masked rows [n, 2]: the mean loss in nats of the masked tokens, and the share of them whose
    largest logit is the token's. Their masks are fixed: the same for every run, whatever its seed.
    """
    training = model.training
    model.eval()
    found = np.zeros((len(data.labels), data.classes), dtype=np.float32)
    batches = scoring_batches(tuple(data.lengths().tolist()), SCORING_ROWS)
    for number, positions in enumerate(batches):
        key = streams.key(0, f"masks/scored/{number}")
        inputs, answers, asked = examples(data, positions, device, key, everywhere=False)
        output = outputs(model, inputs, asked)
        if asked is not None:
            output = _by_row(output, answers, asked)
        found[positions] = output.cpu().numpy()
    model.train(training)
    return found


def _by_row(logits: Tensor, answers: Tensor, asked: PredictedTokens) -> Tensor:
    """What is kept of rows [b, 2] of logits [n, vocabulary]: mean loss and hits."""
    kept = torch.zeros(len(logits), COLUMNS, device=logits.device)
    kept[:, LOSS] = cross_entropy(logits, answers, reduction="none")
    kept[:, HITS] = (logits.argmax(-1) == answers).float()
    row = asked.at.nonzero()[:, 0]
    sums = torch.zeros(len(asked.at), COLUMNS, device=logits.device).index_add_(0, row, kept)
    return sums / asked.at.sum(1, keepdim=True).clamp(min=1)


def scores(task: Task, labels: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """The task's metrics of outputs."""
    if not np.isfinite(found).all():
        return dict.fromkeys(task.metrics, 0.0)
    return {name: metrics.NAMES[name](labels, found) for name in task.metrics}


def selection(task: Task, labels: np.ndarray, found: np.ndarray) -> tuple[float, bool]:
    """The score on `select_by`, and whether every row gets the same prediction."""
    score = metrics.selection(scores(task, labels, found), task.select_by)
    return score, is_degenerate(task, found)


def is_degenerate(task: Task, found: np.ndarray) -> bool:
    """Whether every row gets the same prediction; of masked-LM no predictions are kept."""
    return task.masked is None and metrics.is_degenerate(found)


def agreement(student: np.ndarray, teacher: np.ndarray) -> dict[str, float]:
    """How close a student's outputs are to its teacher's.

    `top1`: share of rows with the same prediction; `kl`: KL(teacher ‖ student) in nats at
    temperature 1. For regression `mse` instead.
    """
    if student.shape[1] == 1:
        return {"mse": float(np.square(student - teacher).mean())}
    log_q, log_p = (log_softmax(torch.from_numpy(x).double(), -1) for x in (student, teacher))
    top1: Any = (student.argmax(-1) == teacher.argmax(-1)).mean()
    return {"top1": float(top1), "kl": float((log_p.exp() * (log_p - log_q)).sum(-1).mean())}
