"""A study file expands to an outline: the arms of its blocks with their trials, without seeds.

A study is expanded once. Its cells follow from the outline (`sweeps.study.cells`) by seeds, by the
winners that are known, and by what composing the cells refused; these change while a study is
planned, and the outline does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sweeps.study import arms, key_owners, overrides
from sweeps.study.schema import Block, Study, Tune
from sweeps.study.trials import trials

SEED_KEYS = ("seed", "teacher.seed")
SeedPair = tuple[int, int | None]  # a seed and a teacher's seed
# The name of a skip rule, and which seeds it asks for beside what the cell's overrides meet.
OpenRule = tuple[str, frozenset[overrides.KeyValue]]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of a study before it is composed: its overrides and its place in a table.

    Attributes:
        table: the table that it feeds.
        case: what the row is called without the grid's part.
        row: the row's label.
        control: the row that it is compared with.
        seed: the student's.
        teacher_seed: None where all seeds share one teacher.
        overrides: of the run.
        excluded: the skip rule that leaves the cell out, or why its options do not go together.
        stage: "tune" for a trial, "confirm" for a winner, "" where nothing is tuned.
        tuned: the overrides of the trial or winner.
        trials: how many trials the arm had.
        group: what a winner is chosen for; the group's trials are compared by `rule`.
        rule: a key of `sweeps.study.tuning.RULES`.
        unequal: the written reason if the block's arms have unequal numbers of trials.
    """

    table: str
    case: str
    row: str
    control: str
    seed: int
    teacher_seed: int | None
    overrides: tuple[str, ...]
    excluded: str
    stage: str = ""
    tuned: tuple[str, ...] = ()
    trials: int = 0
    group: str = ""
    rule: str = ""
    unequal: str = ""

    @property
    def trial(self) -> str:
        """The tuned overrides as one text."""
        return " ".join(self.tuned)


@dataclass(frozen=True)
class Line:
    """A cell whose seeds are still open.

    Attributes:
        cell: with overrides that precede those of the seeds.
        tail: the overrides that follow those of the seeds: the command line's, which count last.
        rules: the skip rules that the cell meets but for its seeds.
    """

    cell: Cell
    tail: tuple[str, ...]
    rules: tuple[OpenRule, ...]


@dataclass(frozen=True)
class BlockOutline:
    """A block's arms, and the seeds that they are run with.

    Attributes:
        block: of the study.
        arms: for each arm its lines: its trials, or one line where nothing is tuned.
        tuning_seeds: of the trials; none where nothing is tuned.
        seeds: of the arms, or of the winners where something is tuned.
    """

    block: Block
    arms: Sequence[Sequence[Line]]
    tuning_seeds: Sequence[SeedPair]
    seeds: Sequence[SeedPair]


@dataclass(frozen=True)
class Outline:
    """A study expanded but for seeds and winners."""

    study: Study
    blocks: Sequence[BlockOutline]


def outline(study: Study, extra: tuple[str, ...] = ()) -> Outline:
    """Expand a study but for seeds and winners.

    Args:
        study: as `sweeps.study.reading.load` gives it.
        extra: overrides added to every run; to arms without knowledge only those that apply.

    Raises:
        BadInput: an override would make a row say what is not so.
    """
    key_owners.check_extra(study, extra)
    return Outline(study, [_block_outline(study, block, extra) for block in study.blocks])


def _block_outline(study: Study, block: Block, extra: tuple[str, ...]) -> BlockOutline:
    in_rows = arms.arms(study, block)
    if not (block.tune and block.confirm):
        lines = [[_line(study, block, arm, extra)] for arm in in_rows]
        pairs = _pairs(study, block, block.seeds or study.seeds or [])
        return BlockOutline(block, lines, [], pairs)
    tune, lines = block.tune, []
    for arm in in_rows:
        tuning = {"stage": "tune", "group": _group(study, block, tune, arm), "rule": tune.rule}
        tried = trials(tune, arm.case)
        lines.append([_line(study, block, arm, extra, tuned=trial, **tuning) for trial in tried])
    confirming = _pairs(study, block, block.confirm.seeds)
    return BlockOutline(block, lines, _pairs(study, block, tune.seeds, of_trials=True), confirming)


def _line(study: Study, block: Block, arm: arms.Arm, extra: tuple[str, ...], **tuning: Any) -> Line:
    """A line of an arm; `tuning` has the fields of a trial's cell."""
    tail = extra if arm.has_knowledge else overrides.without_knowledge(extra)
    cell = Cell(
        table=block.table,
        case=arm.case,
        row=arm.row,
        control=arm.control,
        seed=-1,  # no seed yet: `sweeps.study.cells` puts one in for each cell
        teacher_seed=None,
        overrides=(*arm.overrides, *tuning.get("tuned", ())),
        excluded="",
        **tuning,
    )
    return Line(cell, tail, _rules(study, (*cell.overrides, *tail)))


def _rules(study: Study, texts: Sequence[str]) -> tuple[OpenRule, ...]:
    """The skip rules that overrides meet but for their seeds, each with the seeds it asks for."""
    # Which rules a line meets is found once, and only seeds are compared for each of its cells: a
    # large study has 100,000 cells and a few hundred lines.
    key_values = {overrides.key_value(text) for text in texts}
    rules = []
    for rule in study.skip:
        missing = frozenset(map(overrides.key_value, rule.when)) - key_values
        if all(key in SEED_KEYS for key, _ in missing):
            rules.append((rule.name, missing))
    return tuple(rules)


def _group(study: Study, block: Block, tune: Tune, arm: arms.Arm) -> str:
    """The name of an arm's group of trials: what a winner is chosen for.

    It begins with the table, numbered if several blocks feed it. By default each row and column has
    a winner of its own. An arm without knowledge has no values of knowledge's keys, so that these
    are no part of its group's name.
    """
    per = ["case", *block.swept] if tune.per is None else tune.per
    parts = {"case": f"case={arm.case}", **arm.values}
    of_table = [other for other in study.blocks if other.table == block.table]
    number = next(n for n, other in enumerate(of_table, start=1) if other is block)
    name = block.table if len(of_table) == 1 else f"{block.table} (block {number})"
    winner_of = ", ".join(parts[key] for key in per if key in parts)
    return f"{name}: {winner_of}" if winner_of else name


def _pairs(
    study: Study, block: Block, seeds: Sequence[int], of_trials: bool = False
) -> list[SeedPair]:
    """Seeds and teachers' seeds; of crossed ones all seeds with the first teacher come first.

    Trials are not crossed: each has the teacher of its own seed, or the one there is.
    """
    how = study.teachers_of(block)
    if how == "crossed" and not of_trials:
        return [(s, t) for t in block.teacher_seeds or study.teacher_seeds or [] for s in seeds]
    return [(seed, None if how == "one" else seed) for seed in seeds]
