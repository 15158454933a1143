"""Runs that can share one pass over the data and one teacher."""

from collections.abc import Collection, Iterable

from kdlab.config.identity import batch_key, teacher_key
from kdlab.run import Run


def group(runs: Iterable[Run], largest: int, apart: Collection[str] = ()) -> list[list[Run]]:
    """Cohorts of at most `largest` runs, in the order in which their first runs come.

    Runs without a teacher join a cohort over the same batches, whatever its teacher.

    Args:
        runs: in order of priority.
        largest: how many may train side by side.
        apart: uids that must not have company; they come first.
    """
    single: list[list[Run]] = []
    cohorts: dict[tuple[str, str | None], list[Run]] = {}
    controls: dict[str, list[Run]] = {}
    homes: dict[str, tuple[str, str | None]] = {}
    for run in runs:
        batches, teacher = batch_key(run), teacher_key(run)
        if run.uid in apart:
            single.append([run])
        elif teacher:
            homes.setdefault(batches, (batches, teacher))
            cohorts.setdefault((batches, teacher), []).append(run)
        else:
            controls.setdefault(batches, []).append(run)
    for batches, those in controls.items():
        cohorts.setdefault(homes.get(batches, (batches, None)), [])[:0] = those
    return single + [
        cohort[start : start + largest]
        for cohort in cohorts.values()
        for start in range(0, len(cohort), largest)
    ]
