"""Which runs must be there before which."""

from collections.abc import Iterable, Sequence
from graphlib import TopologicalSorter

from kdlab.run import Run, parents


def with_ancestors(runs: Iterable[Run]) -> dict[str, Run]:
    """Runs and all that they build on, by uid, each parent before its children."""
    found: dict[str, Run] = {}
    for run in runs:
        if run.uid not in found:
            found |= with_ancestors(parents(run))
            found[run.uid] = run
    return found


def levels(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs by depth: those of a level have their parents in earlier ones, or outside of `runs`.

    Runs that no other needs are all in the last level: one without a parent may share its
    batches, and so its cohort, with others that have one.
    """
    own = {run.uid: run for run in runs}
    needed = {parent.uid for run in runs for parent in parents(run)}
    sorter = TopologicalSorter(
        {
            uid: [p.uid for p in parents(run) if p.uid in own]
            for uid, run in own.items()
            if uid in needed
        }
    )
    sorter.prepare()
    order = {uid: number for number, uid in enumerate(own)}
    found = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=order.__getitem__)
        found.append([own[uid] for uid in ready])
        sorter.done(*ready)
    leaves = [run for run in runs if run.uid not in needed]
    return [*found, leaves] if leaves else found
