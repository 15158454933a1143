"""Runs that can share one pass over the data and one teacher."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from kdlab.config.identity import batch_key, teacher_key
from kdlab.run import Run


def group(
    runs: Iterable[Run],
    largest: int,
    apart: Collection[str] = (),
    fits: Callable[[Sequence[Run]], bool] | None = None,
) -> list[list[Run]]:
    """Group runs over the same batches and with the same teacher into cohorts.

    Such runs share reading and tokenising, and each batch passes the teacher once for all of them.
    Runs without a teacher join a cohort over the same batches, whatever its teacher.

    Args:
        runs: in order of priority.
        largest: how many may train side by side.
        apart: uids that must be alone; they come first.
        fits: whether a cohort fits its device's memory, as `sweeps.plan.memory.limit` says it; it
            raises BadInput where not even one run does. None: every cohort fits.

    Returns:
        Cohorts of at most `largest` runs, in the order in which their first runs come.
    """
    single: list[list[Run]] = []
    cohorts: dict[tuple[str, str | None], list[Run]] = {}
    controls: dict[str, list[Run]] = {}
    # Runs without a teacher fit any cohort over their batches: they join the first with a teacher.
    first_cohort: dict[str, tuple[str, str | None]] = {}
    for run in runs:
        batches, teacher = batch_key(run), teacher_key(run)
        if run.uid in apart:
            single.append([run])
        elif teacher:
            first_cohort.setdefault(batches, (batches, teacher))
            cohorts.setdefault((batches, teacher), []).append(run)
        else:
            controls.setdefault(batches, []).append(run)
    # Controls go before the others: they are what these are compared with.
    for batches, without_teacher in controls.items():
        cohorts.setdefault(first_cohort.get(batches, (batches, None)), [])[:0] = without_teacher
    every = [*single, *cohorts.values()]
    return [part for cohort in every for part in _divided(cohort, largest, fits)]


def _divided(
    runs: Sequence[Run], largest: int, fits: Callable[[Sequence[Run]], bool] | None
) -> Iterator[list[Run]]:
    """Runs in order, in cohorts of as many as may be and fit."""
    while runs:
        size = min(largest, len(runs))
        while fits and not fits(runs[:size]) and size > 1:
            size -= 1
        yield list(runs[:size])
        runs = runs[size:]
