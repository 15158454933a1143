"""A study's cells: runs before they are composed, each with its place in a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kdlab.errors import BadInput
from sweeps.study import overrides
from sweeps.study.outline import BlockOutline, Cell, Line, Outline, SeedPair
from sweeps.study.schema import Block, Study

Refused = Mapping[tuple[str, ...], str]  # overrides that make no run, and why


@dataclass(frozen=True)
class Winner:
    """The trial that won a group.

    Attributes:
        overrides: the trial's.
        scores: every trial's score, by its overrides as one text.
        runs: a digest of the uids of the runs that were compared.
    """

    overrides: tuple[str, ...]
    scores: Mapping[str, float]
    runs: str


@dataclass(frozen=True)
class Round:
    """Lines, and the seeds that each of them is run with."""

    lines: Sequence[Line]
    pairs: Sequence[SeedPair]


@dataclass(frozen=True)
class CountedTrials:
    """An arm's trials, and how many of them are not left out."""

    case: str
    lines: Sequence[Line]
    count: int


def expand(
    outline: Outline,
    winners: Mapping[str, Winner] | None = None,
    refused: Refused | None = None,
) -> Iterator[Cell]:
    """Every run of a study, those that are left out marked with the reason, seed by seed.

    Trials come first. A tuned arm is confirmed once its group has a winner.

    Args:
        outline: of the study.
        winners: by group, as `sweeps.study.tuning` chooses them.
        refused: the overrides of cells that make no run.

    Raises:
        BadInput: unequal numbers of trials without a reason, or a winner that is no trial.
    """
    refused = refused or {}
    tuning, final, _ = _stages(outline, winners or {}, refused)
    yield from _by_seed(tuning, refused)
    yield from _by_seed(final, refused)


def count_open(
    outline: Outline,
    winners: Mapping[str, Winner] | None = None,
    refused: Refused | None = None,
) -> int:
    """How many confirming cells (arms times seeds) wait for their winners."""
    return _stages(outline, winners or {}, refused or {})[2]


def _by_seed(stage: Sequence[Round], refused: Refused) -> Iterator[Cell]:
    """The cells of a stage: the first seed of every line before the second of any.

    A sweep that is stopped early then has whole tables of few seeds.
    """
    for number in range(max((len(round_.pairs) for round_ in stage), default=0)):
        for round_ in stage:
            if number < len(round_.pairs):
                yield from (_cell(line, round_.pairs[number], refused) for line in round_.lines)


def _cell(line: Line, pair: SeedPair, refused: Refused) -> Cell:
    """The cell of a line at a seed and a teacher's seed."""
    seed, teacher_seed = pair
    of_teacher = [] if teacher_seed is None else [f"teacher.seed={teacher_seed}"]
    seeds = [*of_teacher, f"seed={seed}"]
    key_values = {overrides.key_value(text) for text in seeds}
    texts = (*line.cell.overrides, *seeds, *line.tail)
    by_rule = next((name for name, open_seeds in line.rules if open_seeds <= key_values), "")
    return replace(
        line.cell,
        seed=seed,
        teacher_seed=teacher_seed,
        overrides=texts,
        excluded=by_rule or refused.get(texts, ""),
    )


def _stages(
    outline: Outline, winners: Mapping[str, Winner], refused: Refused
) -> tuple[list[Round], list[Round], int]:
    """The trials, what comes after them, and how many cells wait for a winner."""
    tuning, final, waiting = [], [], 0
    for of_block in outline.blocks:
        if of_block.tuning_seeds:
            tried = _counted(outline.study, of_block, refused)
            tuning.append(
                Round([line for arm in tried for line in arm.lines], of_block.tuning_seeds)
            )
            lines = _confirmed(outline.study, tried, winners)
            # Counted by arms, as a winner may be that of several (`tune.per`).
            waiting += (sum(1 for arm in tried if arm.count) - len(lines)) * len(of_block.seeds)
        else:
            lines = [line for (line,) in of_block.arms]
        final.append(Round(lines, of_block.seeds))
    return tuning, final, waiting


def _counted(study: Study, of_block: BlockOutline, refused: Refused) -> list[CountedTrials]:
    """Every arm with its trials: as many as any other arm, or else for a written reason."""
    counted = []
    for lines in of_block.arms:
        cells = [[_cell(line, pair, refused) for pair in of_block.tuning_seeds] for line in lines]
        # A trial counts if it is run with any seed: a skip rule may leave out some of them.
        count = sum(1 for seeds in cells if not all(cell.excluded for cell in seeds))
        counted.append(CountedTrials(lines[0].cell.case, lines, count))
    unequal = _unequal(study, of_block.block, counted)
    return [
        replace(arm, lines=[_in_cell(x, trials=arm.count, unequal=unequal) for x in arm.lines])
        for arm in counted
    ]


def _unequal(study: Study, block: Block, tried: Sequence[CountedTrials]) -> str:
    """The written reason for unequal numbers of trials, "" where they are equal.

    An arm that is tuned more than its control would win by its tuning.
    """
    by_case: dict[str, set[int]] = {}
    for arm in tried:
        if arm.count:  # an arm that is left out altogether is not compared
            by_case.setdefault(arm.case, set()).add(arm.count)
    if len(set().union(*by_case.values())) < 2:
        return ""
    if block.tune and block.tune.unequal:
        return block.tune.unequal
    counts = (f"{case} {' or '.join(map(str, sorted(n)))}" for case, n in by_case.items())
    raise BadInput(
        f"{study.name}: {block.table}: tune: unequal numbers of trials ({', '.join(counts)}): "
        "equal them with tune.trials, or give the reason as tune.unequal"
    )


def _confirmed(
    study: Study, tried: Sequence[CountedTrials], winners: Mapping[str, Winner]
) -> list[Line]:
    """The winning trial of every arm whose group has a winner."""
    confirmed = []
    for arm in tried:
        group = arm.lines[0].cell.group
        winner = winners.get(group) if arm.count else None
        if winner:
            line = next((x for x in arm.lines if x.cell.tuned == winner.overrides), None)
            if line is None:  # the study's file was changed after the winner was frozen
                raise BadInput(
                    f"{study.name}: {group}: the winner {' '.join(winner.overrides)!r} is no trial "
                    "of the study any more"
                )
            confirmed.append(_in_cell(line, stage="confirm"))
    return confirmed


def _in_cell(line: Line, **changed: Any) -> Line:
    return replace(line, cell=replace(line.cell, **changed))
