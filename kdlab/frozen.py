"""Runs as plain JSON and back: what a worker reads in place of `conf/`."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from kdlab.run import Run, digest, effective


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Run)


def freeze(runs: Iterable[Run]) -> dict[str, Any]:
    """Runs and their teachers as JSON-able data, each once: uid to run, a teacher by its uid."""
    frozen: dict[str, Any] = {}
    for run in runs:
        teacher = run.teacher.uid if run.teacher else None
        if run.teacher:
            frozen |= freeze([run.teacher])
        frozen[run.uid] = {
            **_adapter().dump_python(replace(run, teacher=None), mode="json"),
            "teacher": teacher,
        }
    return frozen


def thaw(frozen: Mapping[str, Any], uid: str) -> Run:
    """The run of a uid, with its teacher.

    Raises:
        ValueError: if the run would now be another one, because its data or a checkpoint changed.
    """
    page = frozen[uid]
    teacher = thaw(frozen, page["teacher"]) if page["teacher"] else None
    run: Run = replace(_adapter().validate_python(page | {"teacher": None}), teacher=teacher)
    if digest(effective(run)) != uid:
        raise ValueError(
            f"run {uid}: its data or a checkpoint is not what it was when the run was planned"
        )
    return run
