"""Runs that can share one pass over the data and one teacher."""

from collections.abc import Iterable

from kdlab.run import Run, batch_key, teacher_key


def group(runs: Iterable[Run], largest: int) -> list[list[Run]]:
    """Cohorts of at most `largest` runs, in the order in which their first runs come.

    Runs without a teacher join a cohort over the same batches, whatever its teacher.
    """
    cohorts: dict[tuple[str, str | None], list[Run]] = {}
    alone: dict[str, list[Run]] = {}
    for run in runs:
        if teacher := teacher_key(run):
            cohorts.setdefault((batch_key(run), teacher), []).append(run)
        else:
            alone.setdefault(batch_key(run), []).append(run)
    for batches, controls in alone.items():
        home = next((key for key in cohorts if key[0] == batches), (batches, None))
        cohorts.setdefault(home, [])[:0] = controls
    return [
        cohort[start : start + largest]
        for cohort in cohorts.values()
        for start in range(0, len(cohort), largest)
    ]
