"""The rows of a block, and for every cell the arm without knowledge that it is compared with."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, product

from kdlab.config.overrides import key as key_of
from kdlab.errors import BadInput
from sweeps.study import overrides
from sweeps.study.schema import Block, Study

Rest = frozenset[overrides.Said]
NONE = "none"


@dataclass(frozen=True)
class Arm:
    """A row of a block, before it is given settings and seeds.

    `values` are the grid's and zip's as overrides by key; `rest` is what the arm shares with the
    arm without knowledge; `control` is the row that it is compared with.
    """

    case: str
    row: str
    values: Mapping[str, str]
    overrides: tuple[str, ...]
    rest: Rest
    has_knowledge: bool
    control: str = ""


def arms(study: Study, block: Block) -> list[Arm]:
    """Every arm of a block, those without knowledge added where no case is one.

    An added arm has the overrides of the first case that needs it, less what concerns knowledge.
    It is called `none` where all cases need the same one, else `none, CASE` after that first one.

    Raises:
        BadInput: if a case with knowledge has the name of an added arm.
    """
    points = [[_arm(study, block, case, point) for case in block.cases] for point in _points(block)]
    given = {arm.row for arm in chain(*points)}
    twins = {arm.rest: arm.row for arm in reversed([*chain(*points)]) if not arm.has_knowledge}
    found: dict[tuple[str, Rest], Arm] = {}
    for point in points:
        control = next((arm.row for arm in point if arm.case == block.control), None)
        for arm in point:
            if block.controls and arm.rest not in twins:
                twin = _twin(arm, alone=len({other.rest for other in point}) == 1)
                if twin.row in given:
                    raise BadInput(
                        f"{study.name}: {block.table}: cases: {twin.row!r} is the name of the arm "
                        "without knowledge that is added"
                    )
                twins[arm.rest] = twin.row
                found[twin.row, twin.rest] = replace(twin, control=control or twin.row)
            # A none arm knows nothing of a sweep over knowledge: its repeats are one arm.
            found.setdefault((arm.row, arm.rest), replace(arm, control=control or twins[arm.rest]))
    return list(found.values())


def _points(block: Block) -> Iterator[dict[str, str]]:
    """Every combination of grid and zip: overrides by key."""
    crossed = [overrides.each(key, values) for key, values in block.grid.items()]
    together = zip(*(overrides.each(key, values) for key, values in block.zip.items()), strict=True)
    keys = [*block.grid, *block.zip]
    for chosen, paired in product(product(*crossed), list(together) or [()]):
        yield dict(zip(keys, (*chosen, *paired), strict=True))


def _arm(study: Study, block: Block, case: str, point: Mapping[str, str]) -> Arm:
    teacher = block.teacher if block.teacher is not None else study.teacher
    shared = (*study.base, *block.base, *([] if teacher is None else [overrides.parent(teacher)]))
    own = block.cases[case]
    has_knowledge = not overrides.has_no_knowledge([*shared, *point.values(), *own])
    if not has_knowledge:
        point = {
            key: text
            for key, text in point.items()
            if key == "knowledge" or not overrides.concerns_knowledge(text)
        }
    texts = (*shared, *point.values(), *own)
    texts = (*texts, *_settings(study, block, case, texts))
    return Arm(case, _row(case, point.values()), point, texts, overrides.rest(texts), has_knowledge)


def _settings(study: Study, block: Block, case: str, texts: Iterable[str]) -> list[str]:
    """What a case's settings say of the task that overrides name; nothing of a case without any.

    Raises:
        BadInput: the case has settings, and none for the task.
    """
    if case not in block.settings:
        return []
    by_task = block.settings[case]
    task = next((value for key, value in map(overrides.said, [*texts][::-1]) if key == "task"), "")
    if task not in by_task:
        raise BadInput(
            f"{study.name}: {block.table}: settings: {case} has none for task={task}; "
            f"there: {', '.join(by_task)}"
        )
    return by_task[task]


def _twin(arm: Arm, alone: bool) -> Arm:
    """The arm without knowledge of an arm with some."""
    case = NONE if alone else f"{NONE}, {arm.case}"
    point = {k: text for k, text in arm.values.items() if not overrides.concerns_knowledge(text)}
    kept = overrides.without_knowledge(arm.overrides)
    # A recipe may have weighed the task's loss against knowledge that is gone.
    weight = ["hard.weight=1"] if any(key_of(text) == "recipe" for text in kept) else []
    texts = (*kept, f"knowledge={NONE}", *weight)
    return Arm(case, _row(case, point.values()), point, texts, arm.rest, has_knowledge=False)


def _row(case: str, swept: Iterable[str]) -> str:
    """The task is the table's column, not part of the row."""
    return ", ".join([case, *(text for text in swept if key_of(text) != "task")])
