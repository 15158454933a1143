"""One file as a table: CSV, TSV, JSON lines or Parquet, or a split that `save_to_disk` left."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pyarrow
from pyarrow import parquet

from kdlab.errors import BadInput

STATE = "state.json"  # what makes a folder one split of `save_to_disk`


def read(path: Path) -> pd.DataFrame:
    """The table of a file, or of a folder that is one split of `save_to_disk` (datasets).

    Every value of CSV and TSV is a string, so that the digits of numbers, and words such as NA,
    stay what they are. A column that is a ClassLabel becomes an ordered category.

    Raises:
        BadInput: the file cannot be read as what its name says.
    """
    reader = _saved if path.is_dir() else READERS[path.suffix]
    try:
        return reader(path)
    except BadInput:  # is a ValueError too
        raise
    except (OSError, ValueError, pyarrow.ArrowException, csv.Error) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(f"task: {path} cannot be read: {why}") from None


def parts(path: Path) -> list[Path]:
    """The files whose content a table is: itself, or those of a saved split."""
    if not path.is_dir():
        return [path]
    try:
        state = json.loads((path / STATE).read_text())
        return [path / part["filename"] for part in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise BadInput(f"task: {path / STATE} is not what save_to_disk writes") from None


def ordered(table: pd.DataFrame, features: Mapping[str, object]) -> pd.DataFrame:
    """A table whose ClassLabel columns are ordered categories; -1 is no label."""
    for name, feature in features.items():
        words = getattr(feature, "names", None)
        if words and name in table:
            numbers = table[name].fillna(-1).astype(int)
            table[name] = pd.Categorical.from_codes(numbers, categories=words, ordered=True)
    return table


def _csv(path: Path) -> pd.DataFrame:
    return _separated(path, ",", has_quotes=True)


def _tsv(path: Path) -> pd.DataFrame:
    """A TSV file; quotes count as CSV's only if the whole file is well quoted.

    In GLUE's files a quote is part of the text. Read as CSV, these then have rows of unequal
    lengths, or an error.
    """
    with open(path, encoding="utf-8-sig", newline="") as file:
        try:
            lengths = {len(row) for row in csv.reader(file, delimiter="\t", strict=True) if row}
        except csv.Error:
            lengths = set()
    return _separated(path, "\t", has_quotes=len(lengths) == 1)


def _separated(path: Path, separator: str, *, has_quotes: bool) -> pd.DataFrame:
    return pd.read_csv(
        path,
        sep=separator,
        quoting=csv.QUOTE_MINIMAL if has_quotes else csv.QUOTE_NONE,
        dtype=str,
        keep_default_na=False,
        encoding="utf-8-sig",
    )


def _json(path: Path) -> pd.DataFrame:
    text = path.read_text(encoding="utf-8-sig").lstrip()
    rows = (
        json.loads(text)
        if text.startswith("[")
        else [json.loads(line) for line in text.split("\n") if line.strip()]
    )
    if not all(isinstance(row, dict) for row in rows):
        raise BadInput(f"task: {path} cannot be read: a row is an object, {{column: value}}")
    names = dict.fromkeys(name for row in rows for name in row)
    # As it is written: 1 does not become 1.0 because another row has none.
    columns = {name: [row.get(name) for row in rows] for name in names}
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})


def _parquet(path: Path) -> pd.DataFrame:
    table = pd.read_parquet(path)
    if b"huggingface" not in (parquet.read_schema(path).metadata or {}):
        return table
    import datasets

    return ordered(table, datasets.Features.from_arrow_schema(parquet.read_schema(path)))


def _saved(path: Path) -> pd.DataFrame:
    import datasets

    saved = datasets.load_from_disk(str(path))
    return ordered(pd.DataFrame(saved.to_pandas()), saved.features)


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _json,
    ".json": _json,
}
