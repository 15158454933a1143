"""What a task's source gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Source:
    """`read` gives one split as a table; `identity` names the content of splits, as plain data.

    A table may have a column `idx`, the official number of a row; else rows are numbered.
    """

    read: Callable[[str], pd.DataFrame]
    identity: Callable[[Sequence[str]], Any]
