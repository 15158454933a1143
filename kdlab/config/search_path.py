"""Folders of options beside conf/, as people who know Hydra name them.

`--config-dir FOLDER` and `hydra.searchpath=[FOLDER, pkg://PACKAGE.FOLDER]` name some, and a
project has one (`kdlab.project`). Hydra asks plugins for its search path whenever it is set up, by
a command line or by `compose`: ours adds the same folders to each.
"""

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin

from kdlab.config import option_files
from kdlab.errors import BadInput

KEY, FLAGS = "hydra.searchpath", ("--config-dir", "-cd")


class OptionFolders(SearchPathPlugin):
    """Adds the folders to the search path of a Hydra that reads kdlab's `conf/`, of no other."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra."""
        paths = [str(entry.path).removeprefix("file://") for entry in search_path.get_path()]
        if str(option_files.CONF) in paths:
            for folder in option_files.own_folders():
                search_path.append("kdlab", f"file://{folder}")


def register() -> None:
    """Make the plugin known to Hydra; a second time changes nothing."""
    if OptionFolders not in Plugins.instance().discover(SearchPathPlugin):
        Plugins.instance().register(OptionFolders)


def split(arguments: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The folders that a command line names, and what else it says, in order.

    Raises:
        BadInput: one is not there.
    """
    named: list[Path] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        flag, _, value = word.partition("=")
        if flag in FLAGS:
            named += folders(value or next(words, ""))
        elif flag.lstrip("+") == KEY:
            named += [_folder(KEY, place) for place in _places(word)]
        else:
            rest.append(word)
    return named, rest


def folders(config_dir: str | None) -> list[Path]:
    """The folder that `--config-dir` names, in a list that is empty where it names none.

    Raises:
        BadInput: it is not there.
    """
    return [] if config_dir is None else [_folder(FLAGS[0], config_dir)]


def _places(override: str) -> list[str]:
    try:
        value = OverridesParser.create().parse_override(override).value()
    except HydraException:
        value = None
    if not isinstance(value, list):
        raise BadInput(f"{override}: a list of folders, such as {KEY}=[/home/me/conf]")
    return [str(getattr(place, "text", place)) for place in value]


def _folder(key: str, place: str) -> Path:
    """The folder of a path, of `file://PATH` or of `pkg://PACKAGE.FOLDER`."""
    path: Path | None = Path(place.removeprefix("file://")).expanduser()
    if place.startswith("pkg://"):
        package, *inner = re.split(r"[./]", place.removeprefix("pkg://"))
        spec = importlib.util.find_spec(package) if package else None
        places = (spec.submodule_search_locations or []) if spec else []
        path = next((Path(home, *inner) for home in places), None)
    if not place or path is None or not path.is_dir():
        raise BadInput(f"{key}: {place or 'it needs a folder'}: no such folder")
    return path.resolve()
