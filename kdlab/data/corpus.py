"""A text corpus: text packed into rows of equal length, and rows held out in stretches."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kdlab.data import files, table
from kdlab.data.source import Source
from kdlab.data.splits import Rows, order, without
from kdlab.errors import BadInput
from kdlab.models.checkpoints import file_digest
from kdlab.options.schema import Count

VERSION = 1  # raised when the same knobs would come to give other rows
STRETCH = 16  # neighbouring rows that are held out together
SPLITS = ("train", "validation")
KINDS = (".parquet", ".txt")


def source(
    *,
    path: str,
    revision: str | None,
    subset: str | None,
    column: str,
    document: str | None,
    words: Count,
    report_rows: Count,
) -> Source:
    """Rows of `words` words each, and the splits train and validation of them.

    Texts that follow each other are joined and cut every `words` words, whatever the tokenizer,
    so that rows are the same for all; a row does not go beyond a document. What a row has beyond
    `task.max_length` tokens is lost: English has about 1.3 word pieces a word. Validation is whole
    stretches of neighbouring rows. The corpus is held in memory.

    Args:
        path: a Parquet or text file (a line is a text), a folder of such files, which are read in
            order of name, or a data set of the hub, of which the split train is read.
        revision: the hub commit, all 40 digits.
        subset: the hub's configuration of the data set.
        column: of the texts in a table.
        document: the column that names a text's document; null: all of it is one.
        words: in a row, as white space separates them.
        report_rows: rows of the split validation, at most.
    """
    knobs = {"column": column, "document": document, "words": words, "report_rows": report_rows}
    place = Path(path).expanduser()
    if place.exists():
        found = _files(place)
        return Source(partial(_read, partial(_local, found, knobs), knobs), _digests(found, knobs))
    hub = table.source(path=path, revision=revision, subset=subset, folder=None)
    pinned = partial(_identity, knobs, lambda: hub.identity(["train"]))
    return Source(partial(_read, lambda: hub.read("train"), knobs), pinned)


def hold_out(train: Rows, reports: list[Rows], share: float, most: int) -> tuple[Rows, Rows]:
    """Hold out stretches of neighbouring rows, `most` rows at most; fit loses their equals."""
    held = _stretches(train.ids, min(int(share * len(train)), most))
    select = train.take(np.flatnonzero(held))
    return without(train.take(np.flatnonzero(~held)), [select, *reports]), select


def _stretches(ids: np.ndarray, most: int) -> np.ndarray:
    """True [n] at whole stretches, drawn in one fixed order, `most` rows at most."""
    groups, inverse, sizes = np.unique(ids // STRETCH, return_inverse=True, return_counts=True)
    ordered = order(groups)
    taken = ordered[np.cumsum(sizes[ordered]) <= most]
    return np.isin(inverse, taken)


def _read(texts: Any, knobs: dict[str, Any], split: str) -> pd.DataFrame:
    if split not in SPLITS:
        raise BadInput(f"task: a corpus has no split {split}; there: {', '.join(SPLITS)}")
    rows = list(_packed(texts(), **{key: knobs[key] for key in ("column", "document", "words")}))
    ids = np.arange(len(rows))
    held = _stretches(ids, knobs["report_rows"])
    if held.all() or not held.any():
        raise BadInput(
            f"task.report_rows={knobs['report_rows']}: the corpus has {len(rows)} rows, of which "
            f"stretches of {STRETCH} are held out"
        )
    kept = np.flatnonzero(held if split == "validation" else ~held)
    return pd.DataFrame({"text": [rows[i] for i in kept], "idx": ids[kept]})


def _packed(texts: pd.DataFrame, column: str, document: str | None, words: int) -> Iterator[str]:
    for name in (column, *([document] if document else [])):
        if name not in texts:
            there = ", ".join(map(str, texts.columns))
            raise BadInput(f"task: the corpus has no column {name!r}; there: {there}")
    parts = texts.groupby(document, sort=False) if document else [("", texts)]
    for _, part in parts:
        own = part[column].dropna()
        if wrong := [text for text in own if not isinstance(text, str)]:
            raise BadInput(f"task.column={column}: {wrong[0]!r:.40} is no text")
        every = " ".join(own).split()
        for start in range(0, len(every), words):
            yield " ".join(every[start : start + words])


def _files(place: Path) -> list[Path]:
    there = sorted(place.iterdir()) if place.is_dir() else [place]
    texts = [path for path in there if path.suffix in KINDS]
    if not texts:
        raise BadInput(f"task.path={place}: no {' or '.join(KINDS)} file")
    return texts


def _local(paths: Sequence[Path], knobs: dict[str, Any]) -> pd.DataFrame:
    return pd.concat([_table(path, knobs["column"]) for path in paths], ignore_index=True)


def _table(path: Path, column: str) -> pd.DataFrame:
    if path.suffix != ".txt":
        return files.read(path)
    try:
        return pd.DataFrame({column: path.read_text(encoding="utf-8").splitlines()})
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"task: {path} cannot be read: {error}") from None


def _digests(paths: Sequence[Path], knobs: dict[str, Any]) -> Any:
    return partial(_identity, knobs, lambda: [file_digest(path) for path in paths])


def _identity(knobs: dict[str, Any], content: Any, splits: Sequence[str]) -> Any:
    return {"version": VERSION, **knobs, "content": content(), "splits": sorted(splits)}
