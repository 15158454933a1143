"""The files that options are read from, in conf/ and in folders of the user's own.

These are `conf/` of the project that the working directory is in, and what a command line names
with `--config-dir` or `hydra.searchpath` (`search_path.py`).

They alone name functions, because what a config names is imported and called: whoever may write
overrides or a study shall not run code of his own. Whatever the spelling, a composed config is
refused whose functions are not those that the files of its options name.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from kdlab import project
from kdlab.errors import BadInput
from kdlab.options import spelling
from kdlab.options.memo import of_files

_PACKAGE = Path(__file__).resolve().parents[1]
# Inside the package in a wheel, where a folder of this name beside it is somebody else's; beside it
# in a checkout.
CONF = next(path for path in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if path.is_dir())
OWN = frozenset({"_target_", "package"})  # keys whose values are imported: as the file has them
PICKED = frozenset({"view", "holdout"})  # imported too: any value that some option's file names
NAME = re.compile(r"\w[\w.+-]*")  # an option's; never a path
ITS_FILES = "an option's function and name are its file's to say"
# Groups whose node names a function; the terms of knowledge and their schedules do besides.
ONE_FUNCTION = ("task", "shape", "init", "matching", "tracker", "launcher")
INNER = ("matching", "schedules")  # of a term: nodes of other groups

Node = Mapping[str, Any]  # of a composed config
_named: ContextVar[tuple[Path, ...]] = ContextVar("named", default=())


def folders() -> list[Path]:
    """The folders that are searched for options; the first that has one counts."""
    hydra = GlobalHydra.instance()
    if not hydra.is_initialized():
        return [CONF, *own_folders()]
    entries = hydra.config_loader().get_search_path().get_path()
    paths = [str(entry.path).removeprefix("file://") for entry in entries]
    return [Path(path) for path in paths if "://" not in path]


def own_folders() -> list[Path]:
    """The folders beside `conf/`: those that are named, then that of the project.

    Raises:
        BadInput: one has an option that `conf/` has too, and that would never be read.
    """
    own = project.current()
    folders = [*_named.get(), *([own.conf] if own and own.conf.is_dir() else [])]
    for folder in folders:
        _check_names(folder, CONF)
    return folders


@contextmanager
def searching(named: Iterable[Path]) -> Iterator[None]:
    """Search these folders for options too."""
    token = _named.set((*_named.get(), *named))
    try:
        yield
    finally:
        _named.reset(token)


@of_files
def _check_names(folder: Path, conf: Path) -> None:
    for path in folder.rglob("*.yaml"):
        if (conf / path.relative_to(folder)).is_file():
            raise BadInput(f"{path}: kdlab has an option of this name; call yours otherwise")


def is_group(key: str) -> bool:
    """Whether a key is that of a group of options."""
    return any((folder / key).is_dir() for folder in folders())


def names(group: str) -> list[str]:
    """The options of a group that have a file."""
    return sorted({path.stem for folder in folders() for path in (folder / group).glob("*.yaml")})


def options(group: str) -> list[str]:
    """What may be chosen in a group; a size may also be spelled by its dimensions."""
    return [*names(group), "lLAYERS_hWIDTH[_aHEADS]"] if group == "size" else names(group)


def suggestion(group: str, name: str) -> str:
    """What there is in place of a name that a group does not have."""
    return spelling.suggestion(name, options(group), "python -m kdlab --help")


@of_files
def option(group: str, name: str) -> dict[str, Any]:
    """The content of one option's file.

    Raises:
        BadInput: there is none.
    """
    for folder in folders() if NAME.fullmatch(name) else ():
        path = folder / group / f"{name}.yaml"
        if path.is_file():
            state = path.stat()
            content = OmegaConf.to_container(_loaded(path, state.st_mtime_ns, state.st_size))
            assert isinstance(content, dict)
            return {str(key): value for key, value in content.items()}
    raise BadInput(f"{group}={name}: no such option")


def check_functions(config: Node) -> None:
    """Refuse a composed config that names other functions than the files of its options do.

    Raises:
        BadInput: naming the key.
    """
    for where, group, node in _nodes(config):
        functions = dict(_functions(node))
        of_file = _stated(group, str(node.get("name"))) if functions else {}
        for key, value in functions.items():
            others = _named_anywhere(key) if key in PICKED else ()
            if of_file.get(key) != value and not (isinstance(value, str) and value in others):
                allowed = f"; they name {', '.join(sorted(others))}" if others else ""
                raise BadInput(f"{where}.{key}={value!r}: {ITS_FILES}{allowed}")


def sets_function(value: Any) -> bool:
    """Whether a value of an override has a key that names code, or an option, anywhere in it."""
    if isinstance(value, Mapping):
        keys = value.keys() & {*OWN, *PICKED, "name"}
        return bool(keys) or any(map(sets_function, value.values()))
    return isinstance(value, list) and any(map(sets_function, value))


def _nodes(config: Node) -> Iterator[tuple[str, str, Node]]:
    """Every node that an option fills with a function: its place, its group, and itself."""
    yield from ((group, group, _child(config, group)) for group in ONE_FUNCTION)
    yield from _schedules("hard", _child(config, "hard"))
    terms = _child(config, "knowledge")
    for key in terms:
        where, node = f"knowledge.{key}", _child(terms, key)
        yield where, "knowledge", {k: v for k, v in node.items() if k not in INNER}
        yield from _schedules(where, node)
        yield f"{where}.matching", "matching", _child(node, "matching")


def _schedules(where: str, node: Node) -> Iterator[tuple[str, str, Node]]:
    schedules = _child(node, "schedules")
    for key in schedules:
        yield f"{where}.schedules.{key}", "schedule", _child(schedules, key)


def _child(parent: Node, key: str) -> Node:
    """A node inside of another one; empty where overrides put something else there."""
    child = parent.get(key)
    return child if isinstance(child, Mapping) else {}


def _functions(node: Node, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of a node whose values are imported, inner nodes' with their path."""
    for key, value in node.items():
        if key in OWN or key in PICKED:
            yield f"{prefix}{key}", value
        elif isinstance(value, Mapping):
            yield from _functions(value, f"{prefix}{key}.")


@of_files
def _named_anywhere(key: str) -> frozenset[str]:
    """Every value that option files give a key, or offer in a comment, as in `# or view: a.b`."""
    values = re.compile(rf"\b{key}: *([\w.]+)")
    paths = [path for folder in folders() for path in folder.glob("**/*.yaml")]
    return frozenset(name for path in paths for name in values.findall(path.read_text()))


@of_files
def _stated(group: str, name: str) -> dict[str, Any]:
    """The functions that an option's file names, or a file that it is based on."""
    try:
        content = option(group, name)
    except BadInput:
        return {}
    functions: dict[str, Any] = {}
    for entry in content.get("defaults", []):
        # The forms that give an option a base: `other`, `/file@_here_`.
        if isinstance(entry, str) and entry != "_self_":
            path, _, package = entry.partition("@")
            folder, _, base = path.strip("/").rpartition("/")
            if package in ("", "_here_"):
                functions |= _stated(folder if "/" in path else group, base)
    return functions | dict(_functions(content))


@lru_cache(maxsize=1024)
def _loaded(path: Path, time: int, size: int) -> Any:
    """A file, parsed once for as long as its time and size are the same."""
    return OmegaConf.load(path)
