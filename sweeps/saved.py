"""A study as it was launched, kept under the root, so that it can be launched again by name."""

from dataclasses import asdict
from pathlib import Path

from omegaconf import OmegaConf

from kdlab.record import write_whole
from kdlab.schema import parse
from sweeps import overrides
from sweeps.checks import check_trust
from sweeps.schema import Study

NAME = "study.yaml"


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
    """What `save` wrote."""
    page = OmegaConf.to_container(OmegaConf.load(folder / NAME))
    assert isinstance(page, dict)
    study = parse(Study, page["study"], folder.name)
    check_trust(study)
    return study, tuple(page["overrides"])
