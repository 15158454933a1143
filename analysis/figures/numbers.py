"""Numbers beside points, where they cover neither points nor one another.

Each number in turn takes the place around its point that covers least: offsets at 12 angles and
six distances are tried. The library adjustText (1.4) was tried in its place: given the same
markers to avoid, its numbers still touch some of them and the frame, and it takes twenty times as
long.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = 7.0  # points, of the letters
RADII = (7.0, 11.0, 16.0, 22.0, 30.0, 40.0)  # points
ANGLES = tuple(math.radians(30 * k + 15) for k in range(12))
POINT = 2.8  # half a marker, in points
# To a number that is further off.
LINE = {"arrowstyle": "-", "linewidth": 0.4, "color": "0.4", "shrinkA": 0, "shrinkB": 2.5}
LETTERS: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "center"}
LETTERS |= {"fontsize": SIZE, "zorder": 4}
Box = tuple[float, float, float, float]  # left, bottom, right, top


def number(ax: "Axes", points: Sequence[tuple[float, float, str]]) -> None:
    """Write beside each point (x, y, text) its text; those further off get a thin line.

    The figure has to be settled (`drawing.settled`): positions depend on the layout.
    """
    from matplotlib.patheffects import withStroke

    positions, panel = _positions(ax, points)
    taken = [(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in positions]
    for (x, y, text), position in zip(points, positions, strict=True):
        # Of offsets that cover equally little the first: the nearest, as radii come before angles.
        dx, dy = min(
            ((r * math.cos(a), r * math.sin(a)) for r in RADII for a in ANGLES),
            key=lambda offset: _cost(_box(position, offset, text), taken, panel),
        )
        taken.append(_box(position, (dx, dy), text))
        is_far = math.hypot(dx, dy) > RADII[0] + 1
        halo = [withStroke(linewidth=1.5, foreground="white")]
        arrow = LINE if is_far else None
        ax.annotate(text, (x, y), (dx, dy), arrowprops=arrow, path_effects=halo, **LETTERS)


def _positions(
    ax: "Axes", points: Sequence[tuple[float, float, str]]
) -> tuple[list[tuple[float, float]], Box]:
    """Where the points and the panel are, in points of the page."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    scale = 72 / figure.dpi  # from pixels; a point is 1/72 inch
    positions = [ax.transData.transform((x, y)) * scale for x, y, _ in points]
    box = ax.get_window_extent()
    panel = (box.x0 * scale, box.y0 * scale, box.x1 * scale, box.y1 * scale)
    return [(float(x), float(y)) for x, y in positions], panel


def _box(position: tuple[float, float], offset: tuple[float, float], text: str) -> Box:
    """The box of a number. All digits are equally wide, so that none is drawn to measure it."""
    x, y = position[0] + offset[0], position[1] + offset[1]
    width = 0.33 * SIZE * len(text)  # to each side; a digit of DejaVu Sans is 0.64 of its size wide
    return x - width, y - 0.45 * SIZE, x + width, y + 0.45 * SIZE


def _cost(box: Box, taken: Sequence[Box], panel: Box) -> float:
    """How bad a box is: the area of other boxes that it covers, and its area outside the panel."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    return sum(_shared(box, other) for other in taken) + area - _shared(box, panel)


def _shared(one: Box, other: Box) -> float:
    """The area that two boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)
