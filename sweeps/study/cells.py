"""A study file expands to cells: runs before they are composed, each with its place in a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kdlab.errors import BadInput
from sweeps.study import arms, checks, overrides
from sweeps.study.schema import Block, Study, Tune
from sweeps.study.trials import trials

SEEDS = ("seed", "teacher.seed")
Pair = tuple[int, int | None]  # a seed and a teacher's seed
Rule = tuple[str, frozenset[overrides.Said]]
Barred = Mapping[tuple[str, ...], str]  # overrides that make no run, and why


@dataclass(frozen=True)
class Winner:
    """The trial that won, every trial's score, and a digest of the runs that were compared."""

    overrides: tuple[str, ...]
    scores: Mapping[str, float]
    runs: str


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of a study before it is composed: its overrides and its place in a table.

    Attributes:
        case: what the row is called without the grid's part.
        teacher_seed: None where all seeds share one teacher.
        stage: "tune" for a trial, "confirm" for a winner, "" where nothing is tuned.
        tuned: the overrides of the trial or winner.
        trials: how many trials the arm had.
        group: what a winner is chosen for; the group's trials are compared by `rule`.
        unequal: the written reason if the block's arms have unequal numbers of trials.
        excluded: the skip rule that leaves the cell out, or why its options do not go together.
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
    """A cell whose seeds are still open, with the overrides that follow them.

    `rules` are the skip rules that the cell meets but for seeds: what they ask of those.
    """

    cell: Cell
    tail: tuple[str, ...]
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Rounds:
    """Lines, and the seeds that each of them is run with."""

    lines: Sequence[Line]
    pairs: Sequence[Pair]


@dataclass(frozen=True)
class Tried:
    """An arm's trials, and how many of them are not left out."""

    case: str
    lines: Sequence[Line]
    ran: int


def expand(
    study: Study,
    extra: tuple[str, ...] = (),
    winners: Mapping[str, Winner] | None = None,
    barred: Barred | None = None,
) -> Iterator[Cell]:
    """Every run of a study, those that are left out marked with the reason, seed by seed.

    Trials come first. A tuned arm is confirmed once its group has a winner.

    Args:
        study: as `load` gives it.
        extra: overrides added to every run; to arms without knowledge only those that apply.
        winners: by group, as `sweeps.study.tuning` chooses them.
        barred: the overrides of cells that composing them has refused.

    Raises:
        BadInput: unequal numbers of trials without a reason, or a winner that is no trial.
    """
    barred = barred or {}
    tuning, final, _ = _stages(study, extra, winners or {}, barred)
    yield from _by_seed(tuning, barred)
    yield from _by_seed(final, barred)


def count_open(
    study: Study,
    extra: tuple[str, ...] = (),
    winners: Mapping[str, Winner] | None = None,
    barred: Barred | None = None,
) -> int:
    """How many confirming cells (arms times seeds) wait for their winners."""
    return _stages(study, extra, winners or {}, barred or {})[2]


def _by_seed(stage: Sequence[Rounds], barred: Barred) -> Iterator[Cell]:
    """The first seed of every cell before the second of any."""
    for number in range(max((len(rounds.pairs) for rounds in stage), default=0)):
        for rounds in stage:
            if number < len(rounds.pairs):
                yield from (_cell(line, rounds.pairs[number], barred) for line in rounds.lines)


def _cell(line: Line, pair: Pair, barred: Barred) -> Cell:
    seeds = _seed_overrides(pair)
    said = {overrides.said(text) for text in seeds}
    texts = (*line.cell.overrides, *seeds, *line.tail)
    by_rule = next((name for name, asked in line.rules if asked <= said), "")
    return replace(
        line.cell,
        seed=pair[0],
        teacher_seed=pair[1],
        overrides=texts,
        excluded=by_rule or barred.get(texts, ""),
    )


def _seed_overrides(pair: Pair) -> tuple[str, ...]:
    seed, teacher_seed = pair
    teacher = () if teacher_seed is None else (f"teacher.seed={teacher_seed}",)
    return (*teacher, f"seed={seed}")


def _stages(
    study: Study, extra: tuple[str, ...], winners: Mapping[str, Winner], barred: Barred
) -> tuple[list[Rounds], list[Rounds], int]:
    """The trials, what comes after them, and how many cells wait for a winner."""
    checks.check_extra(study, extra)
    tuning, final, waiting = [], [], 0
    for block, name in zip(study.blocks, _names(study), strict=True):
        if block.tune and block.confirm:
            tried = _tried(study, block, block.tune, name, extra, barred)
            pairs = _tuning_pairs(study, block, block.tune)
            tuning.append(Rounds([line for entry in tried for line in entry.lines], pairs))
            lines = _confirmed(study, tried, winners)
            pairs = _pairs(study, block, block.confirm.seeds)
            waiting += (sum(1 for entry in tried if entry.ran) - len(lines)) * len(pairs)
        else:
            lines = [_line(study, block, arm, extra) for arm in arms.arms(study, block)]
            pairs = _pairs(study, block, block.seeds or study.seeds or [])
        final.append(Rounds(lines, pairs))
    return tuning, final, waiting


