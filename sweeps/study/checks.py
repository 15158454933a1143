"""What can be wrong with a study beyond types: found before anything is composed.

Each `_..._problems` function yields pairs of a key and what is wrong with it; the first one is
raised. Types and unknown keys are refused by `sweeps.study.schema`, keys that two parts of a study
set by `sweeps.study.key_owners`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from kdlab.config.overrides import content, contradiction, is_operational
from kdlab.config.overrides import key as key_of
from kdlab.errors import BadInput
from sweeps.study import arms, key_owners, layouts, overrides, trials
from sweeps.study.schema import Block, Confirm, Overrides, Study, Tune

ADDED_ROWS = ("teacher", "majority")  # that tables have by themselves
SET_ONCE = "is one for all runs of a study: it belongs into the study's base or on the command line"


def check(study: Study) -> None:
    """Refuse a study that contradicts itself.

    Raises:
        BadInput: one line with the study, the table and the key.
    """
    check_trust(study)
    # The first problem alone: later ones may follow from it.
    for key, problem in _problems(study):
        raise BadInput(f"{study.name}: {key}: {problem}")


def check_trust(study: Study) -> None:
    """Refuse a study that says more than what is trained.

    Raises:
        BadInput: one line with the study, the table and the override.
    """
    for where, text in _overrides(study):
        if overrides.is_users_own(text):
            raise BadInput(
                f"{study.name}: {where}: {text}: for the command line to say: a study says what is "
                "trained, not where, and starts nothing else"
            )


def _overrides(study: Study) -> Iterator[tuple[str, str]]:
    """Every override of a study, and every key that it sweeps, after the key that it is under."""
    yield from (("base", text) for text in study.base)
    yield from (("teacher", text) for text in study.teacher or [])
    yield from ((f"skip {rule.name}", text) for rule in study.skip for text in rule.when)
    for block in study.blocks:
        for where, texts in _lists(block):
            yield from ((f"{block.table}: {where}", text) for text in texts)


def _problems(study: Study) -> Iterator[key_owners.Problem]:
    yield from _twice("seeds", study.seeds)
    yield from _twice("teacher_seeds", study.teacher_seeds)
    yield from _list_problems("base", study.base)
    yield from _run_problems("teacher", study.teacher or [])
    for rule in study.skip:
        yield from _list_problems(f"skip {rule.name}: when", rule.when)
    if study.teacher_seeds and all(study.teachers_of(b) != "crossed" for b in study.blocks):
        yield "teacher_seeds", "only teachers: crossed has them"
    tables = {block.table for block in study.blocks}
    yield from _layout_problems(study)
    for block in study.blocks:
        yield from _label_problems("table", block.table)
        for key, problem in _block_problems(study, block):
            yield f"{block.table}: {key}", problem
        # `analysis` shows a tuned table's trials under this name.
        if block.tune and f"{block.table}_tune" in tables:
            yield f"{block.table}_tune: table", f"is the name of {block.table}'s trials"


def _block_problems(study: Study, block: Block) -> Iterator[key_owners.Problem]:
    if not block.controls and not block.control:
        yield "controls", "false needs a control to compare with"
    yield from _twice("seeds", block.seeds)
    yield from _twice("teacher_seeds", block.teacher_seeds)
    if block.control is not None and block.control not in block.cases:
        yield "control", f"{block.control!r} is no case; cases: {', '.join(block.cases)}"
    yield from _case_problems(block)
    yield from _teacher_problems(study, block)
    if len({len(values) for values in block.zip.values()}) > 1:
        lengths = ", ".join(f"{key} {len(values)}" for key, values in block.zip.items())
        yield "zip", f"unequal numbers of values: {lengths}"
    yield from _values_problems("grid", block.grid)
    yield from _stage_problems(study, block)
    yield from key_owners.problems(study, block)
    for where, texts in _lists(block):
        yield from _run_problems(where, texts)
    if block.tune:
        yield from _trials_problems(study, block, block.tune)


def _case_problems(block: Block) -> Iterator[key_owners.Problem]:
    """Labels that tables use themselves, equal cases, and settings of no case."""
    for case in block.cases:
        if case in ADDED_ROWS or case.startswith(f"{ADDED_ROWS[0]}, "):
            rows = ", ".join(ADDED_ROWS)
            yield f"cases.{case}", f"is what tables call a row of their own: {rows}"
        yield from _label_problems("cases", case)
    # Equal rows would be the same runs, and read like two results that agree.
    first_cases: dict[object, str] = {}
    for case, texts in block.cases.items():
        meaning = (content(texts), repr(block.settings.get(case)))
        if (first := first_cases.setdefault(meaning, case)) != case:
            yield "cases", f"{first!r} and {case!r} say the same: a row needs overrides of its own"
    for case in block.settings.keys() - block.cases.keys():
        yield f"settings.{case}", f"no such case; cases: {', '.join(block.cases)}"


def _lists(block: Block) -> Iterator[tuple[str, Overrides]]:
    """A block's lists of overrides, and the keys that its runs differ in as such."""
    yield "base", block.base
    yield "teacher", block.teacher or []
    yield from ((f"cases.{case}", texts) for case, texts in block.cases.items())
    for case, by_task in block.settings.items():
        yield from ((f"settings.{case}.{task}", texts) for task, texts in by_task.items())
    swept = {"grid": block.grid, "zip": block.zip}
    if block.tune:
        swept["tune.over"] = block.tune.over
        swept |= {f"tune.also.{case}": keys for case, keys in block.tune.also.items()}
    yield from ((where, [*keys]) for where, keys in swept.items())


