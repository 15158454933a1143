"""Hydra overrides become a run, and what is wrong with them becomes one line.

run = compose("task=sst2", "teacher=minilm_l6", "knowledge=[logits_kl,cls_pkd]", "seed=3")
"""

import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kdlab.config import option_files, override_rules, search_path, sizes
from kdlab.config.option_files import options
from kdlab.config.parents import WHOLE_RUNS, Compose
from kdlab.config.resolve import resolve
from kdlab.data import test_splits
from kdlab.errors import BadInput
from kdlab.options import callables, spelling
from kdlab.options.function_keys import LauncherKeys, MatchingKeys, TermKeys, TrackerKeys
from kdlab.options.memo import of_files
from kdlab.options.parsing import parse
from kdlab.options.schema import Config, Execution, Hard
from kdlab.run import Run

DEFAULT_SIZE = "size=l2_h64_a4"  # of conf/run.yaml; a size spelled by its dimensions has no file
EXECUTION = tuple(Execution.__dataclass_fields__)  # the keys that are no part of a run


@of_files
def compose(*overrides: str, config_dir: str | None = None) -> Run:
    """The run that Hydra overrides describe, checked from end to end.

    Args:
        overrides: as on the command line. They name no folders of options: whoever may write
            overrides shall not run code of his own.
        config_dir: a folder of options, as `--config-dir` and `hydra.searchpath` name it on the
            command line: a path, or `pkg://PACKAGE.FOLDER`.

    Raises:
        BadInput: an unknown key or option, a wrong type or range, or a combination that cannot
            be run; one line that names the key.
    """
    with option_files.searching(search_path.folders(config_dir)):
        return run_and_execution(*overrides)[0]


def execution(*overrides: str) -> Execution:
    """Where and how overrides ask for a run to be computed; the run itself is not looked at.

    Raises:
        BadInput: an unknown key or option, or a wrong value of what says where and how.
    """
    return _execution(composed(overrides, resolve=True)[0])


def run_and_execution(*overrides: str) -> tuple[Run, Execution]:
    """What `compose` and `execution` give, composed once."""
    config, choices = composed(overrides, resolve=True)
    return interpret(config, choices, overrides, compose)


def interpret(
    config: Mapping[str, Any],
    choices: Mapping[str, str],
    overrides: tuple[str, ...],
    compose_parent: Compose,
) -> tuple[Run, Execution]:
    """What a composed config describes, checked; the other arguments are those of `resolve`.

    Raises:
        BadInput: naming the key.
    """
    execution = _execution(config)
    rest = {key: value for key, value in config.items() if key not in EXECUTION}
    parsed = parse(Config, {"knowledge": {}} | rest)  # `knowledge=[]` leaves no node at all
    run = resolve(parsed, choices, overrides, compose_parent)
    if execution.predict_test:
        test_splits.splits(run.task)
    return run, execution


def _execution(config: Mapping[str, Any]) -> Execution:
    # First of all, and before any function is looked up: importing a module runs its code.
    option_files.check_functions(config)
    execution = parse(Execution, {key: config[key] for key in EXECUTION if key in config})
    tracker = callables.call(execution.tracker, TrackerKeys, "tracker", "run", "root")[1]
    if tracker.package and not _is_installed(tracker.package):
        raise BadInput(
            f"tracker={tracker.name}: package {tracker.package} is not installed: "
            f"pip install {tracker.package}"
        )
    callables.call(execution.launcher, LauncherKeys, "launcher", "array")
    return execution


@of_files
def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def composed(overrides: Sequence[str], *, resolve: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """Hydra's composition as plain data, and the option chosen in each group.

    Args:
        overrides: as on the command line.
        resolve: put values in the place of interpolations, and refuse what is missing.

    Raises:
        BadInput: naming the key.
    """
    for override in overrides:
        if reason := override_rules.refused(override):
            raise BadInput(reason)
    with _hydra(overrides):
        config = hydra_compose("run", list(overrides), return_hydra_config=True)
        # Hydra records the options of its own groups, and None for a group chosen as a list.
        choices = {
            key: value
            for key, value in config.hydra.runtime.choices.items()
            if not key.startswith("hydra/") and isinstance(value, str)
        }
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        plain = OmegaConf.to_container(config, resolve=resolve, throw_on_missing=resolve)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}, choices


@contextmanager
def _hydra(overrides: Sequence[str]) -> Iterator[None]:
    """Hydra, reading conf/, unless a command line has set it up already; its errors in one line."""
    register(overrides)
    search_path.register()
    is_set_up = GlobalHydra.instance().is_initialized()
    folder = str(option_files.CONF)
    try:
        with nullcontext() if is_set_up else initialize_config_dir(folder, version_base="1.3"):
            yield
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # group=3: ValueError
        raise BadInput(one_line(error, overrides)) from None


@of_files
def files(overrides: Sequence[str]) -> set[tuple[str, str]]:
    """The files that Hydra would compose, each with the place in the config that it goes to.

    Raises:
        BadInput: naming the option.
    """
    with _hydra(overrides):
        loader = GlobalHydra.instance().config_loader()
        listed = loader.compute_defaults_list("run", list(overrides), RunMode.RUN)
    return {(str(file.config_path), str(file.package)) for file in listed.defaults}


@of_files
def resolved(text: str) -> Any:
    """The value of an interpolation that refers to no other key, such as `${oc.env:HOME}`.

    Raises:
        BadInput: there is none.
    """
    try:
        return OmegaConf.create([text])[0]
    except OmegaConfBaseException as error:
        raise BadInput(one_line(error)) from None


