"""For notebooks: open a study, and show its tables, in one line each."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis import load
from analysis.read.completeness import audit, lines
from analysis.tables.formats import html, markdown
from analysis.tables.model import Table

NOTHING = "Nothing to show on this split yet; of what is still tuned: split='select'."


@dataclass(frozen=True, repr=False)
class Tables:
    """Tables below each other, which a notebook or a terminal displays by itself."""

    tables: tuple[Table, ...]

    def _repr_html_(self) -> str:
        return "\n".join(map(html, self.tables)) or f"<p>{NOTHING}</p>"

    def __repr__(self) -> str:
        return "\n".join(map(markdown, self.tables)) or NOTHING


def opened(study: str, root: str | None = None) -> pd.DataFrame:
    """A study's frame; prints how much of it is done, and what is missing, failed or diverged.

    Raises:
        BadInput: if the study was never launched under this root, in one line that says how; a
            notebook shows nothing else of it.
    """
    runs = load(study, root)
    print("\n".join(lines(audit(runs))))
    return runs


def show(tables: Sequence[Table]) -> Tables:
    """Tables as a cell's last line: of `analysis.tables.papers`, or any others."""
    return Tables(tuple(tables))


def register(formatters: Any) -> None:
    """Let a single table as a cell's last line be HTML, too.

    Args:
        formatters: IPython's, by MIME type.
    """
    formatters["text/html"].for_type(Table, html)


# A table is a plain dataclass, without a method for notebooks: IPython is told from here.
with suppress(ImportError):  # outside of notebooks
    from IPython import get_ipython

    if shell := get_ipython():  # None where IPython is installed and not running
        register(shell.display_formatter.formatters)
