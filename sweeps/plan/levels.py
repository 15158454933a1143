"""Which runs must be done before which: parents first."""

from collections.abc import Iterable, Sequence
from graphlib import TopologicalSorter

from kdlab.run import Run, parents


def with_ancestors(runs: Iterable[Run]) -> dict[str, Run]:
    """Runs and all that they build on, by uid, each parent before its children."""
    family: dict[str, Run] = {}
    for run in runs:
        if run.uid not in family:
            family |= with_ancestors(parents(run))
            family[run.uid] = run
    return family


def levels(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs by depth: those of a level have their parents in earlier levels, or outside of `runs`.

    Runs that no other needs are all in the last level: one without a parent may share its
    batches, and so its cohort, with others that have one.
    """
    by_uid = {run.uid: run for run in runs}
    needed = {parent.uid for run in runs for parent in parents(run)}
    sorter = TopologicalSorter(
        {
            uid: [parent.uid for parent in parents(run) if parent.uid in by_uid]
            for uid, run in by_uid.items()
            if uid in needed
        }
    )
    sorter.prepare()
    # The sorter gives runs that are ready in any order; a level has them in the plan's, since what
    # comes first there is done first.
    order = {uid: number for number, uid in enumerate(by_uid)}
    of_parents = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=order.__getitem__)
        of_parents.append([by_uid[uid] for uid in ready])
        sorter.done(*ready)
    leaves = [run for run in runs if run.uid not in needed]
    return [*of_parents, leaves] if leaves else of_parents
