"""The teachers of a cohort: one, or cross-fitted ones, each of which teaches the rows it never saw.

Of K folds, teacher k is trained without fold k. What a student is taught of a row comes from the
teacher of the row's fold. To that end a batch is split by fold at its padded length, and the
teachers' traces are put back in the order of the batch, so that any knowledge can be taught. The
cost is K teachers in memory.

What a teacher says of whole rows is computed once (`kdlab.training.teacher_outputs`); a forward
pass in each step is only for what is too large to be kept, such as the states of every token.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor, nn

from kdlab import metrics
from kdlab.config.identity import digest
from kdlab.data.task_data import TaskData
from kdlab.data.tokens import Encoded
from kdlab.device import Clock
from kdlab.errors import BadInput
from kdlab.models import origins
from kdlab.models.saved_files import signed_weights
from kdlab.models.teacher import load_teachers, outputs_order
from kdlab.models.trace import PredictedTokens, Trace, joined, trace
from kdlab.objective.term_loss import RowView
from kdlab.objective.views import logits
from kdlab.options.schema import Execution
from kdlab.run import Origin, Run
from kdlab.tracking import provenance
from kdlab.training import scoring, teacher_outputs
from kdlab.training.teacher_outputs import RowOutputs, Source

LOGITS: RowView = (f"{logits.__module__}.{logits.__name__}", None)
GIGABYTE = 1e9
FORMAT = 1  # raised when equal models come to say something else of equal rows
# What the last bits of a teacher's outputs depend on, beside its weights.
WHERE = ("accelerator", "device", "threads", "torch", "transformers", "numpy")


@dataclass(frozen=True)
class Teachers:
    """Who teaches a cohort; the models are loaded when they are first needed, if ever.

    Attributes:
        run: one that learns from them; without terms it has no teacher.
        task: its data.
        execution: where the root is.
        device: where they compute.
        clock: the seconds that they computed for the training.
    """

    run: Run
    task: TaskData
    execution: Execution
    device: torch.device
    clock: Clock

    @cached_property
    def models(self) -> list[nn.Module]:
        """None, one, or one for each fold, in their order."""
        task, root = self.task, self.execution.root
        return load_teachers(self.run, task.tokenizer, task.names, root, self.device)

    def _model(self, number: int) -> nn.Module:
        return self.models[number]

    def sources(self, precision: str, clock: Clock) -> list[Source]:
        """The teachers as the store of their outputs knows them, and what counts their seconds."""
        return [
            Source(
                load=partial(self._model, number),
                digest=self._digest(teacher, precision),
                device=self.device,
                precision=precision,
                root=self.execution.root,
                budget=self.execution.teacher_outputs_gb * GIGABYTE,
                clock=clock,
            )
            for number, teacher in enumerate(self.run.teachers)
        ]

    def _digest(self, teacher: Origin, precision: str) -> str:
        """What a teacher's outputs depend on, hashed."""
        machine = provenance.provenance(self.device)
        weights = (
            signed_weights(self.execution.root, teacher.uid) if isinstance(teacher, Run) else ""
        )
        return digest(
            {
                "format": FORMAT,
                "teacher": origins.identity(teacher),
                "weights": weights,
                "order": outputs_order(self.run, self.task.names),
                "precision": precision,
                **{key: machine[key] for key in WHERE},
            }
        )


def row_outputs(teachers: Teachers, views: Collection[RowView]) -> RowOutputs | None:
    """Views of the training rows, each by the teacher of its fold; None where none is needed."""
    if not views:
        return None
    sources = teachers.sources(teachers.run.train.precision, teachers.clock)
    (outputs,) = teacher_outputs.row_outputs(sources, teachers.task.training, views, folds=True)
    return outputs


def check_on_select(cohort: Sequence[Run], teachers: Teachers) -> None:
    """Score a finished checkpoint on select before it teaches, since nothing else vouches for it.

    Teachers that were trained here have been scored already.

    Raises:
        BadInput: it is worse than the most frequent label, and a run does not insist.
    """
    taught = [run for run in cohort if run.terms]
    if not taught or not taught[0].teacher_checkpoint or taught[0].task.is_language_model:
        return
    task, select = taught[0].task, teachers.task.scored["select"]
    score, majority_score = (
        scoring.select_score(task, select.labels, outputs)[0]
        for outputs in (
            teacher_logits(teachers, select),
            metrics.majority(select.labels, select.classes),
        )
    )
    if score < majority_score and not all(run.insist for run in taught):
        scored = f"{' and '.join(task.select_by)} on select is {score:.3f}"
        raise BadInput(
            f"teacher.checkpoint={taught[0].teacher_checkpoint}: its {scored}, that of the most "
            f"frequent label {majority_score:.3f}: are its classes in another order (id2label in "
            "its config.json)? teacher.insist=true lets it teach"
        )


def teacher_forward(
    teachers: Sequence[nn.Module],
    inputs: Mapping[str, Tensor],
    rows: np.ndarray,
    layers: frozenset[int],
    predicted: PredictedTokens | None,
    depth: int | None,
) -> Trace:
    """One forward pass of the teachers over a batch, each row through the teacher of its fold.

    Args:
        teachers: one, or in order of their folds.
        inputs: of the models.
        rows: [b], positions among the training rows; modulo K they are the folds.
        layers: whose attention is traced, as in `trace`.
        predicted: as in `trace`; cross-fitted teachers are no language models, it is None there.
        depth: as in `trace`.
    """
    if len(teachers) == 1:
        return trace(teachers[0], inputs, layers, predicted, depth)
    folds = torch.from_numpy(rows % len(teachers)).to(inputs["attention_mask"].device)
    rows_of = [(folds == fold).nonzero()[:, 0] for fold in range(len(teachers))]
    parts = [
        trace(teacher, {n: x[positions] for n, x in inputs.items()}, layers, None, depth)
        for teacher, positions in zip(teachers, rows_of, strict=True)
        if len(positions)  # a small batch may have no row of a fold
    ]
    # `parts` lie fold by fold; the argsort of where their rows came from puts them back.
    return joined(parts, torch.cat(rows_of).argsort())


def teacher_logits(teachers: Teachers, data: Encoded) -> np.ndarray:
    """Logits [n, classes], float32, on a scored split, whose rows no teacher saw in training."""
    # In float32 whatever the run's precision, as students are scored.
    # Its seconds are none of the training's.
    sources = teachers.sources("fp32", Clock(teachers.device))
    of_each = teacher_outputs.row_outputs(sources, data, [LOGITS], folds=False)
    rows = np.arange(len(data.labels))
    cpu = torch.device("cpu")
    return mean_logits([outputs.at(rows, [LOGITS], cpu)[LOGITS].numpy() for outputs in of_each])


def mean_logits(by_teacher: Sequence[np.ndarray]) -> np.ndarray:
    """What several teachers say together, from the logits [n, classes] of each.

    The logarithm of their mean probabilities; of regression the mean of their outputs.
    """
    if len(by_teacher) == 1:
        return by_teacher[0]
    stacked = torch.from_numpy(np.stack(by_teacher))
    if stacked.shape[-1] == 1:
        return stacked.mean(0).numpy()
    # Of probabilities, since logits of two teachers may differ by any constant.
    return (stacked.log_softmax(-1).logsumexp(0) - float(np.log(len(by_teacher)))).numpy()
