"""Which differences a study's tables could mark as significant, before its runs are done.

`analysis` marks a difference to the control by a paired t-test over seeds, corrected for the number
of tests in its family (Holm 1979: the smallest p-value must be below 0.05 over that number). With
few seeds and many rows no difference, however large, can pass: better to know that before.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from kdlab import power
from kdlab.run import Run
from kdlab.storage import ledger
from sweeps.plan.row import Planned
from sweeps.study.schema import Study

MOST_ARMS = 40  # of a table whose records are read for the spread
PERCENT = 100.0
ArmKey = tuple[str, str, str]  # table, row, task
SeedPair = tuple[int, int | None]  # a seed and a teacher's seed


@dataclass(frozen=True)
class TableArm:
    """A row of a table on one task.

    Attributes:
        control: the row that it is compared with.
        seeds: how many are planned.
        runs: by seed and teacher's seed.
    """

    control: str
    seeds: int
    runs: Mapping[SeedPair, Run]


@dataclass(frozen=True)
class TableMarks:
    """What the tests of one table can mark at its seeds.

    Attributes:
        differences: how many are tested, in so many `families`; `tests` in the largest of them.
        seeds: that are planned.
        can_mark: whether any difference, however large, could be marked.
        first_t: what |t| has to be above in the first step of Holm's correction; None of one seed.
        deviations: the difference that is found with 80 % power there, in standard deviations over
            seeds of a difference; None if nothing can be marked.
        points: the same in points; None where no record tells the spread.
        seeds_needed: the fewest seeds at which something could be marked.
    """

    table: str
    differences: int
    families: int
    tests: int
    seeds: int
    can_mark: bool
    first_t: float | None
    deviations: float | None
    points: float | None
    seeds_needed: int


def of_tables(
    study: Study, planned: Sequence[Planned], root: str, done: Mapping[str, ledger.Entry]
) -> list[TableMarks]:
    """For each table its families of tests, and the difference that its tests can find.

    That is the difference found with 80 % power in the first, strictest step of Holm's correction:
    in standard deviations over seeds of a difference to the control, and in points where records
    of the table tell the spread. Families are those of `analysis`. The variance between examples
    is left out, so that a table finds less than this rather than more.

    Args:
        study: the study.
        planned: its cells.
        root: where records are.
        done: their index.
    """
    arms = _arms(study, planned)
    tables = dict.fromkeys(table for table, _, _ in arms)
    marks = (_of_table(table, arms, root, done) for table in tables)
    return [of_table for of_table in marks if of_table]


def _arms(study: Study, planned: Sequence[Planned]) -> dict[ArmKey, TableArm]:
    """The arms of all tables; one that is still being tuned has the seeds that will confirm it."""
    confirmed = {block.table: len(block.confirm.seeds) for block in study.blocks if block.confirm}
    runs: defaultdict[ArmKey, dict[SeedPair, Run]] = defaultdict(dict)
    controls: dict[ArmKey, str] = {}
    for entry in planned:
        if entry.run:
            cell = entry.cell
            key = (cell.table, cell.row, entry.run.choices["task"])
            controls[key] = cell.control
            if cell.stage == "tune":
                # A trial stands in for the winner: it has the same splits and metrics.
                runs[key].setdefault((-1, None), entry.run)
            else:
                runs[key][cell.seed, cell.teacher_seed] = entry.run
    arms = {}
    for key, control in controls.items():
        untuned = {pair: run for pair, run in runs[key].items() if pair[0] >= 0}
        count = len({seed for seed, _ in untuned}) or confirmed.get(key[0], 0)
        arms[key] = TableArm(control, count, untuned or runs[key])
    return arms


def text(marks: TableMarks) -> str:
    """What one table could mark, in a line."""
    count, several = marks.seeds, marks.differences > 1
    split = f" in {marks.families} families of up to {marks.tests}" * (marks.families > 1)
    start = f"marks of {marks.table}: {marks.differences} difference{'s' * several}{split}"
    if not marks.can_mark:
        step = f": the first would need |t| > {marks.first_t:.0f}" if marks.first_t else ""
        needed = f"{step}; {marks.seeds_needed} seeds would do"
        return f"{start}: none can be marked with {count} seed{'s' * (count != 1)}{needed}"
    points = f" ({marks.points:.1f} points by the records so far)" if marks.points else ""
    return (
        f"{start}: with {count} seeds the first needs |t| > {marks.first_t:.1f} and "
        f"finds, with 80 % power, {marks.deviations:.1f} standard deviations of a difference over "
        f"seeds{points}"
    )


def _of_table(
    table: str, arms: Mapping[ArmKey, TableArm], root: str, done: Mapping[str, ledger.Entry]
) -> TableMarks | None:
    """What one table could mark; None if it compares nothing."""
    compared = {
        key: arm
        for key, arm in arms.items()
        if key[0] == table and key[1] != arm.control and (table, arm.control, key[2]) in arms
    }
    paths: list[power.Path] = []  # of a test: what its family is made by
    seeds: list[int] = []
    # Rows that are the same runs are one test.
    distinct = {(tuple(r.uid for r in a.runs.values()), a.control): a for a in compared.values()}
    for arm in distinct.values():
        for column in _columns(next(iter(arm.runs.values()))):
            paths.append((table, column, arm.control))
            seeds.append(arm.seeds)
    if not paths:
        return None
    families = power.families(paths, seeds)
    # The largest family is the strictest: what its tests can find, those of the others can too.
    ((largest, tests),) = Counter(families).most_common(1)
    count = seeds[families.index(largest)]
    can_mark = power.is_able(tests, count)
    # `detectable` is in standard errors of the mean difference.
    deviations = power.detectable(tests, count - 1) / count**0.5 if can_mark else None
    spread = _spread(_deviations(compared, arms, root, done)) if can_mark else 0.0
    return TableMarks(
        table=table,
        differences=len(paths),
        families=len({*families}),
        tests=tests,
        seeds=count,
        can_mark=can_mark,
        first_t=float(power.first_step(tests, count - 1)) if count > 1 else None,
        deviations=deviations,
        points=deviations * spread if deviations and spread else None,
        seeds_needed=next(n for n in range(power.SEEDS_NEEDED, 100) if power.is_able(tests, n)),
    )


def _columns(run: Run) -> list[str]:
    """The columns of a table that a run has scores for."""
    task = run.choices["task"]
    return [f"{task} {split} {metric}" for split in run.task.report for metric in run.task.metrics]


def _spread(deviations: Iterator[float]) -> float:
    """The root mean square of the first `MOST_ARMS` of deviations; 0 if there are none."""
    # Averaging squares, as a standard deviation of few seeds is too small on average.
    squares = [deviation**2 for deviation in islice(deviations, MOST_ARMS)]
    return float(np.sqrt(np.mean(squares))) if squares else 0.0


def _deviations(
    compared: Mapping[ArmKey, TableArm],
    arms: Mapping[ArmKey, TableArm],
    root: str,
    done: Mapping[str, ledger.Entry],
) -> Iterator[float]:
    """By arm and column the deviation over seeds of recorded differences, in points."""
    finished = {uid for uid, entry in done.items() if entry.status == "done"}
    for (table, _, task), arm in compared.items():
        control = arms[table, arm.control, task].runs
        # Of equal seeds, as the t-test pairs them: what a seed does to both falls out.
        pairs = [(run, control[seeds]) for seeds, run in arm.runs.items() if seeds in control]
        pairs = [pair for pair in pairs if all(run.uid in finished for run in pair)]
        if len(pairs) < 2:
            continue
        for split in pairs[0][0].task.report:
            scored = [
                [ledger.read(root, done[run.uid]).result["scores"][split] for run in pair]
                for pair in pairs
            ]
            for metric in scored[0][0]:
                gaps = [PERCENT * (own[metric] - of_control[metric]) for own, of_control in scored]
                yield float(np.std(gaps, ddof=1))