def _tried(
    study: Study, block: Block, tune: Tune, name: str, extra: tuple[str, ...], barred: Barred
) -> list[Tried]:
    """Every arm with its trials: as many as any other arm, or else for a written reason."""
    pairs = _tuning_pairs(study, block, tune)
    found = []
    for arm in arms.arms(study, block):
        group = _group(name, block, tune, arm)
        lines = [
            _line(study, block, arm, extra, tuned=trial, stage="tune", group=group, rule=tune.rule)
            for trial in trials(tune, arm.case)
        ]
        cells = [[_cell(line, pair, barred) for pair in pairs] for line in lines]
        ran = sum(1 for seeds in cells if not all(cell.excluded for cell in seeds))
        found.append(Tried(arm.case, lines, ran))
    unequal = _unequal(study, block, tune, found)
    return [
        replace(
            entry, lines=[_in_cell(line, trials=entry.ran, unequal=unequal) for line in entry.lines]
        )
        for entry in found
    ]


def _unequal(study: Study, block: Block, tune: Tune, tried: Sequence[Tried]) -> str:
    """The reason for unequal numbers of trials, "" where they are equal."""
    by_case: dict[str, set[int]] = {}
    for entry in tried:
        if entry.ran:  # an arm that is left out altogether is not compared
            by_case.setdefault(entry.case, set()).add(entry.ran)
    if len(set().union(*by_case.values())) < 2:
        return ""
    if tune.unequal:
        return tune.unequal
    counts = (f"{case} {' or '.join(map(str, sorted(n)))}" for case, n in by_case.items())
    raise BadInput(
        f"{study.name}: {block.table}: tune: unequal numbers of trials ({', '.join(counts)}): "
        "equal them with tune.trials, or give the reason as tune.unequal"
    )


def _confirmed(study: Study, tried: Sequence[Tried], winners: Mapping[str, Winner]) -> list[Line]:
    """The winning trial of every arm whose group has a winner."""
    found = []
    for entry in tried:
        winner = winners.get(entry.lines[0].cell.group) if entry.ran else None
        if winner:
            line = next((x for x in entry.lines if x.cell.tuned == winner.overrides), None)
            if line is None:
                raise BadInput(
                    f"{study.name}: {entry.lines[0].cell.group}: the winner "
                    f"{' '.join(winner.overrides)!r} is no trial of the study any more"
                )
            found.append(_in_cell(line, stage="confirm"))
    return found


def _line(study: Study, block: Block, arm: arms.Arm, extra: tuple[str, ...], **tuning: Any) -> Line:
    tail = extra if arm.has_knowledge else overrides.without_knowledge(extra)
    cell = Cell(
        table=block.table,
        case=arm.case,
        row=arm.row,
        control=arm.control,
        seed=-1,
        teacher_seed=None,
        overrides=(*arm.overrides, *tuning.get("tuned", ())),
        excluded="",
        **tuning,
    )
    return Line(cell, tail, _rules(study, (*cell.overrides, *tail)))


def _in_cell(line: Line, **changed: Any) -> Line:
    return replace(line, cell=replace(line.cell, **changed))


def _rules(study: Study, texts: Sequence[str]) -> tuple[Rule, ...]:
    """The skip rules that overrides meet but for their seeds, and what is left of them."""
    if not study.skip:
        return ()
    said = {overrides.said(text) for text in texts}
    asked = ((rule.name, {*map(overrides.said, rule.when)} - said) for rule in study.skip)
    return tuple((name, frozenset(x)) for name, x in asked if all(key in SEEDS for key, _ in x))


def _group(name: str, block: Block, tune: Tune, arm: arms.Arm) -> str:
    """What a winner is chosen for; an arm without knowledge has no values of knowledge's keys."""
    per = ["case", *checks.swept(block)] if tune.per is None else tune.per
    parts = {"case": f"case={arm.case}", **arm.values}
    return ": ".join(x for x in (name, ", ".join(parts[key] for key in per if key in parts)) if x)


def _names(study: Study) -> list[str]:
    """What each block's groups of trials are called: its table, numbered if several feed it."""
    tables = [block.table for block in study.blocks]
    return [
        table if tables.count(table) == 1 else f"{table} (block {tables[: n + 1].count(table)})"
        for n, table in enumerate(tables)
    ]


def _pairs(study: Study, block: Block, seeds: Sequence[int]) -> list[Pair]:
    """Seeds and teachers' seeds; of crossed ones all seeds with the first teacher come first."""
    how = checks.teachers(study, block)
    if how == "crossed":
        return [(s, t) for t in block.teacher_seeds or study.teacher_seeds or [] for s in seeds]
    return [(seed, seed if how == "paired" else None) for seed in seeds]


def _tuning_pairs(study: Study, block: Block, tune: Tune) -> list[Pair]:
    """Trials are not crossed: each has the teacher of its own seed, or the one there is."""
    is_one = checks.teachers(study, block) == "one"
    return [(seed, None if is_one else seed) for seed in tune.seeds]
