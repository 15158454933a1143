"""Where studies lie. Loads little, since the Tab key waits for it."""

from pathlib import Path

from kdlab import project

STUDIES = Path(__file__).resolve().parents[1] / "studies"


def folders() -> list[Path]:
    """The folders of studies: that of the project that one works in, then kdlab's own."""
    own = project.current()
    return [own.studies, STUDIES] if own else [STUDIES]


def names() -> set[str]:
    """The studies that can be launched by name."""
    return {path.stem for folder in folders() for path in folder.glob("*.yaml")}


def file(name: str) -> Path | None:
    """The file of a study's name; None if there is none. The project's counts before kdlab's."""
    paths = [folder / f"{name}.yaml" for folder in folders()]
    return next((path for path in paths if path.is_file()), None)
