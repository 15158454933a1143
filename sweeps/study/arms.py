"""The rows of a block, and for each the arm without knowledge that it is compared with.

What knowledge does shows only in the difference to the same training without it. A study's author
names the rows with knowledge; the arms without are added here, one for each distinct remainder.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, product

from kdlab.config.overrides import key as key_of
from kdlab.errors import BadInput
from sweeps.study import overrides
from sweeps.study.schema import Block, Study

Shared = frozenset[overrides.KeyValue]  # of overrides, what does not concern knowledge
NONE = "none"


@dataclass(frozen=True)
class Arm:
    """A row of a block, before it is given tuned settings and seeds.

    Attributes:
        case: what the row is called without the grid's part.
        row: its label.
        values: those of the grid and the zip, as overrides by key.
        overrides: all of the row's.
        shared: what the arm shares with the arm without knowledge.
        has_knowledge: whether it distils.
        control: the row that it is compared with.
    """

    case: str
    row: str
    values: Mapping[str, str]
    overrides: tuple[str, ...]
    shared: Shared
    has_knowledge: bool
    control: str = ""


def arms(study: Study, block: Block) -> list[Arm]:
    """Every arm of a block, those without knowledge added where no case is one.

    An added arm has the overrides of the first case that needs it, less what concerns knowledge.
    It is called `none` where all cases need the same one, else `none, CASE` after that first one.
    Example: of the cases `a: [knowledge=logits_kl]` and `b: [knowledge=hidden_mse, train.lr=1e-4]`
    the first is compared with `none, a` and the second with `none, b`, which has its learning rate.

    Raises:
        BadInput: if a case with knowledge has the name of an added arm.
    """
    points = [[_arm(study, block, case, point) for case in block.cases] for point in _points(block)]
    in_order = [*chain(*points)]
    named = {arm.row for arm in in_order}
    # Reversed, so that of several arms without knowledge the first is the control.
    controls = {arm.shared: arm.row for arm in reversed(in_order) if not arm.has_knowledge}
    by_row: dict[tuple[str, Shared], Arm] = {}
    for point in points:
        control = next((arm.row for arm in point if arm.case == block.control), None)
        for arm in point:
            if block.controls and arm.shared not in controls:
                added = _without_knowledge(arm, alone=len({o.shared for o in point}) == 1)
                if added.row in named:
                    raise BadInput(
                        f"{study.name}: {block.table}: cases: {added.row!r} is the name of the arm "
                        "without knowledge that is added"
                    )
                controls[arm.shared] = added.row
                by_row[added.row, added.shared] = replace(added, control=control or added.row)
            # An arm without knowledge has no values of a sweep over knowledge: at each of its
            # points it is the same arm again.
            compared = replace(arm, control=control or controls[arm.shared])
            by_row.setdefault((arm.row, arm.shared), compared)
    return list(by_row.values())


def _points(block: Block) -> Iterator[dict[str, str]]:
    """Every combination of grid and zip: overrides by key."""
    crossed = [overrides.of_values(key, values) for key, values in block.grid.items()]
    columns = [overrides.of_values(key, values) for key, values in block.zip.items()]
    # Nothing is zipped in most blocks, and a product with no rows would have no points at all: one
    # empty row stands for it.
    zipped = list(zip(*columns, strict=True)) or [()]
    for of_grid, of_zip in product(product(*crossed), zipped):
        yield dict(zip(block.swept, (*of_grid, *of_zip), strict=True))


def _arm(study: Study, block: Block, case: str, point: Mapping[str, str]) -> Arm:
    """The arm of a case at a combination of the grid's and zip's values."""
    teacher = block.teacher if block.teacher is not None else study.teacher
    shared = [*study.base, *block.base]
    if teacher is not None:
        shared.append(overrides.of_teacher(teacher))
    of_case = block.cases[case]
    has_knowledge = not overrides.has_no_knowledge([*shared, *point.values(), *of_case])
    # A grid over temperatures makes no sense for an arm that has none: without these values its
    # points are equal, and become one row.
    if not has_knowledge:
        point = {
            key: text
            for key, text in point.items()
            if key == "knowledge" or not overrides.concerns_knowledge(text)
        }
    texts = (*shared, *point.values(), *of_case)
    texts = (*texts, *_settings(study, block, case, texts))
    shared_part = overrides.shared_with_control(texts)
    return Arm(case, _row(case, point.values()), point, texts, shared_part, has_knowledge)


def _settings(study: Study, block: Block, case: str, texts: Iterable[str]) -> list[str]:
    """The settings of a case for the task that overrides name; none for a case without settings.

    Raises:
        BadInput: the case has settings, and none for the task.
    """
    if case not in block.settings:
        return []
    by_task = block.settings[case]
    task = dict(map(overrides.key_value, texts)).get("task", "")  # of several the last counts
    if task not in by_task:
        raise BadInput(
            f"{study.name}: {block.table}: settings: {case} has none for task={task}; "
            f"there: {', '.join(by_task)}"
        )
    return by_task[task]


def _without_knowledge(arm: Arm, alone: bool) -> Arm:
    """The arm without knowledge that an arm is compared with; `alone` if all cases share it."""
    case = NONE if alone else f"{NONE}, {arm.case}"
    point = {k: text for k, text in arm.values.items() if not overrides.concerns_knowledge(text)}
    remainder = overrides.without_knowledge(arm.overrides)
    # A recipe may have weighed the task's loss against knowledge that is gone.
    weight = ["hard.weight=1"] if any(key_of(text) == "recipe" for text in remainder) else []
    texts = (*remainder, f"knowledge={NONE}", *weight)
    return Arm(case, _row(case, point.values()), point, texts, arm.shared, has_knowledge=False)


def _row(case: str, swept: Iterable[str]) -> str:
    """A row's label; the task is the table's column, not part of it."""
    return ", ".join([case, *(text for text in swept if key_of(text) != "task")])
