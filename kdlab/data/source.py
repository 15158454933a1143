"""A task's source: where its rows come from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Source:
    """Where the rows of a task come from.

    Attributes:
        read: gives a split by name as a table. A column `idx` has the official numbers of its rows;
            without one they are numbered from 0.
        identity: names the content of some splits, as plain data that becomes part of a run's uid.
    """

    read: Callable[[str], pd.DataFrame]
    identity: Callable[[Sequence[str]], Any]
