"""One submission as a launcher gets it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Array:
    """Tasks that are submitted together.

    Attributes:
        intent: the submission's own name, by which it is found again.
        name: what people see in the queue.
        shards: one file a task.
        after: submissions that must end before, whatever their end: intent to job id.
        exclude: hosts to stay away from.
        level: how many tasks, of this and other submissions, share the launcher's `parallel`.
        root, code, folder: where records go, the copied code, and where tasks print.
    """

    intent: str
    name: str
    shards: Sequence[Path]
    after: Mapping[str, str]
    exclude: Sequence[str]
    level: int
    root: Path
    code: Path
    folder: Path


def environment(code: Path) -> dict[str, str]:
    """What a worker's environment says: this code, and nothing from the network.

    Beside the code no compiled copy is kept, which nobody could hold against the code's hash.
    """
    offline = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
    switches = (*offline, "PYTHONDONTWRITEBYTECODE")
    return {"PYTHONPATH": str(code), **dict.fromkeys(switches, "1")}
