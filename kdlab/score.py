"""Outputs and scores, always in float32."""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import log_softmax

from kdlab import metrics
from kdlab.data.tokens import Encoded, batch, scoring_batches
from kdlab.schema import Task
from kdlab.trace import outputs

SCORING_ROWS = 64  # in a batch: fixed, so that outputs are the same bits in every run


def predict(model: nn.Module, data: Encoded, device: torch.device) -> np.ndarray:
    """Outputs [n, classes] of every row, float32, without dropout."""
    training = model.training
    model.eval()
    found = np.zeros((len(data.labels), data.classes), dtype=np.float32)
    for positions in scoring_batches(tuple(data.lengths().tolist()), SCORING_ROWS):
        found[positions] = outputs(model, batch(data, positions, device)).cpu().numpy()
    model.train(training)
    return found


def scores(task: Task, labels: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """The task's metrics of outputs."""
    if not np.isfinite(found).all():
        return dict.fromkeys(task.metrics, 0.0)
    return {name: metrics.NAMES[name](labels, found) for name in task.metrics}


def selection(task: Task, labels: np.ndarray, found: np.ndarray) -> float:
    """The number that selects: the mean of the task's `select_by`; 0 for a constant prediction.

    All-positive predictions have an F1 of 0.8 on MRPC: they must not win a selection.
    """
    if metrics.is_degenerate(found):
        return 0.0
    scored = scores(task, labels, found)
    return float(np.mean([scored[name] for name in task.select_by]))


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
