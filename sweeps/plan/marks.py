"""What a study's tables could mark at their seeds, before its runs are done."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from kdlab import power, record
from kdlab.power import Path
from kdlab.record import Entry
from kdlab.run import Run
from sweeps.plan.plan import Planned
from sweeps.study.schema import Study

MOST = 40  # pairs of arms of a table whose records are read
PERCENT = 100.0
Place = tuple[str, str, str]  # table, row, task


@dataclass(frozen=True)
class Arm:
    """A row of a table on one task: its control, its planned seeds and its runs by seeds."""

    control: str
    seeds: int
    runs: Mapping[tuple[int, int | None], Run]


def lines(
    study: Study, planned: Sequence[Planned], root: str, done: Mapping[str, Entry]
) -> list[str]:
    """For each table its families, and the difference that a family's first step finds.

    In standard deviations over seeds of a difference to the control, and in points as records of
    the table have it by now, with 80 % power. Families are those of `analysis`; what comes from
    examples is left out, so that a table finds less than this rather than more.
    """
    arms = _arms(study, planned)
    tables = dict.fromkeys(table for table, _, _ in arms)
    return [line for table in tables for line in _line(table, arms, root, done)]


def _arms(study: Study, planned: Sequence[Planned]) -> dict[Place, Arm]:
    """Arms by place; one that is still being tuned has the seeds that will confirm it."""
    confirmed = {block.table: len(block.confirm.seeds) for block in study.blocks if block.confirm}
    runs: defaultdict[Place, dict[tuple[int, int | None], Run]] = defaultdict(dict)
    controls: dict[Place, str] = {}
    for entry in planned:
        if entry.run:
            cell = entry.cell
            place = (cell.table, cell.row, entry.run.choices["task"])
            seeds = (cell.seed, cell.teacher_seed)
            controls[place] = cell.control
            runs[place] |= {} if cell.stage == "tune" else {seeds: entry.run}
            if cell.stage == "tune":
                runs[place].setdefault((-1, None), entry.run)  # what it reports
    found = {}
    for place, control in controls.items():
        own = {pair: run for pair, run in runs[place].items() if pair[0] >= 0}
        count = len({seed for seed, _ in own}) or confirmed.get(place[0], 0)
        found[place] = Arm(control, count, own or runs[place])
    return found


def _line(
    table: str, arms: Mapping[Place, Arm], root: str, done: Mapping[str, Entry]
) -> Iterator[str]:
    """What one table could mark; nothing if it compares nothing."""
    compared = {
        place: arm
        for place, arm in arms.items()
        if place[0] == table and place[1] != arm.control and (table, arm.control, place[2]) in arms
    }
    paths: list[Path] = []
    seeds: list[int] = []
    # Rows that are the same runs are one test.
    once = {(tuple(r.uid for r in a.runs.values()), a.control): a for a in compared.values()}
    for arm in once.values():
        for column in _columns(next(iter(arm.runs.values()))):
            paths.append((table, column, arm.control))
            seeds.append(arm.seeds)
    if not paths:
        return
    families = power.families(paths, seeds)
    sizes = {family: families.count(family) for family in families}
    largest = max(sizes, key=lambda family: sizes[family])
    n, own = sizes[largest], seeds[families.index(largest)]
    split = f" in {len(sizes)} families of up to {n}" * (len(sizes) > 1)
    said = f"marks of {table}: {len(paths)} difference{'s' * (len(paths) > 1)}{split}"
    if not power.is_able(n, own):
        yield f"{said}: none can be marked with {own} seed{'s' * (own != 1)}{_needed(n, own)}"
        return
    deviations = power.detectable(n, own - 1) / own**0.5
    spread = _spread(compared, arms, root, done)
    points = f" ({deviations * spread:.1f} points by the records so far)" if spread else ""
    yield (
        f"{said}: with {own} seeds the first needs |t| > {power.first_step(n, own - 1):.1f} and "
        f"finds, with 80 % power, {deviations:.1f} standard deviations of a difference over "
        f"seeds{points}"
    )


def _needed(tests: int, seeds: int) -> str:
    enough = next(n for n in range(power.SEEDS_NEEDED, 100) if power.is_able(tests, n))
    step = f": the first would need |t| > {power.first_step(tests, seeds - 1):.0f}" * (seeds > 1)
    return f"{step}; {enough} seeds would do"


def _columns(run: Run) -> list[str]:
    task = run.choices["task"]
    return [f"{task} {split} {metric}" for split in run.task.report for metric in run.task.metrics]


def _spread(
    compared: Mapping[Place, Arm],
    arms: Mapping[Place, Arm],
    root: str,
    done: Mapping[str, Entry],
) -> float:
    """The root mean square over arms of the deviation of differences, in points; 0 if unknown."""
    found = islice(_deviations(compared, arms, root, done), MOST)
    squares = [deviation**2 for deviation in found]
    return float(np.sqrt(np.mean(squares))) if squares else 0.0


def _deviations(
    compared: Mapping[Place, Arm],
    arms: Mapping[Place, Arm],
    root: str,
    done: Mapping[str, Entry],
) -> Iterator[float]:
    """Of each arm and column the standard deviation over seeds of what is recorded of both."""

    def scores(run: Run, split: str) -> dict[str, float]:
        found: dict[str, float] = record.read(root, done[run.uid]).result["scores"][split]
        return found

    for (table, _, task), arm in compared.items():
        control = arms[table, arm.control, task].runs
        pairs = [(run, control[seeds]) for seeds, run in arm.runs.items() if seeds in control]
        pairs = [pair for pair in pairs if all(_is_done(run, done) for run in pair)]
        if len(pairs) < 2:
            continue
        for split in pairs[0][0].task.report:
            both = [(scores(ours, split), scores(theirs, split)) for ours, theirs in pairs]
            for metric in both[0][0]:
                gaps = [PERCENT * (ours[metric] - theirs[metric]) for ours, theirs in both]
                yield float(np.std(gaps, ddof=1))


def _is_done(run: Run, done: Mapping[str, Entry]) -> bool:
    return run.uid in done and done[run.uid].status == "done"
