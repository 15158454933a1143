"""How every figure looks: sizes of a paper's columns, and signs that hold in grey."""

import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from analysis.tables.layout import span_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

COLUMN, PAGE = 3.3, 6.9  # inches
TEXT, SMALL = 8.0, 7.0  # points
LINE = 0.16  # inches of a line of the key
RULES: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.titlelocation": "left",
    "axes.labelsize": TEXT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.1,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.6,
    "pdf.fonttype": 42,  # TrueType: many venues refuse matplotlib's default, Type 3
    "svg.hashsalt": "kdlab",  # ids in an SVG are random without it: same figure, same bytes
    "savefig.dpi": 200,
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
LINES: tuple[Any, ...] = (
    *("-", "--", "-.", ":"),
    *((0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 1, 1, 1)), (0, (1, 3))),
)
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++", "ooo", "***")
MOST = len(MARKERS)  # signs that a reader can tell apart
Sign = dict[str, Any]
TEACHER: Sign = {"color": "black", "linestyle": (0, (6, 3)), "linewidth": 0.8, "zorder": 1}
MAJORITY: Sign = {"color": "0.35", "linestyle": (0, (1, 1.5)), "linewidth": 0.9, "zorder": 1}


@contextmanager
def paper() -> Iterator[None]:
    """matplotlib with our settings alone; the caller's come back after."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's own settings would make other bytes
        matplotlib.rcParams.update(RULES)
        yield


def colours(count: int) -> list[str]:
    """Colours from dark to light, which the colour-blind and a print in grey can tell apart."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    # The last fifth of the scale is left out: its yellow cannot be seen on white.
    positions = [0.8 * i / max(1, count - 1) for i in range(count)]
    return [to_hex(colormaps["viridis"](position)) for position in positions]


def signs(names: Sequence[str]) -> dict[str, Sign]:
    """A colour, a marker and a line for each of at most `MOST` names."""
    several = zip(colours(len(names)), MARKERS, LINES, strict=False)
    return {
        name: {"color": colour, "marker": marker, "linestyle": line}
        for name, (colour, marker, line) in zip(names, several, strict=True)
    }


def panels(
    count: int, *, per_row: int = 3, height: float = 1.9, is_wide: bool = False, **how: Any
) -> tuple["Figure", list["Axes"]]:
    """A figure with `count` panels: a single one is a column wide, several are a page wide.

    Args:
        count: at least one.
        per_row: panels beside each other at most.
        height: of a panel, in inches.
        is_wide: whether one is a page wide, too.
        how: what `Figure.subplots` takes.
    """
    from matplotlib.figure import Figure

    columns = min(count, per_row)
    rows = math.ceil(count / columns)
    width = COLUMN if count == 1 and not is_wide else PAGE
    # Not pyplot, which would keep every figure in memory and may open windows.
    figure = Figure(figsize=(width, rows * height + 0.2), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, **how)
    axes = list(grid.flat)
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def label(axes: Sequence["Axes"], x: str, y: str, per_row: int = 3) -> None:
    """Name the axes of the panels: those of the last row, and those of the first column."""
    columns = min(len(axes), per_row)
    last = len(axes) - (len(axes) - 1) % columns - 1  # the first panel of the last row
    for number, ax in enumerate(axes):
        ax.set_xlabel(x if number >= last else "")
        if number % columns == 0:
            ax.set_ylabel(y)
        if number + columns >= len(axes):  # nothing is below
            ax.tick_params(labelbottom=True)


def key(figure: "Figure", handles: Sequence[Any], labels: Sequence[str]) -> None:
    """A key below the panels, which gets room of its own."""
    if not labels:
        return
    width, height = figure.get_size_inches()
    longest = max(len(label) for label in labels)
    # 0.055 inches a letter and 0.4 for the sign. The figure grows by the key's lines, as panels of
    # a paper shall all have the same height.
    columns = max(1, min(len(labels), int(width / (0.055 * longest + 0.4))))
    rows = math.ceil(len(labels) / columns)
    figure.set_size_inches(width, height + LINE * rows + 0.1)
    apart = {"handlelength": 2.6, "columnspacing": 1.2, "labelspacing": 0.3, "borderpad": 0.2}
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, **apart)


def batches(names: Sequence[Any], most: int) -> list[list[Any]]:
    """Names in batches of about the same size, at most `most` each: 45 by 40 are 23 and 22."""
    count = math.ceil(len(names) / most)
    size = math.ceil(len(names) / max(1, count))
    return [list(names[i : i + size]) for i in range(0, len(names), max(1, size))]


def file_name(name: str) -> str:
    """A name in which all but letters, digits and `.+=-_` is replaced by `_`."""
    return re.sub(r"[^\w.+=-]+", "_", name)


def roomy(ax: "Axes", least: float = 2.0) -> None:
    """Make the axis of scores span at least `least` points, so that noise does not fill a panel."""
    low, high = ax.get_ylim()  # what matplotlib chose, with its margins
    middle = (low + high) / 2
    ax.set_ylim(min(low, middle - least / 2), max(high, middle + least / 2))


def over_runs(counts: Iterable[float]) -> str:
    """The part of a caption on how many runs points and bars are over."""
    positive = {int(count) for count in counts if count}
    if max(positive, default=1) == 1:
        return "one run each"
    return f"mean and standard deviation over {span_text(positive)} runs"


def key_of(axes: Sequence["Axes"]) -> tuple[list[Any], list[str]]:
    """Handles and labels of all panels, each label once, for `key`."""
    by_label: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            by_label.setdefault(label, handle)
    return list(by_label.values()), list(by_label)


def wrapped(text: str, width: int = 26, lines: int = 2) -> str:
    """A panel's title, broken into at most `lines` lines."""
    return textwrap.fill(text.replace("+", " + "), width, max_lines=lines, placeholder=" …")


def balanced(count: int, most: int) -> int:
    """How many panels stand in a row, at most `most`, so that all rows are about equally full.

    Example: 4 panels, 3 at most, are two rows of 2 rather than one of 3 and one of 1.
    """
    return math.ceil(count / math.ceil(count / most))


def logarithmic(axis: "Axis", low: float, high: float) -> None:
    """Put plain numbers on a logarithmic axis: few where it spans many decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 100 else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
