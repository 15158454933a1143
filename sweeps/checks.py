"""What can be wrong with a study beyond types: found before anything is composed."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kdlab.build import function
from kdlab.schema import BadInput
from sweeps import overrides
from sweeps.schema import Block, Confirm, Study, Teachers, Tune

Problem = tuple[str, str]  # the key, and what is wrong with it
RESERVED = ("teacher", "majority")  # rows that tables add


def check(study: Study) -> None:
    """Refuse a study that contradicts itself.

    Raises:
        BadInput: one line with the study, the table and the key.
    """
    for key, what in _problems(study):
        raise BadInput(f"{study.name}: {key}: {what}")


def check_extra(study: Study, extra: Iterable[str]) -> None:
    """Refuse overrides for every run that would make rows say what is not so.

    Raises:
        BadInput: naming the study, the override and who sets its key.
    """
    for block in study.blocks:
        for text, why in _taken(extra, _owned(study, block, block.cases)):
            raise BadInput(f"{study.name}: {block.table}: {text}: {why}")


def teachers(study: Study, block: Block) -> Teachers:
    """How a block's seeds meet its teachers' seeds."""
    return block.teachers or study.teachers


def swept(block: Block) -> list[str]:
    """The keys of a block's rows and columns."""
    return [*block.grid, *block.zip]


def _problems(study: Study) -> Iterator[Problem]:
    yield from _twice("seeds", study.seeds)
    yield from _twice("teacher_seeds", study.teacher_seeds)
    if study.teacher_seeds and all(teachers(study, block) != "crossed" for block in study.blocks):
        yield "teacher_seeds", "only teachers: crossed has them"
    tables = {block.table for block in study.blocks}
    for block in study.blocks:
        for key, what in _block_problems(study, block):
            yield f"{block.table}: {key}", what
        if block.tune and f"{block.table}_tune" in tables:
            yield f"{block.table}_tune: table", f"is the name of {block.table}'s trials"


def _block_problems(study: Study, block: Block) -> Iterator[Problem]:
    if not block.controls and not block.control:
        yield "controls", "false needs a control to compare with"
    yield from _twice("seeds", block.seeds)
    yield from _twice("teacher_seeds", block.teacher_seeds)
    if block.control is not None and block.control not in block.cases:
        yield "control", f"{block.control!r} is no case; cases: {', '.join(block.cases)}"
    for case in block.cases:
        if case in RESERVED or case.startswith(f"{RESERVED[0]}, "):
            yield f"cases.{case}", f"is what tables call a row of their own: {', '.join(RESERVED)}"
    if block.teacher_seeds and teachers(study, block) != "crossed":
        yield "teacher_seeds", "only teachers: crossed has them"
    for case in block.settings.keys() - block.cases.keys():
        yield f"settings.{case}", f"no such case; cases: {', '.join(block.cases)}"
    if len({len(values) for values in block.zip.values()}) > 1:
        lengths = ", ".join(f"{key} {len(values)}" for key, values in block.zip.items())
        yield "zip", f"unequal numbers of values: {lengths}"
    yield from _stage_problems(study, block)
    yield from _key_problems(study, block)


def _stage_problems(study: Study, block: Block) -> Iterator[Problem]:
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


def _tune_problems(block: Block, tune: Tune, confirm: Confirm) -> Iterator[Problem]:
    yield from _twice("tune.seeds", tune.seeds)
    yield from _twice("confirm.seeds", confirm.seeds)
    if both := sorted(set(tune.seeds) & set(confirm.seeds)):
        yield "confirm.seeds", f"{both} are tuning seeds too; winners need seeds of their own"
    yield from _values_problems("tune.over", tune.over)
    for key, values in tune.over.items():
        if any(map(overrides.concerns_knowledge, overrides.each(key, values))):
            yield f"tune.over.{key}", "no key of arms without knowledge: put it under tune.also"
    for case, keys in tune.also.items():
        if case not in block.cases:
            yield f"tune.also.{case}", f"no such case; cases: {', '.join(block.cases)}"
        yield from _values_problems(f"tune.also.{case}", keys)
    allowed = ["case", *swept(block)]
    for key in tune.per or []:
        if key not in allowed:
            yield "tune.per", f"{key!r} is none of {', '.join(allowed)}"
    if tune.also and tune.per is not None and "case" not in tune.per:
        yield "tune.per", "needs `case`, since tune.also gives cases keys of their own"
    try:
        function(tune.rule)
    except BadInput as error:
        yield "tune.rule", str(error)


