"""Which runs must be done before which: parents first."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache

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

    @cache  # thousands of children ask about one teacher
    def depth(uid: str) -> int:
        inside = (parent.uid for parent in parents(by_uid[uid]) if parent.uid in by_uid)
        return max((1 + depth(parent) for parent in inside), default=0)

    # In the plan's order within a level, since what comes first there is done first.
    of_parents: defaultdict[int, list[Run]] = defaultdict(list)
    for run in by_uid.values():
        if run.uid in needed:
            of_parents[depth(run.uid)].append(run)
    leaves = [run for run in runs if run.uid not in needed]
    return [level for _, level in sorted(of_parents.items())] + ([leaves] if leaves else [])
