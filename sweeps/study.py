"""A study file: a question, and blocks of Hydra overrides that answer it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from omegaconf import OmegaConf
from pydantic import Field

from kdlab.schema import BadInput, Index, Text, parse, strict

STUDIES = Path(__file__).resolve().parent / "studies"
Overrides = list[str]


@strict
@dataclass(frozen=True, kw_only=True)
class Block:
    """Runs that feed one table: every case crossed with every combination of the grid.

    Attributes:
        table: the table that the block feeds.
        cases: row label to overrides.
        grid: key to values; the task becomes the table's column, other keys join the row label.
        control: the case that the others are compared with.
        base: overrides of every run of the block.
        seeds: instead of the study's.
    """

    table: Text
    cases: Annotated[dict[str, Overrides], Field(min_length=1)]
    control: Text
    grid: dict[str, list[Any]] = field(default_factory=dict)
    base: Overrides = field(default_factory=list)
    seeds: list[Index] | None = None


@strict
@dataclass(frozen=True, kw_only=True)
class Skip:
    """A named rule: runs that have every override of `when` are left out, for `reason`."""

    name: Text
    when: Annotated[Overrides, Field(min_length=1)]
    reason: Text


@strict
@dataclass(frozen=True, kw_only=True)
class Study:
    """What a study file says."""

    question: Text
    blocks: Annotated[list[Block], Field(min_length=1)]
    seeds: Annotated[list[Index], Field(min_length=1)]
    base: Overrides = field(default_factory=list)
    skip: list[Skip] = field(default_factory=list)


@strict
@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of a study before it is composed: its overrides and its place in a table."""

    table: str
    row: str
    control: str
    seed: int
    overrides: tuple[str, ...]
    excluded: str


def load(name: str) -> Study:
    """The study of a file, or of a name in `sweeps/studies`.

    Raises:
        BadInput: no such study, or a key that is wrong.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else STUDIES / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(other.stem for other in STUDIES.glob("*.yaml")))
        raise BadInput(f"no study {name!r}; there: {known}; or give a .yaml file")
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except Exception as error:
        raise BadInput(f"{path}: {' '.join(str(error).split())}") from None
    study = parse(Study, content, path.stem)
    for seeds in (study.seeds, *(block.seeds or [] for block in study.blocks)):
        if len(set(seeds)) < len(seeds):
            raise BadInput(f"{path.stem}: seeds {seeds}: one is there twice")
    for block in study.blocks:
        if block.control not in block.cases:
            raise BadInput(f"{path.stem}: control {block.control!r} of {block.table} is no case")
    return study


def expand(study: Study, extra: tuple[str, ...] = ()) -> Iterator[Cell]:
    """Every run of a study, those of a skip rule marked with its name, seed by seed.

    Args:
        study: as `load` gives it.
        extra: overrides added to every run.
    """
    for seed_number in range(max(len(block.seeds or study.seeds) for block in study.blocks)):
        for block in study.blocks:
            seeds = block.seeds or study.seeds
            if seed_number < len(seeds):
                yield from _block(study, block, seeds[seed_number], extra)


def _block(study: Study, block: Block, seed: int, extra: tuple[str, ...]) -> Iterator[Cell]:
    for values in product(*block.grid.values()):
        chosen = dict(zip(block.grid, values, strict=True))
        swept = [f"{key}={_text(value)}" for key, value in chosen.items()]
        suffix = [text for text in swept if not text.startswith("task=")]
        for case, own in block.cases.items():
            overrides = (*study.base, *block.base, *swept, *own, f"seed={seed}", *extra)
            yield Cell(
                table=block.table,
                row=", ".join([case, *suffix]),
                control=", ".join([block.control, *suffix]),
                seed=seed,
                overrides=overrides,
                excluded=_excluded(study, overrides),
            )


def _excluded(study: Study, overrides: tuple[str, ...]) -> str:
    said = {_parsed(text) for text in overrides}
    for rule in study.skip:
        if {_parsed(text) for text in rule.when} <= said:
            return rule.name
    return ""


def _parsed(override: str) -> tuple[str, str]:
    """Key and value, 1e-4 and 0.0001 being the same."""
    key, _, value = override.partition("=")
    try:
        return key, str(float(value))
    except ValueError:
        return key, value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)
