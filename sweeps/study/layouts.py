"""Layouts: how the table of a block is arranged, a YAML file each.

They lie in `sweeps/layouts`, and in the folder `layouts` of the project that one works in.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from omegaconf import OmegaConf
from pydantic import Field

from kdlab import project
from kdlab.errors import BadInput
from kdlab.options.parsing import parse
from kdlab.options.schema import Text, strict

FOLDER = Path(__file__).resolve().parents[1] / "layouts"
Statistic = Literal["single", "best_mean", "best_run"]


@strict
@dataclass(frozen=True, kw_only=True)
class Published:
    """Numbers of the literature that stand below a table.

    Attributes:
        systems: whose, by their names in `analysis/published`.
        paper: that reports them; null: any.
        statistics: which of several numbers of one system; null: all.
        ranked: whether those on dev are ranked with ours; else they are only shown.
    """

    systems: Annotated[list[Text], Field(min_length=1)]
    paper: Text | None = None
    statistics: list[Statistic] | None = None
    ranked: bool = False


@strict
@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a table is arranged. Columns are those of the frame of `analysis.load`.

    Attributes:
        name: of the table; empty: as the study calls it.
        rows: columns whose values name a row; none: the study's own labels. `model` is layers by
            width, such as `6x768`, which sizes and shapes come to.
        columns: columns whose values stand before the task in a column's name: by `init` there is
            `random: rte accuracy` beside `copied: rte accuracy`.
        about: the option group that rows must have one of; arms without knowledge stay beside.
        spread: whether an arm that others are compared with stands in each of their columns.
        models: whether parameters, FLOPs and latency are shown even where all rows share them.
        of_teacher: whether each score is also given in percent of its teacher's.
        published: numbers of the literature to show below.
    """

    name: str = ""
    rows: list[Text] = field(default_factory=list)
    columns: list[Text] = field(default_factory=list)
    about: Text | None = None
    spread: bool = False
    models: bool = False
    of_teacher: bool = False
    published: Published | None = None

    @property
    def axes(self) -> list[str]:
        """The axes that its rows and columns are named by; `model` stands for two."""
        return [*self.rows, *self.columns, *(("size", "shape") if "model" in self.rows else ())]


def names() -> list[str]:
    """The names of all layouts."""
    return sorted(_files())


def read(name: str) -> Layout:
    """The layout of a name; the project's counts before kdlab's, as a study does.

    Raises:
        BadInput: no layout is called so, its file is no YAML, or a key in it is wrong.
    """
    path = _files().get(name)
    if path is None:
        raise BadInput(f"layout {name}: no such table; there: {', '.join(names())}")
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
        if not isinstance(content, dict):
            raise BadInput("a layout is keys with values")
        return parse(Layout, content)
    except Exception as error:  # whatever YAML, OmegaConf and `parse` find wrong with a text
        raise BadInput(f"layout {name} ({path}): {' '.join(str(error).split())}") from None


def _files() -> dict[str, Path]:
    """The file of each layout, by its name."""
    own = project.current()
    folders = [FOLDER, own.layouts] if own else [FOLDER]
    return {path.stem: path for folder in folders for path in folder.glob("*.yaml")}
