"""What an override may be: an option by its name, or a value of a key; never code, nor a secret.

An override is refused here before Hydra composes anything, with its key and the reason. Where a
spelling of code should get past, `option_files.check_functions` refuses the composed config.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from kdlab.config import option_files, secrets
from kdlab.config.option_files import ITS_FILES
from kdlab.options.memo import of_files

REFERENCE = re.compile(r"\$\{\.*\w+(\.\w+)*\}")  # to another key of the config


def parsed(text: str) -> Override | None:
    """An override as Hydra's parser reads it; None for one that no run may have."""
    override = _override(text)
    is_wrong = override is None or override.is_sweep_override() or refused(text)
    return None if is_wrong else override


@lru_cache(maxsize=4096)
def _override(text: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException:
        return None


@of_files
def refused(text: str) -> str | None:
    """Why a run may not have an override, in one line that names its key; None if it may."""
    if name := secrets.variable_in(text):
        return f"{text.partition('=')[0]}: has the value of {name}, which would stay in files"
    reason = _reason(text)
    return f"{text}: {reason}" if reason else None


def _reason(text: str) -> str | None:
    override = _override(text)
    if override is None or override.is_sweep_override():
        return None  # Hydra has its own words for these
    key, value = override.key_or_group, override.value()
    if key == "hydra.searchpath":
        return "for the command line to say, or for config_dir= of kdlab.compose"
    if re.split(r"\W", key)[0] == "hydra":
        return "Hydra's own settings are no part of a run"
    if is_files_own(key) or option_files.sets_function(value):
        return ITS_FILES
    if any("${" in REFERENCE.sub("", words) for words in _texts(value)):
        return "a value may refer to another key, ${group.key}, and to nothing else"
    return _refused_choice(key, value) if option_files.is_group(key) else None


def is_files_own(key: str) -> bool:
    """Whether a key says which function, or which option, a node is: that is for the file."""
    return "." in key and key.rpartition(".")[2] in {*option_files.OWN, "name"}


def _texts(value: Any) -> Iterator[str]:
    """Every text in an override's value."""
    if isinstance(value, Mapping):
        yield from (words for pair in value.items() for part in pair for words in _texts(part))
    elif isinstance(value, list):
        yield from (words for part in value for words in _texts(part))
    elif value is not None:
        yield str(getattr(value, "text", value))


def _refused_choice(group: str, value: Any) -> str | None:
    """Why a value is no choice among a group's options."""
    if value is None:
        return f"an option must be chosen; {option_files.suggestion(group, 'null')}"
    if isinstance(value, Mapping):
        return f"an option by its name; its keys are said one by one, as {group}.KEY=..."
    if isinstance(value, list) and group != "knowledge":
        return "one option; only knowledge takes several"
    names = [*_texts(value)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        return (
            f"{twice[0]} is there twice; a second one of its kind has a name of its own: "
            f"+{group}@{group}.NAME={twice[0]}"
        )
    if wrong := [name for name in names if name and not option_files.NAME.fullmatch(name)]:
        return f"{wrong[0]!r}: no such option; {option_files.suggestion(group, wrong[0])}"
    return None
