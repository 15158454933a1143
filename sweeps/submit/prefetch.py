"""The checkpoints and data that runs read are fetched before a launch: tasks have no network."""

from collections.abc import Collection, Sequence

from kdlab.data import test_splits
from kdlab.models import checkpoints
from kdlab.run import Checkpoint, Run


def fetch(runs: Sequence[Run], predict: Collection[str]) -> None:
    """Fetch the checkpoints and the data of runs, as far as they are not here.

    Args:
        runs: to be submitted.
        predict: uids of those that predict test splits.

    Raises:
        BadInput: a checkpoint or the data cannot be fetched.
    """
    for name in sorted({name for run in runs for name in _checkpoints(run)}):
        checkpoints.locate(name)
    # Thousands of runs read the same few splits: each split of a source is read once.
    pairs = ((run.source, split) for run in runs for split in _splits(run))
    # The rows are not needed here: reading them fills the cache that tasks read from.
    for source, split in {repr(pair): pair for pair in pairs}.values():
        source.bind()().read(split)
    tested = {repr((run.source, run.task)): run for run in runs if run.uid in predict}
    for run in tested.values():
        test_splits.rows(run.task, run.source.bind()())


def _splits(run: Run) -> list[str]:
    """The splits that training and its scores read; the test split where its rows teach."""
    splits = [run.task.train, *run.task.report.values()]
    if run.task.test and run.data.transfer == "unlabelled" and run.data.extra_split == "test":
        splits.append(run.task.test)
    return splits


def _checkpoints(run: Run) -> set[str]:
    origins = (*run.teachers, run.init.origin)
    models = {origin.name for origin in origins if isinstance(origin, Checkpoint)}
    return models | ({run.tokenizer} if run.tokenizer else set())
