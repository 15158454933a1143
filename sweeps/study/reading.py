"""Reading a study file, and replacing what a command line says of its grids."""

import re
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kdlab.config.overrides import key as key_of
from kdlab.errors import BadInput
from kdlab.options import spelling
from kdlab.options.parsing import parse
from sweeps.study import folders, settings
from sweeps.study.checks import check
from sweeps.study.schema import Block, Study


def question(name: str) -> str | None:
    """The question of a study that can be launched by its name; None if there is none."""
    path = folders.file(name)
    content = OmegaConf.load(path) if path else None
    return str(content["question"]) if isinstance(content, DictConfig) else None


def load(name: str) -> Study:
    """Read the study of a file, or of a name in the project's `studies` or in `sweeps/studies`.

    Raises:
        BadInput: no such study, or a key that is wrong.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else folders.file(name)
    if path is None or not path.is_file():
        hint = spelling.suggestion(name, sorted(folders.names()), "python -m sweeps list")
        raise BadInput(f"no study {name!r}; {hint}; or give a .yaml file")
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except Exception as error:
        raise BadInput(f"{path}: {' '.join(str(error).split())}") from None
    if isinstance(content, dict):
        # A name in the file could differ from the file's own, under which the study is launched.
        if "name" in content:
            raise BadInput(f"{path.stem}: name: unknown key; a study is named by its file")
        content["name"] = path.stem
        _read_settings(content, path.parent)
        _include(content, path.parent)
    study = parse(Study, content, path.stem)
    check(study)
    return study


def _read_settings(content: dict[Any, Any], folder: Path) -> None:
    """Put the content of a CSV in the place of its name, so that a launched study keeps it."""
    blocks = content.get("blocks")
    for block in blocks if isinstance(blocks, list) else []:
        if isinstance(block, dict) and isinstance(name := block.get("settings"), str):
            cases = block.get("cases")
            block["settings"] = settings.read(folder / name, [*cases] if cases else [])


def _include(content: dict[Any, Any], folder: Path) -> None:
    """Put the blocks of the studies that a study includes before its own.

    A block takes along what its study says of all blocks. For example a study with
    `include: [a1_knowledge, a2_matching]` has the runs and the tables of both.
    """
    names = content.pop("include", [])
    if not isinstance(names, list):
        raise BadInput(f"{content['name']}: include={names!r}: a list of names of studies")
    studies = [load(str(folder / f"{name}.yaml")) for name in names]
    blocks = [asdict(_alone(study, block)) for study in studies for block in study.blocks]
    content["blocks"] = [*blocks, *content.get("blocks", [])]
    content["skip"] = [asdict(s) for study in studies for s in study.skip] + content.get("skip", [])


def _alone(study: Study, block: Block) -> Block:
    """A block with what its study says for all of its blocks."""
    return replace(
        block,
        base=[*study.base, *block.base],
        seeds=None if block.tune else block.seeds or study.seeds,
        teachers=study.teachers_of(block),
        teacher_seeds=block.teacher_seeds or study.teacher_seeds,
        teacher=block.teacher if block.teacher is not None else study.teacher,
    )


def narrowed(study: Study, extra: Iterable[str]) -> tuple[Study, tuple[str, ...]]:
    """Replace the values of a study's grids by those of the command line.

    `task=rte,mrpc` replaces the values of every grid that sweeps tasks; blocks that do not sweep
    the key take it as an override.

    Returns:
        The study, and the overrides that are for keys of no grid.

    Raises:
        BadInput: several values where a block does not sweep the key.
    """
    swept = {key for block in study.blocks for key in block.grid}
    new_values = {key_of(text): text for text in extra if key_of(text) in swept}
    rest = tuple(text for text in extra if key_of(text) not in swept)
    return replace(study, blocks=[_narrowed(block, new_values) for block in study.blocks]), rest


def _narrowed(block: Block, new_values: dict[str, str]) -> Block:
    values = {key: _values(text.partition("=")[2]) for key, text in new_values.items()}
    grid = {key: values.get(key, of_study) for key, of_study in block.grid.items()}
    unswept = [text for key, text in new_values.items() if key not in grid]
    for text in unswept:
        if len(values[key_of(text)]) > 1:
            raise BadInput(f"{block.table}: {text}: the table does not sweep it: give one value")
    # The command line takes the place of what the base says of the same key: twice is an error.
    base = [text for text in block.base if key_of(text) not in {*new_values} - {*grid}]
    return replace(block, grid=grid, base=[*base, *unswept])


def _values(text: str) -> list[str]:
    """The values of a text, apart by commas; a list, such as [a,b], is one value."""
    # A comma that a ] follows before any [ is inside of a list. What begins with a brace or a quote
    # is one value for Hydra, whatever commas are in it.
    return [text] if text.startswith(("{", "'", '"')) else re.split(r",(?![^\[]*\])", text)
