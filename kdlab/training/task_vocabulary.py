"""A student's word embeddings while it trains: those of the words that its task has.

BERT's vocabulary has 30,522 words, and of 1,000 sentences of SST-2 fewer than 4,000 occur. The rows
of all other words get no gradient: AdamW only shrinks them, by its weight decay. Of a student with
two layers of width 128 they are most of all parameters, and with them goes most of the time of the
optimiser, of clipping, and of filling gradients with zeros. So they leave the model while it
trains, and are put back at its end, shrunk as they would have been: by Π (1 - lr weight_decay) over
all updates.

The model still takes the tokenizer's ids: a hook before the embedding looks up their rows.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdlab.run import Run
from kdlab.training.student_state import StudentState

SHARE = 0.5  # of the vocabulary; a task that uses more of it gains little


def shrink(run: Run, model: Any, ids: np.ndarray) -> None:
    """Leave only the rows of some words in a model's embedding, where that is worth it.

    A language model, whose outputs are tied to all rows, and an encoder that is not trained keep
    theirs.

    Args:
        run: of the student.
        model: changed in place.
        ids: [n], of all words that it will meet until `expand`.
    """
    embedding = model.get_input_embeddings()
    if run.task.is_language_model or run.train.freeze_encoder:
        return
    # Ids up to that of padding stay what they are, as it is a key of the embedding's.
    first = np.arange(1 + (embedding.padding_idx or 0))
    used = np.union1d(first, ids)
    if len(used) > SHARE * len(embedding.weight):
        return
    rows = torch.from_numpy(used).to(embedding.weight.device)
    # -1 of all others: to meet one is an error, and not another word's row.
    row_of = torch.full((len(embedding.weight),), -1, device=rows.device)
    row_of[rows] = torch.arange(len(rows), device=rows.device)
    embedding.whole = embedding.weight.detach()
    embedding.rows = rows
    embedding.weight = nn.Parameter(embedding.whole[rows])
    embedding.hook = embedding.register_forward_pre_hook(lambda _, given: (row_of[given[0]],))


def expand(student: StudentState, updates: int) -> None:
    """Put the embedding's other rows back as they are after some updates; all is as it ever was."""
    embedding = student.model.get_input_embeddings()
    if not hasattr(embedding, "whole"):
        return
    whole: Tensor = embedding.whole
    whole *= _decay(student, updates)
    whole[embedding.rows] = embedding.weight.detach()
    embedding.hook.remove()
    del embedding.hook, embedding.rows, embedding.whole
    embedding.weight = nn.Parameter(whole)


def _decay(student: StudentState, updates: int) -> float:
    """What weight decay alone makes of a weight."""
    train = student.run.train
    # Of the groups of the optimiser the first has the matrices of the model.
    share_of_rate = student.scheduler.lr_lambdas[0]
    rates = [train.lr * share_of_rate(update) for update in range(updates)]
    return math.prod(1 - rate * train.weight_decay for rate in rates)
