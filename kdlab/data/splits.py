"""The splits fit, select and report: which rows may decide what.

`fit` trains students and teachers, `select` chooses weights and settings, `report` is scored once.
No row of select or report is in fit; on SST-2 no phrase of their sentences is in fit either.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from kdlab.data import labels
from kdlab.data.labels import Classes
from kdlab.data.source import Source
from kdlab.errors import BadInput
from kdlab.options.callables import function
from kdlab.options.schema import Data, Protocol, Task

UNLABELLED = np.nan


@dataclass(frozen=True)
class Rows:
    """Rows of a split.

    Attributes:
        ids: [n], the rows' official numbers.
        texts: one or two for each row.
        labels: [n], class numbers or values; NaN for none.
        names: what the classes are called, in order, where the task or its data says so.
    """

    ids: np.ndarray
    texts: list[tuple[str, ...]]
    labels: np.ndarray
    names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: Sequence[int] | np.ndarray) -> "Rows":
        """The rows at these positions, in this order."""
        texts = [self.texts[p] for p in positions]
        return Rows(self.ids[positions], texts, self.labels[positions], self.names)


def split(task: Task, source: Source, protocol: Protocol) -> dict[str, Rows]:
    """All splits of a task by name: fit, select and those that the task reports.

    Raises:
        BadInput: a column, a text or a label that is not as the task says.
    """
    table = source.read(task.train)
    train = rows(table, task, task.train)  # before the labels, to name a wrong text first
    known = _classes(table, task)
    train = _labelled(train, table, task, task.train, known)
    report = {}
    for name, split_name in task.report.items():
        table = source.read(split_name)
        unlabelled = rows(table, task, split_name)
        report[name] = _labelled(unlabelled, table, task, split_name, known)
    if protocol.select_on == "report":
        return {"fit": train, "select": next(iter(report.values())), **report}
    held_out = function(task.holdout)
    fit, select = held_out(train, list(report.values()), protocol.select, protocol.select_max)
    if not len(fit) or not len(select):
        raise BadInput(
            f"protocol.select={protocol.select}: of {len(train)} rows {len(select)} are held out "
            f"and {len(fit)} left, none of which is in select or report"
        )
    return {"fit": fit, "select": select, **report}


def _classes(train: pd.DataFrame, task: Task) -> Classes | None:
    """The classes of a task from its train split; None of regression and masked tokens."""
    if task.kind != "classification":
        return None
    return labels.classes(_column(train, task, task.label), task)


def everything(
    task: Task, source: Source, protocol: Protocol, data: Data
) -> tuple[dict[str, Rows], Rows, Rows]:
    """All splits as `split` gives them, the labelled training rows, and the unlabelled ones.

    Raises:
        BadInput: data that is not as the task says, or too little of it.
    """
    parts = split(task, source, protocol)
    extra = None
    if data.transfer == "unlabelled" and data.extra_split == "test":
        extra = rows(source.read(str(task.test)), task, str(task.test))
    return parts, *training_rows(parts, data, extra)


def training_rows(splits: Mapping[str, Rows], data: Data, extra: Rows | None) -> tuple[Rows, Rows]:
    """The labelled training rows, and the further ones, whose labels are taken away.

    Rows come in one fixed order, so that a smaller `data.rows` is a subset of a larger one.

    Args:
        splits: as `split` gives them.
        data: how many rows, and the fold of them that is left out. A row's fold is its position
            in the fixed order modulo the number of folds: the same for every seed and subset.
        extra: the test split, if that is where further rows come from; it loses rows that are
            in select or report.
    """
    ordered = splits["fit"].take(order(splits["fit"].ids))
    count = len(ordered) if data.rows is None else data.rows
    if count > len(ordered):
        raise BadInput(f"data.rows={count}: fit has {len(ordered)} rows")
    labelled = ordered.take(_outside(range(count), data.fold))
    rest = ordered.take(_outside(range(count, len(ordered)), data.fold))
    if not len(labelled):
        raise BadInput(f"data.fold={data.fold}: none of {count} rows is left")
    if data.transfer == "same":
        return labelled, rest.take([])
    if extra is not None:
        held = [splits[name] for name in splits if name != "fit"]
        rest = without(extra.take(order(extra.ids)), held)
    more = len(rest) if data.extra_rows is None else data.extra_rows
    if more > len(rest) or not more:
        raise BadInput(f"data.extra_rows={more}: there are {len(rest)} further rows")
    unlabelled = rest.take(range(more))
    return labelled, Rows(unlabelled.ids, unlabelled.texts, np.full(more, UNLABELLED))


def _outside(positions: range, fold: tuple[int, int] | None) -> list[int]:
    """The positions that are not in a fold (k, K), which has every K-th one."""
    return [p for p in positions if fold is None or p % fold[1] != fold[0]]


def join(first: Rows, second: Rows) -> Rows:
    """The rows of both, one after the other."""
    return Rows(
        np.concatenate([first.ids, second.ids]),
        first.texts + second.texts,
        np.concatenate([first.labels, second.labels]),
    )


def _labelled(
    unlabelled: Rows, table: pd.DataFrame, task: Task, split: str, known: Classes | None
) -> Rows:
    """A table's rows with their labels; refused if a row has none."""
    if task.is_language_model:
        return replace(unlabelled, labels=np.zeros(len(table)))  # the tokens are the labels
    column = _column(table, task, task.label)
    values = (
        labels.numbers(column, known, task, split) if known else labels.values(column, task, split)
    )
    if missing := int(np.isnan(values).sum()):
        raise BadInput(f"task {task.name}: {missing} rows of {split} have no label in {task.label}")
    return replace(unlabelled, labels=values, names=known.names if known else None)


