"""What pre-trained teachers have seen of a task before: their scores on it are contaminated."""

from functools import cache
from pathlib import Path

import pandas as pd


@cache
def _known() -> pd.DataFrame:
    return pd.read_csv(Path(__file__).with_name("teachers.csv"))


def notes(students: pd.DataFrame) -> list[str]:
    """A note for each task of some runs of which their pre-trained weights have seen something.

    Args:
        students: with the columns `teacher`, the option, and `task`. Also a student without
            knowledge may start from its teacher's weights.
    """
    used = students[["teacher", "task"]].drop_duplicates()
    return [
        f"{row.task}: the weights of teacher={row.teacher} have seen {row.seen} ({row.source})"
        for row in _known().merge(used).itertuples()
    ]
