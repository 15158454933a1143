"""A study's cells: runs before they are composed, each with its place in a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from kdlab.errors import BadInput
from sweeps.study import overrides
from sweeps.study.outline import BlockOutline, Cell, Line, Outline, SeedPair
from sweeps.study.schema import Study

Refused = Mapping[tuple[str, ...], str]  # overrides that make no run, and why
Round = tuple[Sequence[Line], Sequence[SeedPair]]  # lines, and the seeds that each is run with


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


def expand(
    outline: Outline, winners: Mapping[str, Winner] | None = None, refused: Refused | None = None
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
    outline: Outline, winners: Mapping[str, Winner] | None = None, refused: Refused | None = None
) -> int:
    """How many confirming cells (arms times seeds) wait for their winners."""
    return _stages(outline, winners or {}, refused or {})[2]


def _by_seed(stage: Sequence[Round], refused: Refused) -> Iterator[Cell]:
    """The cells of a stage: the first seed of every line before the second of any.

    A sweep that is stopped early then has whole tables of few seeds.
    """
    for number in range(max((len(pairs) for _, pairs in stage), default=0)):
        for lines, pairs in stage:
            if number < len(pairs):
                yield from (_cell(line, pairs[number], refused) for line in lines)


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
    tuning: list[Round] = []
    final: list[Round] = []
    waiting = 0
    for of_block in outline.blocks:
        if of_block.tuning_seeds:
            tried = _counted(outline.study, of_block, refused)
            tuning.append(([*chain(*tried)], of_block.tuning_seeds))
            lines = _confirmed(outline.study, tried, winners)
            # Counted by arms, as a winner may be that of several (`tune.per`).
            arms = sum(1 for trials in tried if trials[0].cell.trials)
            waiting += (arms - len(lines)) * len(of_block.seeds)
        else:
            lines = [*chain(*of_block.arms)]  # an arm has one line where nothing is tuned
        final.append((lines, of_block.seeds))
    return tuning, final, waiting


def _counted(study: Study, of_block: BlockOutline, refused: Refused) -> list[list[Line]]:
    """Every arm's trials, whose cells say how many of them are not left out."""
    counts = []
    for lines in of_block.arms:
        cells = [[_cell(line, pair, refused) for pair in of_block.tuning_seeds] for line in lines]
        # A trial counts if it is run with any seed: a skip rule may leave out some of them.
        counts.append(sum(1 for seeds in cells if not all(cell.excluded for cell in seeds)))
    unequal = _unequal(study, of_block, counts)
    return [
        [_in_cell(line, trials=count, unequal=unequal) for line in lines]
        for lines, count in zip(of_block.arms, counts, strict=True)
    ]


def _unequal(study: Study, of_block: BlockOutline, counts: Sequence[int]) -> str:
    """The written reason for unequal numbers of trials, "" where they are equal.

    An arm that is tuned more than its control would win by its tuning.

    Args:
        study: the study.
        of_block: the block.
        counts: how many trials each of its arms has.

    Raises:
        BadInput: they are unequal, and there is no reason.
    """
    block = of_block.block
    by_case: dict[str, set[int]] = {}
    for lines, count in zip(of_block.arms, counts, strict=True):
        if count:  # an arm that is left out altogether is not compared
            by_case.setdefault(lines[0].cell.case, set()).add(count)
    if len(set().union(*by_case.values())) < 2:
        return ""
    if block.tune and block.tune.unequal:
        return block.tune.unequal
    by_text = (f"{case} {' or '.join(map(str, sorted(n)))}" for case, n in by_case.items())
    raise BadInput(
        f"{study.name}: {block.table}: tune: unequal numbers of trials ({', '.join(by_text)}): "
        "equal them with tune.trials, or give the reason as tune.unequal"
    )


def _confirmed(
    study: Study, tried: Sequence[Sequence[Line]], winners: Mapping[str, Winner]
) -> list[Line]:
    """The winning trial of every arm whose group has a winner."""
    confirmed = []
    for trials in tried:
        group = trials[0].cell.group
        winner = winners.get(group) if trials[0].cell.trials else None
        if winner:
            line = next((trial for trial in trials if trial.cell.tuned == winner.overrides), None)
            if line is None:  # the study's file was changed after the winner was frozen
                raise BadInput(
                    f"{study.name}: {group}: the winner {' '.join(winner.overrides)!r} is no trial "
                    "of the study any more"
                )
            confirmed.append(_in_cell(line, stage="confirm"))
    return confirmed


def _in_cell(line: Line, **changed: Any) -> Line:
    return replace(line, cell=replace(line.cell, **changed))
