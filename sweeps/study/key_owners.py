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
        for text, why in _conflicts(extra, _owned(study, block, block.cases)):
            raise BadInput(f"{study.name}: {block.table}: {text}: {why}")


def problems(study: Study, block: Block) -> Iterator[Problem]:
    """The keys that two places of a block set."""
    reserved = _reserved(study, block)
    by_grid = reserved | _by(block.grid, "grid sets it")
    by_sweep = by_grid | _by(block.zip, "zip sets it")
    over, also = (block.tune.over, block.tune.also) if block.tune else ({}, {})
    by_over = by_sweep | _by(over, "tune.over sets it")
    # Each place with the keys that others have taken before it. Cases are alternatives, as are
    # settings: it is no conflict that two of them set the same key.
    for where, texts, owners in (
        ("base: ", study.base, reserved),
        ("base: ", block.base, reserved),
        ("grid: ", block.grid, reserved),
        ("zip: ", block.zip, by_grid),
        *(
            (f"cases.{case}: ", of_case, _owned(study, block, [case]))
            for case, of_case in block.cases.items()
        ),
        *(
            (f"settings.{case}: ", _texts(by_task), by_over)
            for case, by_task in block.settings.items()
        ),
        ("tune.over.", over, by_sweep),
        *((f"tune.also.{case}.", keys, by_over) for case, keys in also.items()),
    ):
        for text, why in _conflicts(texts, owners):
            yield f"{where}{text}", why


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
    for case in cases:
        owned |= _by(_texts(block.settings.get(case, {})), "settings set it")
    if block.tune:
        owned |= _by(block.tune.over, "tune.over sets it")
        for case in cases:
            owned |= _by(block.tune.also.get(case, {}), f"tune.also.{case} sets it")
    return owned


def _texts(by_task: Mapping[str, Overrides]) -> list[str]:
    """The overrides of a case's settings for all of its tasks."""
    return [text for texts in by_task.values() for text in texts]


def _by(keys: Iterable[str], why: str) -> dict[str, str]:
    return {key_of(key): why for key in keys}


def _conflicts(texts: Iterable[str], owners: Mapping[str, str]) -> Iterator[Problem]:
    """The overrides, or swept keys, whose key another part of the study sets, and which."""
    for text in texts:
        if key_of(text) in owners:
            yield text, owners[key_of(text)]
