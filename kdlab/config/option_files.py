"""The files that options are read from: conf/, and the folder of a command line's `--config-dir`.

They alone name functions. A value of an override or of a study never does: whatever its spelling,
a page is refused whose functions are not those that its options' own files name.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from kdlab.errors import BadInput
from kdlab.options import spelling
from kdlab.options.memo import of_files

_PACKAGE = Path(__file__).resolve().parents[1]
# Beside the package in a checkout, inside it in a wheel.
CONF = next(path for path in (_PACKAGE.parent / "conf", _PACKAGE / "conf") if path.is_dir())
OWN = frozenset({"_target_", "package"})  # keys whose values are imported: an option's own
PICKED = frozenset({"view", "holdout"})  # and those that may be any that some file names
NAME = re.compile(r"\w[\w.+-]*")  # an option's; never a path
ITS_FILES = "an option's function and name are its file's to say"
# Groups whose node names a function; the terms of knowledge and their schedules do besides.
ONE_FUNCTION = ("task", "shape", "init", "matching", "tracker", "launcher")
INNER = ("matching", "schedules")  # of a term: nodes of other groups

Node = Mapping[str, Any]


def folders() -> list[Path]:
    """The folders that are searched for options, the first that has one counts."""
    hydra = GlobalHydra.instance()
    if not hydra.is_initialized():
        return [CONF]
    entries = hydra.config_loader().get_search_path().get_path()
    paths = [str(entry.path).removeprefix("file://") for entry in entries]
    return [Path(path) for path in paths if "://" not in path]


def is_group(key: str) -> bool:
    """Whether a key is that of a group of options."""
    return any((folder / key).is_dir() for folder in folders())


def names(group: str) -> list[str]:
    """The options of a group that have a file."""
    return sorted({path.stem for folder in folders() for path in (folder / group).glob("*.yaml")})


def options(group: str) -> list[str]:
    """What a group's choice may be."""
    return [*names(group), "lLAYERS_hWIDTH[_aHEADS]"] if group == "size" else names(group)


def choices(group: str, name: str) -> str:
    """What there is in place of a name that a group does not have."""
    return spelling.choices(name, options(group), "python -m kdlab --help")


def option(group: str, name: str) -> dict[str, Any]:
    """The content of one option's file.

    Raises:
        BadInput: there is none.
    """
    for folder in folders() if NAME.fullmatch(name) else ():
        path = folder / group / f"{name}.yaml"
        if path.is_file():
            return _content(path)
    raise BadInput(f"{group}={name}: no such option")


def check_functions(page: Node) -> None:
    """Refuse a composed page that names other functions than the files of its options do.

    Raises:
        BadInput: naming the key.
    """
    for where, group, node in _nodes(page):
        named = dict(_functions(node))
        stated = _stated(group, str(node.get("name"))) if named else {}
        for key, value in named.items():
            others = _named(key) if key in PICKED else ()
            if stated.get(key) != value and not (isinstance(value, str) and value in others):
                known = f"; they name {', '.join(sorted(others))}" if others else ""
                raise BadInput(f"{where}.{key}={value!r}: {ITS_FILES}{known}")


def sets_function(value: Any) -> bool:
    """Whether a value of an override has a key that names code, or an option, anywhere in it."""
    if isinstance(value, Mapping):
        own = value.keys() & {*OWN, *PICKED, "name"}
        return bool(own) or any(map(sets_function, value.values()))
    return isinstance(value, list) and any(map(sets_function, value))


def _nodes(page: Node) -> Iterator[tuple[str, str, Node]]:
    """Every node that an option fills with a function: its place, its group, and itself."""
    yield from ((group, group, page[group]) for group in ONE_FUNCTION if _is_node(page, group))
    yield from _schedules("hard", page.get("hard"))
    terms = page["knowledge"] if _is_node(page, "knowledge") else {}
    for key in terms:
        if _is_node(terms, key):
            where, node = f"knowledge.{key}", terms[key]
            yield where, "knowledge", {k: v for k, v in node.items() if k not in INNER}
            yield from _schedules(where, node)
            if _is_node(node, "matching"):
                yield f"{where}.matching", "matching", node["matching"]


def _schedules(where: str, node: Any) -> Iterator[tuple[str, str, Node]]:
    found = node["schedules"] if isinstance(node, Mapping) and _is_node(node, "schedules") else {}
    for key in found:
        if _is_node(found, key):
            yield f"{where}.schedules.{key}", "schedule", found[key]


def _is_node(page: Node, key: str) -> bool:
    return isinstance(page.get(key), Mapping)


def _functions(node: Node, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of a node whose values are imported, inner nodes' with their path."""
    for key, value in node.items():
        if key in OWN or key in PICKED:
            yield f"{prefix}{key}", value
        elif isinstance(value, Mapping):
            yield from _functions(value, f"{prefix}{key}.")


@of_files
def _named(key: str) -> frozenset[str]:
    """Every value that the option files give a key, or name as another one in a comment."""
    says = re.compile(rf"\b{key}: *([\w.]+)")
    paths = [path for folder in folders() for path in folder.glob("**/*.yaml")]
    return frozenset(name for path in paths for name in says.findall(path.read_text()))


@of_files
def _stated(group: str, name: str) -> dict[str, Any]:
    """What an option's file, and those that it is based on, say of functions."""
    try:
        return _with_defaults(group, option(group, name))
    except BadInput:
        return {}


def _with_defaults(group: str, content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry in content.pop("defaults", []):
        # The forms that give an option a base: `other`, `/file@_here_`.
        if isinstance(entry, str) and entry != "_self_":
            path, _, package = entry.partition("@")
            room, _, name = path.strip("/").rpartition("/")
            if package in ("", "_here_"):
                found |= _with_defaults(room, option(room if "/" in path else group, name))
    return found | dict(_functions(content))


def _content(path: Path) -> dict[str, Any]:
    state = path.stat()
    return _read(path, state.st_mtime_ns, state.st_size)()


@lru_cache(maxsize=1024)
def _read(path: Path, time: int, size: int) -> Any:
    loaded = OmegaConf.load(path)

    def copy() -> dict[str, Any]:
        content = OmegaConf.to_container(loaded)
        assert isinstance(content, dict)
        return {str(key): value for key, value in content.items()}

    return copy
