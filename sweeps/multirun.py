"""Swept Hydra overrides as a study of one table."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from kdlab.overrides import is_operational
from kdlab.record import short_digest
from kdlab.schema import BadInput
from sweeps.commands import Request
from sweeps.schema import Block, Study

COLUMN = "task"


def values(override: Any) -> Iterator[str]:
    """The texts that a swept override stands for.

    Raises:
        BadInput: for a sweep without a list of values, such as interval().
    """
    if not override.is_discrete_sweep():
        raise BadInput(f"{override.input_line}: choice, range and glob can be swept")
    yield from override.sweep_string_iterator()


def request(name: str | None, fixed: Sequence[str], swept: Mapping[str, Sequence[str]]) -> Request:
    """The study of a multirun: seeds are seeds, tasks are columns, all else makes rows.

    Args:
        name: the study's name; None: made of the overrides.
        fixed: overrides of every run, as they were typed.
        swept: key to overrides, one for each value.
    """
    for key in swept:
        if is_operational(key):
            raise BadInput(f"{key}: where and how runs are computed cannot be swept")
    seeds = [_integer(text) for text in swept.get("seed", ["seed=0"])]
    tasks = [text.partition("=")[2] for text in swept.get(COLUMN, [])]
    rest = [texts for key, texts in swept.items() if key not in ("seed", COLUMN)]
    cases = {", ".join(texts) or "run": list(texts) for texts in product(*rest)}
    # The same runs are the same study, wherever they are computed.
    decisive = sorted(text for text in fixed if not is_operational(text))
    name = name or f"multirun_{short_digest(repr((decisive, dict(swept))).encode())[:8]}"
    block = Block(
        table=name,
        cases=cases,
        control=next((c for c in cases if "knowledge=none" in cases[c]), next(iter(cases))),
        controls=False,
        grid={COLUMN: tasks} if tasks else {},
    )
    question = f"multirun of {', '.join(swept) or 'one run'}"
    return Request(
        name, Study(name=name, question=question, blocks=[block], seeds=seeds), tuple(fixed)
    )


def _integer(text: str) -> int:
    value = text.partition("=")[2]
    if not value.lstrip("-").isdigit():
        raise BadInput(f"{text}: a whole number")
    return int(value)
