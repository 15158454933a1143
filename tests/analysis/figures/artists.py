"""What a figure holds, as matplotlib keeps it."""

import numpy as np
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from analysis.figures import Gallery


def figure(gallery: Gallery, name: str) -> Figure:
    (found,) = [d.figure for d in gallery.drawings if d.name == name]
    return found


def errorbars(ax) -> dict[str, ErrorbarContainer]:
    return {c.get_label(): c for c in ax.containers if isinstance(c, ErrorbarContainer)}


def points(container: ErrorbarContainer) -> np.ndarray:
    return np.asarray(container.lines[0].get_xydata())
