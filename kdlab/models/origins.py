"""Where a model's weights come from: a run that was trained here, or a checkpoint as it is."""

from pathlib import Path

from kdlab.encoders.architecture import Architecture
from kdlab.models import checkpoints
from kdlab.models.saved_files import checked
from kdlab.run import Origin, Run


def architecture(origin: Origin) -> Architecture:
    """The dimensions of a model."""
    return origin.student if isinstance(origin, Run) else checkpoints.architecture(origin.name)


def teacher_architecture(run: Run) -> Architecture | None:
    """The dimensions of a run's teacher, of cross-fitted ones those of all; None without one."""
    return architecture(run.teachers[0]) if run.teachers else None


def identity(origin: Origin) -> str:
    """What a model is known by: a run's uid, or a checkpoint's files or commit."""
    return origin.uid if isinstance(origin, Run) else checkpoints.identity(origin.name)


def folder(origin: Origin, root: str) -> Path:
    """The folder of a model's files.

    Args:
        origin: the model.
        root: where runs keep their models.

    Raises:
        Damaged: the files of a run's model are not what was saved.
    """
    if isinstance(origin, Run):
        return checked(root, origin.uid)
    return checkpoints.locate(origin.name)
