"""A task's keys, checked together while planning."""

from kdlab import metrics
from kdlab.data import labels
from kdlab.errors import BadInput, NotApplicable
from kdlab.options import callables
from kdlab.options.schema import Data, Task

HOLDOUT = ("train", "reports", "share", "most")  # what `task.holdout` is called with


def check_task(task: Task, data: Data) -> None:
    """Refuse metrics that do not fit the labels, and rows that the task does not have.

    Raises:
        BadInput: the task contradicts itself.
        NotApplicable: the data group wants of it what it does not have.
    """
    if (task.classes is None) == (task.masked is None):
        raise BadInput("task: has either classes or masked tokens (task.masked)")
    for key in ("metrics", "select_by"):
        for name in getattr(task, key):
            if name not in metrics.NAMES:
                raise BadInput(f"task.{key}: no metric {name!r}; known: {', '.join(metrics.NAMES)}")
            if not _fits(name, task):
                is_lm = task.is_language_model
                what = "masked tokens" if is_lm else f"task.classes={task.classes}"
                raise BadInput(f"task.{key}: {name} does not fit {what}")
    if missing := set(task.select_by) - set(task.metrics):
        raise BadInput(f"task.select_by: {sorted(missing)} are not in task.metrics")
    labels.check(task)
    callables.check_signature(task.holdout, HOLDOUT, "task.holdout")
    if data.transfer == "unlabelled" and task.is_language_model:
        raise NotApplicable("data.transfer=unlabelled: text has no labels that could be hidden")
    if data.transfer == "unlabelled" and data.extra_split == "test" and not task.test:
        raise NotApplicable(f"data.extra_split=test: task {task.name} names no test split")


def _fits(name: str, task: Task) -> bool:
    """Whether a metric can score a task: F1 has two classes, a correlation has numbers."""
    return metrics.KINDS[name] == task.kind and (name != "f1" or task.classes == 2)
