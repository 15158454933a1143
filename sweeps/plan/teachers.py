"""What teachers are asked before their students train, as far as a plan can say.

`kdlab.training.teacher_outputs` has a teacher go over the training rows once, for all runs that
learn from what it says of rows. No single run pays for that: it is counted here.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from kdlab.config.identity import teacher_key
from kdlab.models.origins import teacher_architecture
from kdlab.run import Run, Term
from sweeps.plan import estimate

VALUE_BYTES = {"fp32": 4, "bf16": 2}  # by precision


@dataclass(frozen=True)
class Asking:
    """What it takes to ask the teachers of some runs about their training rows.

    Attributes:
        teachers: how many are asked, of each set of rows.
        flops: of their forward passes over all rows, once.
        flops_in_steps: if they were asked in every step of every cohort instead.
        bytes: of what they say.
    """

    teachers: int
    flops: float
    flops_in_steps: float
    bytes: float


def asking(cohorts: Iterable[Sequence[Run]], recorded: Collection[Run]) -> Asking:
    """What cohorts ask their teachers, beyond what recorded runs have asked them."""
    known = {_key(run) for run in recorded if estimate.row_terms(run)}
    new: dict[str, dict[str, float]] = {}  # by lesson the bytes of each view
    flops: dict[str, float] = {}
    in_steps = 0.0
    for cohort in cohorts:
        of_cohort = {_key(run): run for run in cohort if estimate.row_terms(run)}
        for key, run in of_cohort.items():
            once = estimate.teacher_flops(run)
            in_steps += once * estimate.steps_per_row(run)
            if key not in known:
                flops[key] = once
        for run in cohort:
            if (key := _key(run)) in flops:
                new.setdefault(key, {}).update(said(run))
    size = sum(sum(views.values()) for views in new.values())
    return Asking(len(flops), sum(flops.values()), in_steps, size)


def _key(run: Run) -> str:
    """A teacher and the rows that it is asked about."""
    return repr((teacher_key(run), run.task.name, run.data, run.protocol, run.train.precision))


def said(run: Run) -> dict[str, float]:
    """Bytes of what a teacher says of all training rows before a run, by view."""
    terms, teacher = estimate.row_terms(run), teacher_architecture(run)
    if not terms or not teacher:
        return {}
    value = VALUE_BYTES[run.train.precision] * estimate.training_rows(run)
    layers = teacher.layers * teacher.hidden

    def width(term: Term) -> int:
        return layers if term.matching else int(run.task.classes or 1)

    return {term.view: float(value * width(term)) for term in terms}