def register(overrides: Sequence[str]) -> None:
    """Make what overrides may name known to Hydra: exact sizes, and `${package:...}`.

    An exact size such as `l4_h312_a12` has no file in conf/size: any may be named, so each that
    overrides name, or the recipes and experiments that they choose, is added to Hydra's store.
    """
    for override in (DEFAULT_SIZE, *overrides):
        key, _, value = override.lstrip("+").partition("=")
        for word in re.split(r"[,\s]+", value) if key in ("size", *WHOLE_RUNS) else ():
            name = word if key == "size" else _size_in(key, word)
            if dimensions := sizes.exact(name):
                ConfigStore.instance().store(group="size", name=name, node=dimensions)
    OmegaConf.register_new_resolver("package", _package, replace=True)


@of_files
def _size_in(group: str, name: str) -> str:
    """The size that the file of a recipe or an experiment chooses, "" where it chooses none."""
    for folder in option_files.folders() if option_files.NAME.fullmatch(name) else ():
        path = folder / group / f"{name}.yaml"
        if path.is_file():
            line = re.search(r"^ *- override /size: *(\S+)", path.read_text(), re.MULTILINE)
            return line[1] if line else ""
    return ""


def _package(name: str, folder: str) -> str:
    """The resolver `${package:NAME,FOLDER}`: a folder inside an installed Python package."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        pip = name.replace("_", "-")
        raise BadInput(f"package {name} is not installed: pip install --no-deps {pip}")
    return str(Path(spec.submodule_search_locations[0]) / folder)


def one_line(error: BaseException, overrides: Sequence[str] = ()) -> str:
    """A Hydra or OmegaConf error in one line: the key and what there is in its place.

    Their errors have no fields for these, so that they are read off their texts.

    Args:
        error: what was raised.
        overrides: of the run, whose options decide which keys there are.
    """
    text = f"{error} {error.__cause__ or ''}"
    if match := re.search(r"Could not (?:find|load) '([^']+)/([^'/]+)'", text):
        suggestion = option_files.suggestion(match[1], match[2])
        return f"{match[1]}={match[2]}: no such option; {suggestion}"
    if match := re.search(r"Could not (?:override|delete)(?: from config\.)? '([^']+)'", text):
        missing = re.search(r"full_key: (\S+)", text)
        return f"{match[1]}: {_unknown(match[1], missing[1] if missing else match[1], overrides)}"
    if match := re.search(r"Multiple values for ([^.\s]+)\.", text):
        return f"{match[1]}: has an option already; without the plus another takes its place"
    if match := re.search(r"Missing mandatory value.*full_key: (\S+)", text, re.DOTALL):
        return f"{match[1]}: must be given"
    if match := re.search(r"variable '(\w+)' not found.*full_key: (\S+)", text, re.DOTALL):
        return f"{match[2]}: must be given, here or as the environment variable {match[1]}"
    where = f"{error.override}: " if isinstance(error, OverrideParseException) else ""
    lines = [line.strip() for line in str(error).splitlines()]
    return where + " ".join(
        line for line in lines if line and not line.startswith(("full_key", "object_type"))
    )


def _unknown(key: str, missing: str, overrides: Sequence[str]) -> str:
    """Why `key` cannot be overridden, `missing` being the part of it that is not there."""
    if "@" in key:
        return f"nothing is there yet; a plus adds it: +{key}=..."
    group, _, name = missing.partition(".")
    if group == "knowledge" and "." not in name:
        return _unselected(name, _known_keys(overrides))
    # A key that the schema has, and the option's file leaves out, must be added with a plus.
    kind = {"knowledge": TermKeys, "matching": MatchingKeys, "hard": Hard}.get(group)
    if (last := missing.rpartition(".")[2]) in getattr(kind, "__dataclass_fields__", {}):
        added = {"schedules": f"schedule@{missing}.NUMBER", "matching": f"matching@{missing}"}
        return f"not in the option's file; a plus adds it: +{added.get(last, key)}=..."
    suggestion = spelling.key_meant(key, _known_keys(overrides))
    return f"unknown key; {suggestion or '--cfg job shows the known ones'}"


def _unselected(name: str, known: Iterable[str]) -> str:
    """Why a term has no keys, where some are known."""
    if name in options("knowledge"):
        return f"{name} is not selected; add it to knowledge=[...]"
    terms = [key.split(".")[1] for key in known if key.startswith("knowledge.")]
    if near := spelling.nearest(name, terms):
        return f"no such term; did you mean {spelling.either(near)}?"
    if near := spelling.nearest(name, options("knowledge")):
        return f"no such term; {spelling.either(near)} would be one, if added to knowledge=[...]"
    return f"no such term; there: {', '.join(dict.fromkeys(terms))}"


def _known_keys(overrides: Sequence[str]) -> list[str]:
    """The keys of a config with these overrides' options, or where these are wrong the default."""
    choices = []
    for text in overrides:
        override = override_rules.parsed(text)
        if override and option_files.is_group(override.key_or_group):
            choices.append(text)
    for texts in (choices, ()):
        with suppress(BadInput):
            config = composed(texts, resolve=False)[0]
            keys = [key for key in _keys(config) if not override_rules.is_files_own(key)]
            # The student's keys first: `lr` is rather train.lr than teacher.lr.
            return sorted(keys, key=lambda key: key.startswith("teacher."))
    return []


def _keys(node: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")
