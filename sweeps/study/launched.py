"""A study as it was launched, kept under the root, so that it can be launched again by name."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from omegaconf import OmegaConf

from kdlab.errors import BadInput
from kdlab.options.parsing import parse
from kdlab.record import write_whole
from sweeps.study import overrides
from sweeps.study.checks import check_trust
from sweeps.study.schema import Study

NAME = "study.yaml"
PLAN = "plan.parquet"


def save(
    study: Study, extra: tuple[str, ...], folder: Path, asked: tuple[str, ...] | None = None
) -> None:
    """Write a study and the overrides of the command line that came with it.

    `asked` has those too that took the place of a grid's values: what launches it again by name.
    What the launcher is told is for the owner's eyes.
    """
    page = {"study": asdict(study), "overrides": list(extra), "asked": list(asked or extra)}
    private = any(overrides.is_users_own(text) for text in (*extra, *page["asked"]))
    content = OmegaConf.to_yaml(OmegaConf.create(page)).encode()
    write_whole(folder / NAME, content, private=private)


def read(folder: Path) -> tuple[Study, tuple[str, ...]]:
    """What `save` wrote.

    Raises:
        BadInput: it is not there, or damaged.
    """
    path = folder / NAME
    try:
        page = OmegaConf.to_container(OmegaConf.load(path))
    except FileNotFoundError:
        raise BadInput(f"{path}: not there; launch {folder.name} from its file") from None
    except Exception:  # whatever YAML and OmegaConf find wrong with it
        page = None
    if not isinstance(page, dict) or not isinstance(page.get("overrides"), list):
        raise BadInput(f"{path}: damaged; move it away and launch {folder.name} from its file")
    study = parse(Study, page.get("study"), folder.name)
    check_trust(study)
    return study, tuple(map(str, page["overrides"]))


def studies(root: str | Path) -> list[str]:
    """The studies that were launched under a root."""
    return sorted(path.parent.name for path in Path(root).glob(f"studies/*/{PLAN}"))


def read_plan(study: str, root: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The table of a study's cells that its last launch wrote.

    Args:
        study: its name.
        root: where it was launched.
        columns: those to read; all unless given.

    Raises:
        BadInput: it was not launched, or the file is damaged.
    """
    path = Path(root) / "studies" / study / PLAN
    again = f"python -m sweeps launch {study} --wait"
    if not path.is_file():
        known = ", ".join(studies(root)) or "none"
        raise BadInput(f"no plan of study {study!r} under {root} (there: {known}); first: {again}")
    try:
        found = pd.read_parquet(
            path, columns=list(columns) if columns else None, page_checksum_verification=True
        )
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are ValueErrors
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"{path}: damaged ({why}); written anew by: {again}") from None
    if found.empty or "uid" not in found:
        raise BadInput(f"{path}: no run is in it; written anew by: {again}")
    return found


def family(plan: pd.DataFrame) -> dict[str, list[str]]:
    """Every run of a plan and every ancestor, each with the uids of its parents."""
    found: dict[str, list[str]] = {}
    for text in plan["ancestors"].unique().tolist():
        found |= json.loads(text)
    parsed = {text: json.loads(text) for text in plan["parents"].unique().tolist()}
    links = zip(plan["uid"].tolist(), plan["parents"].tolist(), strict=True)
    return {**found, **{uid: parsed[text] for uid, text in links}}
