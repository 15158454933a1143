"""Runs as plain JSON and back.

A worker reads its runs from such a file, not from conf/, which may have changed since they were
planned. Each run and each ancestor is written once, and names its parents by their uids.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from kdlab.config.identity import digest, effective
from kdlab.run import Run, parents
from kdlab.run import teachers as teachers_of


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Run)


def freeze(runs: Iterable[Run]) -> dict[str, Any]:
    """Runs and all their ancestors as data for JSON, by uid."""
    frozen: dict[str, Any] = {}
    for run in runs:
        frozen |= freeze(parents(run))
        alone = replace(run, teacher=None, other_teachers=(), init=replace(run.init, run=None))
        frozen[run.uid] = {
            **_adapter().dump_python(alone, mode="json"),
            "teachers": [teacher.uid for teacher in teachers_of(run)],
            "before": run.init.run.uid if run.init.run else None,
        }
    return frozen


def parent_uids(frozen_run: Mapping[str, Any]) -> list[str]:
    """The uids of a frozen run's parents, each once."""
    before = [frozen_run["before"]] if frozen_run["before"] else []
    return list(dict.fromkeys([*frozen_run["teachers"], *before]))


def thaw(frozen: Mapping[str, Any], uid: str) -> Run:
    """The run of a uid, with its ancestors.

    Raises:
        ValueError: if the run would now be another one, because its data or a checkpoint changed.
    """
    fields = dict(frozen[uid])
    teachers = [thaw(frozen, teacher) for teacher in fields.pop("teachers")]
    before = fields.pop("before")
    alone: Run = _adapter().validate_python(fields)
    run = replace(
        alone,
        teacher=teachers[0] if teachers else None,
        other_teachers=tuple(teachers[1:]),
        init=replace(alone.init, run=thaw(frozen, before) if before else None),
    )
    if digest(effective(run)) != uid:
        raise ValueError(
            f"run {uid}: its data or a checkpoint is not what it was when the run was planned"
        )
    return run
