"""Reading a study file."""

from pathlib import Path

from omegaconf import OmegaConf

from kdlab.schema import BadInput, parse
from sweeps.checks import check
from sweeps.schema import Study

STUDIES = Path(__file__).resolve().parent / "studies"


def load(name: str) -> Study:
    """The study of a file, or of a name in `sweeps/studies`.

    Raises:
        BadInput: no such study, or a key that is wrong.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else STUDIES / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(other.stem for other in STUDIES.glob("*.yaml")))
        raise BadInput(f"no study {name!r}; there: {known}; or give a .yaml file")
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except Exception as error:
        raise BadInput(f"{path}: {' '.join(str(error).split())}") from None
    if isinstance(content, dict):
        if "name" in content:
            raise BadInput(f"{path.stem}: name: unknown key; a study is named by its file")
        content["name"] = path.stem
    study = parse(Study, content, path.stem)
    check(study)
    return study
