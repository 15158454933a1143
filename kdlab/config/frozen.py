"""Runs as plain JSON and back: what a worker reads in place of `conf/`."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from kdlab.config.identity import digest, effective
from kdlab.run import Run, parents, teachers


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Run)


def freeze(runs: Iterable[Run]) -> dict[str, Any]:
    """Runs and their ancestors as JSON-able data, each once: uid to run, a parent by its uid."""
    frozen: dict[str, Any] = {}
    for run in runs:
        frozen |= freeze(parents(run))
        alone = replace(run, teacher=None, other_teachers=(), init=replace(run.init, run=None))
        frozen[run.uid] = {
            **_adapter().dump_python(alone, mode="json"),
            "teachers": [teacher.uid for teacher in teachers(run)],
            "before": run.init.run.uid if run.init.run else None,
        }
    return frozen


def parent_uids(page: Mapping[str, Any]) -> list[str]:
    """The uids of a frozen run's parents, each once."""
    before = [page["before"]] if page["before"] else []
    return list(dict.fromkeys([*page["teachers"], *before]))


def thaw(frozen: Mapping[str, Any], uid: str) -> Run:
    """The run of a uid, with its ancestors.

    Raises:
        ValueError: if the run would now be another one, because its data or a checkpoint changed.
    """
    page = dict(frozen[uid])
    found = [thaw(frozen, each) for each in page.pop("teachers")]
    before = page.pop("before")
    alone: Run = _adapter().validate_python(page)
    run = replace(
        alone,
        teacher=found[0] if found else None,
        other_teachers=tuple(found[1:]),
        init=replace(alone.init, run=thaw(frozen, before) if before else None),
    )
    if digest(effective(run)) != uid:
        raise ValueError(
            f"run {uid}: its data or a checkpoint is not what it was when the run was planned"
        )
    return run