def rows(table: pd.DataFrame, task: Task, split: str) -> Rows:
    """A table's rows without their labels, checked against the task.

    Raises:
        BadInput: a column is missing, there is no row, or one has no text: none in some column, or
            empty ones in all.
    """
    if table.empty:
        raise BadInput(f"task {task.name}: {split} has no rows")
    columns = [_column(table, task, name) for name in task.text]
    for name, column in zip(task.text, columns, strict=True):
        wrong = [not isinstance(value, str) for value in column]
        if any(wrong):
            what = column[np.argmax(wrong)]
            _refuse_text(wrong, name, task, split, "" if _is_missing(what) else f": {what!r:.40}")
    empty = [not any(text.strip() for text in texts) for texts in zip(*columns, strict=True)]
    if any(empty):
        _refuse_text(empty, task.text[0], task, split, "")
    return Rows(_ids(table), list(zip(*columns, strict=True)), np.full(len(table), UNLABELLED))


def _column(table: pd.DataFrame, task: Task, name: str) -> pd.Series:
    if name not in table:
        columns = ", ".join(map(str, table.columns))
        raise BadInput(f"task {task.name}: no column {name!r}; there: {columns}")
    return table[name].reset_index(drop=True)


def _refuse_text(wrong: list[bool], column: str, task: Task, split: str, what: str) -> NoReturn:
    raise BadInput(
        f"task {task.name}: {sum(wrong)} of {len(wrong)} rows of {split} have no text, first row "
        f"{np.argmax(wrong) + 1}, column {column!r}{what}"
    )


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def _ids(table: pd.DataFrame) -> np.ndarray:
    """The rows' official numbers if a column `idx` has whole numbers, else 0, 1, 2, ..."""
    if "idx" in table:
        official = pd.to_numeric(table["idx"], errors="coerce").to_numpy(dtype=np.float64)
        if np.isfinite(official).all() and (official == np.floor(official)).all():
            return official.astype(np.int64)
    return np.arange(len(table))


def order(ids: np.ndarray) -> np.ndarray:
    """Positions in one fixed pseudo-random order of the ids, the same for every seed."""
    # As bytes, since an array is no key of a cache; a copy, since the caller may change it.
    return _order(ids.astype(np.int64).tobytes()).copy()


@lru_cache(maxsize=8)  # of like rows for every cohort
def _order(ids: bytes) -> np.ndarray:
    names = np.frombuffer(ids, dtype=np.int64).tolist()
    digests = [hashlib.blake2b(str(i).encode(), digest_size=8).digest() for i in names]
    return np.array(sorted(range(len(names)), key=digests.__getitem__), dtype=np.int64)


def hold_out(train: Rows, reports: list[Rows], share: float, most: int) -> tuple[Rows, Rows]:
    """Split train into fit and select, a share of the rows but at most `most`.

    fit then loses the rows whose text is in select or in a reported split.
    """
    shuffled = order(train.ids)
    size = min(int(share * len(train)), most)
    select = train.take(np.sort(shuffled[:size]))
    fit = train.take(np.sort(shuffled[size:]))
    return without(fit, [select, *reports]), select


def sentences(train: Rows, reports: list[Rows], share: float, most: int) -> tuple[Rows, Rows]:
    """As `hold_out`, of a treebank whose train split has the phrases of its sentences too (SST-2).

    A sentence is a row that is no phrase (a run of words) of a longer row. select gets sentences
    only, as the development split has; every row that is a phrase of one of select or report
    leaves fit.
    """
    ids = train.ids.astype(np.int64).tobytes()
    fit, chosen = _of_treebank(_lines([train]), ids, _lines(reports), share, most)
    return train.take(fit), train.take(chosen)


def _lines(parts: Sequence[Rows]) -> str:
    """The first texts of all rows, one a line, their words parted by one blank."""
    return "\n".join(" ".join(text[0].split()) for part in parts for text in part.texts)


@lru_cache(maxsize=4)  # a second of work, the same for every cohort and every seed
def _of_treebank(
    train: str, ids: bytes, reports: str, share: float, most: int
) -> tuple[list[int], list[int]]:
    """The positions of `sentences`'s rows, of fit and of select; arguments as lines and bytes."""
    words = [tuple(line.split()) for line in train.split("\n")]
    whole = roots(words)
    shuffled = [position for position in _order(ids).tolist() if position in whole]
    size = min(int(share * len(whole)), most)
    select = sorted(shuffled[:size])
    held = phrases(
        [*(words[p] for p in select), *(tuple(line.split()) for line in reports.split("\n"))]
    )
    fit = [position for position, phrase in enumerate(words) if " ".join(phrase) not in held]
    return fit, select


def without(rows: Rows, others: list[Rows]) -> Rows:
    """The rows whose text is not in the others; case and white space do not count."""
    held = {_plain(text) for other in others for text in other.texts}
    return rows.take([p for p, text in enumerate(rows.texts) if _plain(text) not in held])


def roots(rows: list[tuple[str, ...]]) -> set[int]:
    """Positions of the rows that are no phrase of another; of equal rows, the first."""
    sentences, known = set(), set[str]()
    # Longest first: a row is a phrase only of a longer one, or the repetition of an earlier one.
    for position in sorted(range(len(rows)), key=lambda p: (-len(rows[p]), p)):
        if " ".join(rows[position]) not in known:
            sentences.add(position)
            known |= phrases([rows[position]])
    return sentences


def phrases(rows: Iterable[tuple[str, ...]]) -> set[str]:
    """Every run of words of every row, and the rows themselves."""
    return {
        " ".join(row[start:end])
        for row in rows
        for start in range(max(1, len(row)))
        for end in range(start + 1, len(row) + 1)
    }


def _plain(text: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(" ".join(part.lower().split()) for part in text)
