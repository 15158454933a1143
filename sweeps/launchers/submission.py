"""One submission as a launcher gets it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Submission:
    """Tasks that are submitted together, as one job array.

    Attributes:
        intent: the submission's unique name, by which its job is found in the queue.
        title: what people see in the queue.
        shards: one file a task, with the runs that it trains.
        after: submissions that must end first, however they end: intent to job id.
        exclude: hosts to stay away from.
        level_tasks: how many tasks, of this submission and others, share the launcher's `parallel`.
        root: where records go.
        code: the folder of the copied code.
        folder: where tasks print.
    """

    intent: str
    title: str
    shards: Sequence[Path]
    after: Mapping[str, str]
    exclude: Sequence[str]
    level_tasks: int
    root: Path
    code: Path
    folder: Path


def environment(code: Path) -> dict[str, str]:
    """The variables that a task's environment must have: its code, and no network.

    No compiled copy is kept beside the code, since nobody could check it against the code's hash.
    """
    # Hugging Face's libraries ask their server even for what is in the cache: from a node without a
    # network that takes minutes, and thousands of tasks at a time are turned away.
    offline = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
    switches = (*offline, "PYTHONDONTWRITEBYTECODE")
    return {"PYTHONPATH": str(code), **dict.fromkeys(switches, "1")}
