"""How many cohorts one task of a job array is given.

A task that is too short spends its time in the queue and on loading torch; one that is too long
meets the scheduler's limit.
"""

from collections.abc import Mapping, Sequence

from kdlab.run import Run


def pack(
    cohorts: Sequence[Sequence[Run]], seconds: Mapping[str, float], limit: float
) -> list[list[Sequence[Run]]]:
    """Fill shards with cohorts in order, each until its work lasts about `limit` seconds.

    Args:
        cohorts: in the order in which they should be done.
        seconds: what each run takes, by uid.
        limit: a cohort longer than this has a shard of its own.
    """
    shards: list[list[Sequence[Run]]] = []
    filled = 0.0
    for cohort in cohorts:
        work = sum(seconds[run.uid] for run in cohort)
        # In order, and not the best fit: what has priority is in the first tasks.
        if not shards or filled + work > limit:
            shards.append([])
            filled = 0.0
        shards[-1].append(cohort)
        filled += work
    return shards
