"""Cohorts run in this process, one after the other."""

import sys
import traceback
from collections.abc import Sequence

from tqdm import tqdm

from kdlab.run import Run
from kdlab.schema import Place


def run(cohorts: Sequence[Sequence[Run]], place: Place) -> dict[str, str]:
    """Distill every cohort; return the error of each run that failed, by uid.

    A cohort in which something raises is run again one by one, so that a bad run does not take
    its neighbours with it.
    """
    failed: dict[str, str] = {}
    total = sum(len(cohort) for cohort in cohorts)
    with tqdm(total=total, unit="run", desc="study", dynamic_ncols=True) as bar:
        for cohort in cohorts:
            failed |= _attempt(cohort, place)
            bar.update(len(cohort))
    return failed


def _attempt(cohort: Sequence[Run], place: Place) -> dict[str, str]:
    from kdlab.cohort import distill

    try:
        distill(list(cohort), place)
        return {}
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        if len(cohort) == 1:
            return {cohort[0].uid: f"{type(error).__name__}: {error}"}
    # Outside the handler, which would keep the failed cohort's tensors alive.
    parts = [_attempt([single], place) for single in cohort]
    return {uid: message for part in parts for uid, message in part.items()}
