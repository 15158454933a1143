"""A study as it was launched, kept under the root: what was asked for, and the table of its plan.

It can be launched again by its name, and `status` and `analysis` can read it, whatever became of
the file that it was launched from.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from kdlab.errors import BadInput
from kdlab.options.parsing import parse
from kdlab.storage.durable import Damaged, read_yaml, short_digest, write_whole, write_yaml
from sweeps.study import overrides
from sweeps.study.checks import check_trust
from sweeps.study.schema import Study

STUDY_FILE = "study.yaml"
PLAN_FILE = "plan.parquet"
WINNERS_FILE = "winners.json"
PLAN_DIGEST = "plan_digest"  # the first key of the study file
RACE_SECONDS = 1.0
UID_DIGITS = 6  # of a uid, that are enough to name a run


def save(
    study: Study, extra: tuple[str, ...], folder: Path, command_line: tuple[str, ...] = ()
) -> None:
    """Write a study and the overrides that it was launched with, and the digest of its plan.

    The file is readable for its owner alone if an override is of the launcher, the root or the
    tracker, which may name accounts.

    Args:
        study: with the values of its grids as they were launched.
        extra: overrides of every run.
        folder: the study's.
        command_line: all overrides as they were typed, those that replaced a grid's values too;
            none: they are `extra`.
    """
    typed = command_line or extra
    # First, so that it can be read without all the rest.
    launched: dict[str, Any] = {}
    if (folder / PLAN_FILE).is_file():
        launched[PLAN_DIGEST] = short_digest((folder / PLAN_FILE).read_bytes())
    launched |= {"study": asdict(study), "overrides": list(extra), "asked": list(typed)}
    # A root that colleagues share is readable for them: an account's name is not for all of them.
    private = any(overrides.is_users_own(text) for text in (*extra, *typed))
    write_yaml(folder / STUDY_FILE, OmegaConf.to_yaml(OmegaConf.create(launched)), private=private)


def publish(folder: Path, target: Path) -> None:
    """Write a launched study and its plan into another folder, without a user's own overrides.

    Args:
        folder: of the launched study.
        target: is there already.
    """
    plan = pd.read_parquet(folder / PLAN_FILE)
    texts = plan["overrides"].map(lambda text: json.dumps(public(json.loads(text))), "ignore")
    written = plan.assign(overrides=texts).to_parquet(index=False, write_page_checksum=True)
    write_whole(target / PLAN_FILE, written)
    study, extra = read(folder)
    save(study, tuple(public(extra)), target, tuple(public(command_line(folder))))


def public(texts: Iterable[str]) -> list[str]:
    """Overrides but for those of launcher, root and tracker, which may name accounts and paths."""
    return [text for text in texts if not overrides.is_users_own(text)]


def read(folder: Path) -> tuple[Study, tuple[str, ...]]:
    """The study that `save` wrote, and the overrides of every run.

    Raises:
        BadInput: it is not there, or damaged.
    """
    launched = _read(folder)
    study = parse(Study, launched.get("study"), folder.name)
    # Whoever may write under the root may have written this file, with a digest that fits: it must
    # not be able to name a command that the launcher runs.
    check_trust(study)
    return study, tuple(map(str, launched["overrides"]))


def command_line(folder: Path) -> list[str]:
    """The overrides that a study was launched with, as they were typed; none where it was not.

    Raises:
        BadInput: the file of the launch is damaged.
    """
    return list(map(str, _read(folder)["asked"])) if (folder / STUDY_FILE).is_file() else []


def text(folder: Path) -> str:
    """The study as it was launched, as YAML.

    Raises:
        BadInput: it is not there, or damaged.
    """
    path, again = folder / STUDY_FILE, f"launch {folder.name} from its file"
    try:
        return read_yaml(path)
    except FileNotFoundError:
        raise BadInput(f"{path}: not there; {again}") from None
    except Damaged as damaged:
        raise BadInput(f"{damaged}; {again}, which writes it anew") from None


def _read(folder: Path) -> dict[str, Any]:
    launched = OmegaConf.to_container(OmegaConf.create(text(folder)))
    assert isinstance(launched, dict)  # it is what `save` wrote
    return {str(key): value for key, value in launched.items()}


def studies(root: str | Path) -> list[str]:
    """The studies that were launched under a root."""
    return sorted(path.parent.name for path in Path(root).glob(f"studies/*/{PLAN_FILE}"))


def read_plan(study: str, root: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The table of a study's cells that its last launch wrote: `sweeps.plan.row.PlanRow`.

    Args:
        study: its name.
        root: where it was launched.
        columns: those to read; all unless given.

    Raises:
        BadInput: it was not launched, or the file is damaged.
    """
    path = Path(root) / "studies" / study / PLAN_FILE
    again = f"python -m sweeps launch {study} --wait"
    if not path.is_file():
        names = ", ".join(studies(root)) or "none"
        raise BadInput(f"no plan of study {study!r} under {root} (there: {names}); first: {again}")
    if not _is_as_launched(path):
        time.sleep(RACE_SECONDS)  # a launch may just have written the one and not yet the other
        if not _is_as_launched(path):
            raise BadInput(f"{path} is not what was written; written anew by: {again}")
    try:
        plan = pd.read_parquet(
            path, columns=list(columns) if columns else None, page_checksum_verification=True
        )
    except Exception as error:  # whatever pyarrow and pandas find wrong with names and types
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"{path}: damaged ({why}); written anew by: {again}") from None
    if plan.empty or "uid" not in plan:
        raise BadInput(f"{path}: no run is in it; written anew by: {again}")
    return plan


def _is_as_launched(path: Path) -> bool:
    """Whether a plan is the one that was launched, if that is known.

    Parquet has checksums of its pages, and none of the names and types of its columns.
    """
    if not (path.parent / STUDY_FILE).is_file():
        return True
    key, _, digest = text(path.parent).partition("\n")[0].partition(": ")
    # YAML quotes a digest that could be taken for a number.
    return key != PLAN_DIGEST or digest.strip("'") == short_digest(path.read_bytes())


def family(plan: pd.DataFrame) -> dict[str, list[str]]:
    """Every run of a plan and every ancestor, each with the uids of its parents."""
    parents: dict[str, list[str]] = {}
    # Thousands of rows share a few texts: each is parsed once.
    for text in plan["ancestors"].unique().tolist():
        parents |= json.loads(text)
    parsed = {text: json.loads(text) for text in plan["parents"].unique().tolist()}
    links = zip(plan["uid"].tolist(), plan["parents"].tolist(), strict=True)
    return parents | {uid: parsed[text] for uid, text in links}


def ancestors(uids: set[str], family: Mapping[str, Sequence[str]]) -> set[str]:
    """All that these runs build on, however many generations back, by what `family` gives."""
    all_ancestors: set[str] = set()
    while uids:
        uids = {parent for uid in uids for parent in family[uid]} - all_ancestors
        all_ancestors |= uids
    return all_ancestors


def whole_uid(digits: str, known: Iterable[str]) -> str:
    """The run that the first digits of a uid name, among some; as it is if they name none.

    Raises:
        BadInput: fewer than six digits, or several runs begin with them.
    """
    if len(digits) < UID_DIGITS:
        raise BadInput(f"{digits}: give six digits of the run's uid, or more")
    fitting = sorted(uid for uid in known if uid.startswith(digits))
    if len(fitting) > 1:
        raise BadInput(f"{digits}: {len(fitting)} runs begin so: {fitting[0]}, {fitting[1]}, ...")
    return fitting[0] if fitting else digits
