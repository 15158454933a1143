"""Records to tables: frame, statistics, table, and the formats that papers need."""

from typing import TYPE_CHECKING

from kdlab.storage.roots import default_root

if TYPE_CHECKING:
    import pandas as pd


def load(study: str, root: str | None = None, *, code: str | None = None) -> "pd.DataFrame":
    """A study as one tidy frame, a row each planned run: `analysis.read.frame.runs`.

    Args:
        study: its name, as it was launched.
        root: where its runs are; `default_root()` unless given.
        code: the commit that its records should be of; unless given, the one that most are of.

    Raises:
        BadInput: if the study was never launched under this root, or two records contradict.
    """
    from analysis.read.frame import runs

    return runs(study, root or default_root(), code=code)