def _label_problems(key: str, label: str) -> Iterator[key_owners.Problem]:
    """What a label must not have, since it is printed and is part of a cell's name."""
    if not label.strip() or not label.isprintable() or label != label.strip():
        yield key, f"{label!r}: a label is one line of text without blanks around it"
    if "/" in label:
        yield key, f"{label!r}: no / in a label: it parts a cell's name, STUDY/TABLE/ROW/COLUMN"


def _run_problems(where: str, texts: Overrides) -> Iterator[key_owners.Problem]:
    """What is wrong with overrides that only some of a study's runs have."""
    yield from _list_problems(where, texts)
    yield from ((f"{where}: {text}", SET_ONCE) for text in texts if is_operational(text))


def _list_problems(where: str, texts: Overrides) -> Iterator[key_owners.Problem]:
    """What is wrong with a list of overrides by itself."""
    if both := contradiction(texts):
        yield where, both
    yield from ((where, f"{text!r} is no override") for text in texts if not key_of(text))


def _teacher_problems(study: Study, block: Block) -> Iterator[key_owners.Problem]:
    is_crossed = study.teachers_of(block) == "crossed"
    if block.teacher_seeds and not is_crossed:
        yield "teacher_seeds", "only teachers: crossed has them"
    if is_crossed and not (block.teacher_seeds or study.teacher_seeds):
        yield "teacher_seeds", "missing: teachers: crossed needs them"


def _layout_problems(study: Study) -> Iterator[key_owners.Problem]:
    """A layout that is not there or wrong, or two of one table, which one arranges as a whole."""
    of_table: dict[str, str] = {}
    for block in study.blocks:
        if block.layout and block.layout not in layouts.names():
            yield f"{block.table}: layout", f"{block.layout}: allowed: {', '.join(layouts.names())}"
        elif block.layout:
            try:  # before runs are made for a table that cannot be
                layouts.read(block.layout)
            except BadInput as error:
                yield block.table, str(error)
        if block.layout and of_table.setdefault(block.table, block.layout) != block.layout:
            both = f"{of_table[block.table]} and {block.layout}"
            yield f"{block.table}: layout", f"{both}: a table has one, whichever block names it"


def _trials_problems(study: Study, block: Block, tune: Tune) -> Iterator[key_owners.Problem]:
    """More trials than an arm has combinations."""
    cases = [arm.case for arm in arms.arms(study, block)]
    combinations = {case: trials.combinations(tune, case) for case in cases}
    # With a reason the arm with fewest may have fewer than the others.
    most = max(combinations.values()) if tune.unequal else min(combinations.values())
    if tune.trials and tune.trials > most:
        case = next(case for case, count in combinations.items() if count == most)
        yield "tune.trials", f"{tune.trials}: {case!r} has {most} combinations: at most {most}"


def _stage_problems(study: Study, block: Block) -> Iterator[key_owners.Problem]:
    """Seeds that are missing or said twice: a tuned block has them in `tune` and `confirm`."""
    if block.tune is None:
        if block.confirm:
            yield "confirm", "needs tune; without it the seeds are `seeds`"
        if not (block.seeds or study.seeds):
            yield "seeds", "missing, and the study has none"
    elif block.confirm is None:
        yield "confirm", "missing: a tuned block needs confirm.seeds"
    elif block.seeds:
        yield "seeds", "a tuned block has tune.seeds and confirm.seeds instead"
    else:
        yield from _tune_problems(block, block.tune, block.confirm)


def _tune_problems(block: Block, tune: Tune, confirm: Confirm) -> Iterator[key_owners.Problem]:
    """What is wrong with a block's trials and with what their winners are chosen for."""
    yield from _twice("tune.seeds", tune.seeds)
    yield from _twice("confirm.seeds", confirm.seeds)
    # The best of many trials is partly the luckiest: its own seeds would show that luck again.
    if both := sorted(set(tune.seeds) & set(confirm.seeds)):
        yield "confirm.seeds", f"{both} are tuning seeds too; winners need seeds of their own"
    yield from _values_problems("tune.over", tune.over)
    # All arms are tuned over the same values, those without knowledge too.
    for key, values in tune.over.items():
        if any(map(overrides.concerns_knowledge, overrides.of_values(key, values))):
            yield f"tune.over.{key}", "no key of arms without knowledge: put it under tune.also"
    for case, keys in tune.also.items():
        if case not in block.cases:
            yield f"tune.also.{case}", f"no such case; cases: {', '.join(block.cases)}"
        yield from _values_problems(f"tune.also.{case}", keys)
    allowed = ["case", *block.swept]
    for key in tune.per or []:
        if key not in allowed:
            yield "tune.per", f"{key!r} is none of {', '.join(allowed)}"
    if tune.also and tune.per is not None and "case" not in tune.per:
        yield "tune.per", "needs `case`, since tune.also gives cases keys of their own"


def _values_problems(where: str, keys: Mapping[str, list[Any]]) -> Iterator[key_owners.Problem]:
    for key, values in keys.items():
        yield from _twice(f"{where}.{key}", values)


def _twice(key: str, values: list[Any] | None) -> Iterator[key_owners.Problem]:
    """A value that is there twice for Hydra, to which 1e-4 and 0.0001 are the same."""
    texts = overrides.of_values(key, values or [])
    if len(set(map(overrides.key_value, texts))) < len(texts):
        yield key, f"{values}: one is there twice"
