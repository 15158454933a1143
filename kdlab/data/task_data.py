"""A task's rows, read and tokenised once for a cohort."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kdlab.data import splits, test_splits, tokens
from kdlab.data.tokens import Encoded
from kdlab.run import Run


@dataclass(frozen=True)
class TaskData:
    """A task as a cohort sees it: rows tokenised once, and the batches of the whole training.

    Attributes:
        tokenizer: the student's.
        training: the rows that are trained on, labelled ones first.
        batches: positions of the training rows, for each update.
        scheduled: how many batches there would be if `train.stop` cut none off.
        scored: select and the reported splits, by name.
        tests: the test splits, by name, if their outputs are asked for.
        ids: of the rows of every scored and test split [n].
        names: what the classes are called, where the task or its data says so.
    """

    tokenizer: Any
    training: Encoded
    batches: list[np.ndarray]
    scheduled: int
    scored: Mapping[str, Encoded]
    tests: Mapping[str, Encoded]
    ids: Mapping[str, np.ndarray]
    names: tuple[str, ...] | None

    @cached_property
    def words(self) -> np.ndarray:
        """The ids of all tokens that training meets, in rising order: of its rows and of select."""
        parts = (self.training, self.scored["select"])
        return np.unique(np.concatenate([data.features["input_ids"].numpy() for data in parts]))

    @property
    def visits_all_rows(self) -> bool:
        """Whether the batches have as many rows as there are: of a short trial they have fewer."""
        return sum(map(len, self.batches)) >= len(self.training.labels)


def task_data(run: Run, predict_test: bool) -> TaskData:
    """What a run, and every run of its cohort, is trained and scored on.

    Raises:
        BadInput: the data is not as the task says, or lacks a test split.
    """
    source = run.source.bind()()
    parts, labelled, unlabelled = splits.everything(run.task, source, run.protocol, run.data)
    scored = {name: rows for name, rows in parts.items() if name != "fit"}
    tests = test_splits.rows(run.task, source) if predict_test else {}
    tokenizer = (
        tokens.pretrained(run.tokenizer) if run.tokenizer else tokens.word_level(parts["fit"])
    )

    def encode(rows: splits.Rows) -> Encoded:
        data = tokens.encode(rows, tokenizer, run.task.max_length, run.task.classes or 0)
        return tokens.masked(data, tokenizer, run.task.masked) if run.task.masked else data

    training = encode(splits.join(labelled, unlabelled))
    batches = tokens.schedule(training.lengths, len(labelled), run.train, run.seed)
    return TaskData(
        tokenizer,
        training,
        batches[: max(1, round(run.train.stop * len(batches)))],
        len(batches),
        {name: encode(rows) for name, rows in scored.items()},
        {name: encode(rows) for name, rows in tests.items()},
        {name: rows.ids for name, rows in (scored | tests).items()},
        parts["fit"].names,
    )
