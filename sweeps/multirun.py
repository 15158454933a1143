"""Swept Hydra overrides, as `python -m kdlab -m` takes them, as a study of one table."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from kdlab.config import overrides
from kdlab.config.option_files import options
from kdlab.errors import BadInput
from kdlab.storage.durable import short_digest
from sweeps.commands import Request
from sweeps.journal.run_states import check_name
from sweeps.study.checks import check
from sweeps.study.schema import Block, Study

SEED_KEY, COLUMN_KEY = "seed", "task"


def values(override: Any) -> list[str]:
    """The values of a swept override, such as `choice(1,2)`, as texts.

    Raises:
        BadInput: for a sweep without a list of values, such as interval(), or without any value.
    """
    if not override.is_discrete_sweep():
        raise BadInput(f"{override.input_line}: choice, range and glob can be swept")
    texts = list(override.sweep_string_iterator())
    if not texts:
        allowed = options(override.key_or_group)
        hint = f"; allowed: {', '.join(allowed)}" if allowed else ""
        raise BadInput(f"{override.input_line}: stands for no value{hint}")
    return texts


def as_request(
    name: str | None, fixed: Sequence[str], swept: Mapping[str, Sequence[str]]
) -> Request:
    """The study of a multirun: seeds are seeds, tasks are columns, all else makes rows.

    Args:
        name: the study's name; None: made of the overrides.
        fixed: overrides of every run, as they were typed; a seed among them is the only one.
        swept: key to overrides, one for each value.

    Returns:
        What `sweeps.commands` launches. The control of its rows is the first without knowledge, or
        else the first one: no arms are added to those that were asked for.

    Raises:
        BadInput: for what cannot be swept, a seed that is no whole number, or one that is there
            twice, or a name that no folder may have.
    """
    for key in swept:
        if overrides.is_operational(key):
            raise BadInput(f"{key}: where and how runs are computed cannot be swept")
    # A study has its seeds by themselves: `check` refuses a seed among the overrides of its runs.
    fixed_seeds = [text for text in fixed if overrides.key(text) == SEED_KEY] or ["seed=0"]
    fixed = [text for text in fixed if overrides.key(text) != SEED_KEY]
    seeds = [_integer(text) for text in swept.get(SEED_KEY, fixed_seeds)]
    tasks = [text.partition("=")[2] for text in swept.get(COLUMN_KEY, [])]
    of_rows = [texts for key, texts in swept.items() if key not in (SEED_KEY, COLUMN_KEY)]
    # Where only seeds and tasks are swept, the product has one empty row, which is called `run`.
    cases = {", ".join(texts) or "run": list(texts) for texts in product(*of_rows)}
    # The same runs are the same study, wherever they are computed.
    decisive = sorted(text for text in fixed if not overrides.is_operational(text))
    content = repr((decisive, dict(swept) | {SEED_KEY: seeds}))
    name = name or f"multirun_{short_digest(content.encode())[:8]}"
    check_name(name)
    block = Block(
        table=name,
        cases=cases,
        control=next((c for c in cases if "knowledge=none" in cases[c]), next(iter(cases))),
        controls=False,
        grid={COLUMN_KEY: tasks} if tasks else {},
    )
    question = f"multirun of {', '.join(swept) or 'one run'}"
    study = Study(name=name, question=question, blocks=[block], seeds=seeds)
    check(study)
    return Request(name, study, tuple(fixed))


def _integer(text: str) -> int:
    value = text.partition("=")[2]
    if not value.lstrip("-").isdigit():
        raise BadInput(f"{text}: a whole number")
    return int(value)
