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
    local = Path(path).expanduser()
    if local.exists():
        paths = _files(local)
        return Source(partial(_read, partial(_local, paths, knobs), knobs), _digests(paths, knobs))
    hub = table.source(path=path, revision=revision, subset=subset, folder=None)
    pinned = partial(_identity, knobs, lambda: hub.identity(["train"]))
    return Source(partial(_read, lambda: hub.read("train"), knobs), pinned)


def hold_out(train: Rows, reports: list[Rows], share: float, most: int) -> tuple[Rows, Rows]:
    """Split train into fit and select, which is whole stretches of neighbouring rows.

    Neighbouring rows are about the same matter: single rows between those of fit would be no test.

    Args:
        train: rows in the order of the corpus.
        reports: the reported splits.
        share: of the rows that are held out.
        most: rows that are held out, at most.

    Returns:
        fit, without the rows that equal one of select or report, and select.
    """
    held = _stretches(train.ids, min(int(share * len(train)), most))
    select = train.take(np.flatnonzero(held))
    return without(train.take(np.flatnonzero(~held)), [select, *reports]), select


def _stretches(ids: np.ndarray, most: int) -> np.ndarray:
    """True [n] at rows of whole stretches, drawn in one fixed order, `most` rows at most."""
    groups, inverse, sizes = np.unique(ids // STRETCH, return_inverse=True, return_counts=True)
    ordered = order(groups)
    chosen = ordered[np.cumsum(sizes[ordered]) <= most]
    return np.isin(inverse, chosen)


def _read(texts: Any, knobs: dict[str, Any], split: str) -> pd.DataFrame:
    """A split of the packed corpus; `texts` is a function that gives its table of texts."""
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
    """Rows of `words` words each, of the texts of each document one after the other."""
    for name in (column, *([document] if document else [])):
        if name not in texts:
            columns = ", ".join(map(str, texts.columns))
            raise BadInput(f"task: the corpus has no column {name!r}; there: {columns}")
    documents = texts.groupby(document, sort=False) if document else [("", texts)]
    for _, rows in documents:
        in_order = rows[column].dropna()
        if wrong := [text for text in in_order if not isinstance(text, str)]:
            raise BadInput(f"task.column={column}: {wrong[0]!r:.40} is no text")
        every_word = " ".join(in_order).split()
        for start in range(0, len(every_word), words):
            yield " ".join(every_word[start : start + words])


def _files(path: Path) -> list[Path]:
    """The files of a corpus: one, or those of a folder in order of name."""
    files_there = sorted(path.iterdir()) if path.is_dir() else [path]
    if not (texts := [file for file in files_there if file.suffix in KINDS]):
        raise BadInput(f"task.path={path}: no {' or '.join(KINDS)} file")
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
