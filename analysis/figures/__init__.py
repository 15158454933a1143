"""Figures of a study, for a paper or a notebook: `pareto(runs)` and others, each a `Gallery`.

They read in print and in grey: markers, lines and hatches differ, not colours alone. What cannot be
drawn is a line that says why.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from analysis.figures.curves import curves
from analysis.figures.drawing import (
    BESIDE_TABLES,
    FORMATS,
    NAMES,
    NOTHING,
    Drawing,
    Gallery,
    html,
    rendered,
)
from analysis.figures.effects import effects
from analysis.figures.means import means
from analysis.figures.pareto import pareto
from analysis.figures.shares import shares
from analysis.figures.width_depth import width_depth
from analysis.tables.arrange import arranged
from kdlab.errors import BadInput
from kdlab.storage.durable import write_whole

__all__ = [
    "BESIDE_TABLES", "FORMATS", "NAMES", "Drawing", "Gallery", "by_kind", "curves", "effects",
    "every", "html", "means", "pareto", "rendered", "shares", "width_depth", "write",
]  # fmt: skip


def every(runs: pd.DataFrame, only: Sequence[str] = NAMES) -> Gallery:
    """All figures of a study, in one gallery; the study's tables are made once.

    Args:
        runs: as `analysis.load` gives them.
        only: names of figure functions.
    """
    if runs.empty:
        return NOTHING
    galleries = by_kind(runs, only).values()
    return Gallery(
        tuple(drawing for gallery in galleries for drawing in gallery.drawings),
        tuple(note for gallery in galleries for note in gallery.notes),
    )


def by_kind(runs: pd.DataFrame, only: Sequence[str] = BESIDE_TABLES) -> dict[str, Gallery]:
    """Figures of a study, a gallery for each figure function, by its name.

    Args:
        runs: as `analysis.load` gives them.
        only: names of figure functions; by default those of the study, beside those of its tables.
    """
    if runs.empty:
        return dict.fromkeys(only, NOTHING)
    # Tables are made once for all that draw cells; by lambdas only what is asked for is drawn.
    needed = {"means", "pareto", "width_depth"} & set(only)
    tables = arranged(runs) if needed else []
    draw: dict[str, Callable[[], Gallery]] = {
        "means": lambda: means(runs, tables),
        "pareto": lambda: pareto(runs, tables),
        "width_depth": lambda: width_depth(runs, tables),
        "effects": lambda: effects(runs),
        "curves": lambda: curves(runs),
        "shares": lambda: shares(runs),
    }
    return {name: draw[name]() for name in NAMES if name in only}


def write(gallery: Gallery, folder: str | Path, kind: str = "pdf") -> list[Path]:
    """Write each figure whole as `FOLDER/NAME.KIND`; the paths in order.

    Args:
        gallery: of one figure function, or of `every`.
        folder: made where it is missing.
        kind: pdf, png (200 dots an inch) or svg.

    Raises:
        BadInput: if the kind is another.
    """
    if kind not in FORMATS:
        raise BadInput(f"format {kind!r}: one of {', '.join(FORMATS)}")
    paths = []
    for drawing in gallery.drawings:
        path = Path(folder) / f"{drawing.name}.{kind}"
        write_whole(path, rendered(drawing.figure, kind))
        paths.append(path)
    return paths
