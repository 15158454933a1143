"""Which test splits a task has, and which recorded runs lack their outputs. Loads no torch.

Test outputs are no part of a run or of its result. They are kept beside its other outputs, in
float32, so that no near tie is decided by rounding. Rows of test splits are kept without labels,
whatever the data says: nothing is ever decided by a test split.
"""

from collections.abc import Iterable

from kdlab.data.source import Source
from kdlab.data.splits import Rows
from kdlab.data.splits import rows as rows_of
from kdlab.errors import BadInput
from kdlab.options.schema import Task
from kdlab.record import DONE
from kdlab.run import Run
from kdlab.storage import example_outputs, ledger


def splits(task: Task) -> dict[str, str]:
    """The task's test splits, by the name under which their outputs are kept.

    Raises:
        BadInput: if it has none.
    """
    named = dict(task.predict) or ({"test": task.test} if task.test else {})
    if task.is_language_model or not named:
        raise BadInput(f"predict_test=true: task {task.name} names no test split (task.test)")
    return named


def rows(task: Task, source: Source) -> dict[str, Rows]:
    """The rows of every test split, without labels.

    Raises:
        BadInput: if the data lacks a split or a column.
    """
    unlabelled = {}
    for name, split in splits(task).items():
        try:
            table = source.read(split)
        except BadInput as error:
            hint = f"; ~task.predict.{name} leaves it out" if len(task.predict) > 1 else ""
            raise BadInput(f"predict_test=true: {error}{hint}") from None
        unlabelled[name] = rows_of(table, task, split)
    return unlabelled


def lacking(runs: Iterable[Run], root: str) -> set[str]:
    """The uids of the runs that are recorded, and done, without outputs on all test splits."""
    recorded = ledger.entries(root)
    return {
        run.uid
        for run in runs
        if run.uid in recorded
        and recorded[run.uid][0].status == DONE
        and not splits(run.task).keys() <= set(_kept(root, recorded[run.uid]))
    }


def _kept(root: str, entries: list[ledger.Entry]) -> list[str]:
    """The splits whose outputs are there, of that record of a run which has most of them."""
    return example_outputs.kept(root, ledger.best(root, entries))
