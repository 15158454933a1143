"""Runs as plain JSON and back.

A worker reads its runs from such a file, not from conf/, which may have changed since they were
planned. Each run and each ancestor is written once, and names its parents by their uids.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from kdlab.config.identity import digest, effective
from kdlab.options.parsing import adapter
from kdlab.run import Checkpoint, Origin, Run, parents


def freeze(runs: Iterable[Run]) -> dict[str, Any]:
    """Runs and all their ancestors as data for JSON, by uid."""
    frozen: dict[str, Any] = {}
    for run in runs:
        frozen |= freeze(parents(run))
        alone = replace(run, teachers=(), init=replace(run.init, origin=None))
        frozen[run.uid] = {
            **adapter(Run).dump_python(alone, mode="json"),
            "teachers": [_named(teacher) for teacher in run.teachers],
            "origin": _named(run.init.origin) if run.init.origin else None,
        }
    return frozen


def parent_uids(frozen_run: Mapping[str, Any]) -> list[str]:
    """The uids of a frozen run's parents, each once."""
    origins = [*frozen_run["teachers"], frozen_run["origin"] or {}]
    return list(dict.fromkeys(origin["run"] for origin in origins if "run" in origin))


def thaw(frozen: Mapping[str, Any], uid: str) -> Run:
    """The run of a uid, with its ancestors.

    Raises:
        ValueError: if the run would now be another one, because its data or a checkpoint changed.
    """
    fields = dict(frozen[uid])
    teachers = tuple(_origin(frozen, teacher) for teacher in fields.pop("teachers"))
    parent = fields.pop("origin")
    alone: Run = adapter(Run).validate_python({**fields, "teachers": ()})
    init = replace(alone.init, origin=_origin(frozen, parent) if parent else None)
    run = replace(alone, teachers=teachers, init=init)
    if digest(effective(run)) != uid:
        raise ValueError(
            f"run {uid}: its data or a checkpoint is not what it was when the run was planned"
        )
    return run


def _named(origin: Origin) -> dict[str, str]:
    """A parent by its uid, so that it is written once for all its children; or a checkpoint."""
    return {"run": origin.uid} if isinstance(origin, Run) else {"checkpoint": origin.name}


def _origin(frozen: Mapping[str, Any], parent: Mapping[str, str]) -> Origin:
    return thaw(frozen, parent["run"]) if "run" in parent else Checkpoint(parent["checkpoint"])
