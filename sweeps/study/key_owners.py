"""Which part of a study sets which key of its runs: no two parts may set the same one.

One of the two would have no effect, and a row's label would say what is not so. Example: a table
has a row for each `train.lr` of its grid, and a case or the command line says `train.lr=1e-3`.
"""

from collections.abc import Iterable, Iterator, Mapping

from kdlab.config.overrides import key as key_of
from kdlab.errors import BadInput
from sweeps.study.schema import Block, Overrides, Study

Problem = tuple[str, str]  # a key or an override, and what is wrong with it


def check_extra(study: Study, extra: Iterable[str]) -> None:
    """Refuse overrides of every run, as a command line adds them, whose key a study sets itself.

    Raises:
        BadInput: naming the study, the override and who sets its key.
    """
    for block in study.blocks:
        for text, why in _conflicts("", extra, _owned(study, block, block.cases)):
            raise BadInput(f"{study.name}: {block.table}: {text}: {why}")


def problems(study: Study, block: Block) -> Iterator[Problem]:
    """The keys that two places of a block set."""
    owners = _reserved(study, block)
    over, also = (block.tune.over, block.tune.also) if block.tune else ({}, {})
    # What sets keys of all of the block's runs, each with the keys that others have taken before
    # it. A grid's value counts more than one of the base: that is no conflict.
    yield from _conflicts("base: ", [*study.base, *block.base], owners)
    for name, where, keys in (
        ("grid", "grid: ", block.grid),
        ("zip", "zip: ", block.zip),
        ("tune.over", "tune.over.", over),
    ):
        yield from _conflicts(where, keys, owners)
        owners |= _by(keys, f"{name} sets it")
    # Cases are alternatives, as are settings: two of them may set the same key.
    for case, texts in block.cases.items():
        yield from _conflicts(f"cases.{case}: ", texts, _owned(study, block, [case]))
    for case, by_task in block.settings.items():
        yield from _conflicts(f"settings.{case}: ", _texts(by_task), owners)
    for case, keys in also.items():
        yield from _conflicts(f"tune.also.{case}.", keys, owners)


def _reserved(study: Study, block: Block) -> dict[str, str]:
    """Keys that no override may set, and which key of the study sets them."""
    owners = {"seed": "`seeds` set it"}
    if (how := study.teachers_of(block)) != "one":
        owners["teacher.seed"] = f"teachers: {how} sets it"
    if block.teacher is not None or study.teacher is not None:
        owners["teacher.overrides"] = "`teacher` sets it"
    return owners


def _owned(study: Study, block: Block, cases: Iterable[str]) -> dict[str, str]:
    """Keys that overrides of these cases may not set, and which key of the study sets them."""
    owned = _reserved(study, block)
    owned |= _by(block.grid, "grid sets it") | _by(block.zip, "zip sets it")
    owned |= _by(block.tune.over if block.tune else [], "tune.over sets it")
    for case in cases:
        owned |= _by(_texts(block.settings.get(case, {})), "settings set it")
        of_case = block.tune.also.get(case, {}) if block.tune else {}
        owned |= _by(of_case, f"tune.also.{case} sets it")
    return owned


def _texts(by_task: Mapping[str, Overrides]) -> list[str]:
    """The overrides of a case's settings for all of its tasks."""
    return [text for texts in by_task.values() for text in texts]


def _by(keys: Iterable[str], why: str) -> dict[str, str]:
    return {key_of(key): why for key in keys}


def _conflicts(where: str, texts: Iterable[str], owners: Mapping[str, str]) -> Iterator[Problem]:
    """The overrides, or swept keys, whose key another part of the study sets, and which.

    Each is named by what `where` says and the override.
    """
    for text in texts:
        if key_of(text) in owners:
            yield f"{where}{text}", owners[key_of(text)]