def _values_problems(where: str, keys: Mapping[str, list[Any]]) -> Iterator[Problem]:
    for key, values in keys.items():
        yield from _twice(
            f"{where}.{key}", values, map(overrides.said, overrides.each(key, values))
        )


def _key_problems(study: Study, block: Block) -> Iterator[Problem]:
    """Keys that two places set, so that one of them would say what is not so."""
    reserved = _reserved(study, block)
    by_sweep = reserved | _by(block.grid, "grid sets it") | _by(block.zip, "zip sets it")
    for where, texts, taken in (
        ("base", study.base, reserved),
        ("base", block.base, reserved),
        ("grid", block.grid, reserved),
        ("zip", block.zip, reserved | _by(block.grid, "grid sets it")),
        *(
            (f"cases.{case}", own, _owned(study, block, [case]))
            for case, own in block.cases.items()
        ),
    ):
        for text, why in _taken(texts, taken):
            yield f"{where}: {text}", why
    owned_by_sweeps = by_sweep | (_by(block.tune.over, "tune.over sets it") if block.tune else {})
    for case, by_task in block.settings.items():
        texts = dict.fromkeys(text for own in by_task.values() for text in own)
        for text, why in _taken(texts, owned_by_sweeps):
            yield f"settings.{case}: {text}", why
    if block.tune:
        by_over = by_sweep | _by(block.tune.over, "tune.over sets it")
        also = [(f"tune.also.{case}", keys, by_over) for case, keys in block.tune.also.items()]
        for where, keys, taken in (("tune.over", block.tune.over, by_sweep), *also):
            for key, why in _taken(keys, taken):
                yield f"{where}.{key}", why


def _reserved(study: Study, block: Block) -> dict[str, str]:
    """Keys that no override may set, and who sets them."""
    found = {"seed": "`seeds` set it"}
    if (how := teachers(study, block)) != "one":
        found["teacher.seed"] = f"teachers: {how} sets it"
    if block.teacher is not None or study.teacher is not None:
        found["teacher.overrides"] = "`teacher` sets it"
    return found


def _owned(study: Study, block: Block, cases: Iterable[str]) -> dict[str, str]:
    """Keys that overrides of these cases may not set, and who sets them."""
    owned = _reserved(study, block)
    owned |= _by(block.grid, "grid sets it") | _by(block.zip, "zip sets it")
    for case in cases:
        by_task = block.settings.get(case, {})
        owned |= _by((text for own in by_task.values() for text in own), "settings set it")
    if block.tune:
        owned |= _by(block.tune.over, "tune.over sets it")
        for case in cases:
            owned |= _by(block.tune.also.get(case, {}), f"tune.also.{case} sets it")
    return owned


def _by(keys: Iterable[str], why: str) -> dict[str, str]:
    return {overrides.key(key): why for key in keys}


def _taken(texts: Iterable[str], taken: Mapping[str, str]) -> Iterator[Problem]:
    """The overrides, or keys of sweeps, that somebody else sets."""
    for text in texts:
        if overrides.key(text) in taken:
            yield text, taken[overrides.key(text)]


def _twice(
    key: str, values: list[Any] | None, as_said: Iterable[Any] | None = None
) -> Iterator[Problem]:
    compared = list(as_said if as_said is not None else values or [])
    if len(set(compared)) < len(compared):
        yield key, f"{values}: one is there twice"
