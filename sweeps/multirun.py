"""Swept Hydra overrides as a study of one table."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from kdlab.config import overrides
from kdlab.config.option_files import options
from kdlab.config.overrides import is_operational
from kdlab.errors import BadInput
from kdlab.record import short_digest
from sweeps.commands import Request
from sweeps.journal.run_states import check_name
from sweeps.study.checks import check
from sweeps.study.schema import Block, Study

SEED, COLUMN = "seed", "task"


def values(override: Any) -> list[str]:
    """The texts that a swept override stands for.

    Raises:
        BadInput: for a sweep without a list of values, such as interval(), or without any value.
    """
    if not override.is_discrete_sweep():
        raise BadInput(f"{override.input_line}: choice, range and glob can be swept")
    texts = list(override.sweep_string_iterator())
    if not texts:
        there = options(override.key_or_group)
        hint = f"; allowed: {', '.join(there)}" if there else ""
        raise BadInput(f"{override.input_line}: stands for no value{hint}")
    return texts


def request(name: str | None, fixed: Sequence[str], swept: Mapping[str, Sequence[str]]) -> Request:
    """The study of a multirun: seeds are seeds, tasks are columns, all else makes rows.

    Args:
        name: the study's name; None: made of the overrides.
        fixed: overrides of every run, as they were typed; a seed among them is the only one.
        swept: key to overrides, one for each value.

    Raises:
        BadInput: for what cannot be swept, a seed that is no whole number, or one that is there
            twice, or a name that no folder may have.
    """
    for key in swept:
        if is_operational(key):
            raise BadInput(f"{key}: where and how runs are computed cannot be swept")
    only = [text for text in fixed if overrides.key(text) == SEED] or ["seed=0"]
    fixed = [text for text in fixed if overrides.key(text) != SEED]
    seeds = [_integer(text) for text in swept.get(SEED, only)]
    tasks = [text.partition("=")[2] for text in swept.get(COLUMN, [])]
    rest = [texts for key, texts in swept.items() if key not in (SEED, COLUMN)]
    cases = {", ".join(texts) or "run": list(texts) for texts in product(*rest)}
    # The same runs are the same study, wherever they are computed.
    decisive = sorted(text for text in fixed if not is_operational(text))
    said = repr((decisive, dict(swept) | {SEED: seeds}))
    name = name or f"multirun_{short_digest(said.encode())[:8]}"
    check_name(name)
    block = Block(
        table=name,
        cases=cases,
        control=next((c for c in cases if "knowledge=none" in cases[c]), next(iter(cases))),
        controls=False,
        grid={COLUMN: tasks} if tasks else {},
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
