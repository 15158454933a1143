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

COLUMN, PAGE = 3.3, 6.9  # inches of a paper's column, and of its two columns
TALLEST = 8.0  # inches of the panels of one figure: a page of a paper is about 9 inches tall
TEXT, SMALL = 8.0, 7.0  # points: what is smaller than 7 cannot be read in print
LINE, LETTER = 0.16, 0.058  # inches of a line of the key, and of a letter in it
NAME = 28  # letters in a line of a row's name: about half of a column
ROWS = {1: 0.17, 2: 0.28}  # inches of a row, by the lines of its name
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
    "text.parse_math": False,  # rows are labelled by studies: a dollar is a dollar
    "svg.hashsalt": "kdlab",  # ids in an SVG are random without it: same figure, same bytes
    "savefig.dpi": 200,
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
LINES: tuple[Any, ...] = (
    *("-", "--", "-.", ":"),
    *((0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 1, 1, 1)), (0, (1, 3))),
)
# Lines first: a tile of dots takes 150 kB of an SVG.
HATCHES = ("", "///", "xxx", "\\\\\\", "+++", "...", "ooo", "***")
MOST = len(MARKERS)  # signs that a reader can tell apart
Sign = dict[str, Any]
# What a test says of a difference: told apart by shape and filling, as no hue is needed.
SIGNIFICANT: Sign = {"marker": "o", "markerfacecolor": "black"}
EQUAL: Sign = {"marker": "s", "markerfacecolor": "0.6"}
NOT_SIGNIFICANT: Sign = {"marker": "o", "markerfacecolor": "white"}
NO_TEST: Sign = {"marker": "D", "markerfacecolor": "white", "markersize": 3.2}
VERDICT: Sign = {"color": "black", "linestyle": "none", "markersize": 4, "elinewidth": 0.9}
VERDICT |= {"capsize": 2, "zorder": 3}  # of all four
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
    """A figure of `count` panels: a column wide if none is beside another, else a page wide.

    Args:
        count: at least one.
        per_row: panels beside each other at most.
        height: of a panel, in inches.
        is_wide: a page wide in any case.
        how: what `Figure.subplots` takes.
    """
    from matplotlib.figure import Figure

    columns = min(count, per_row)
    rows = math.ceil(count / columns)
    width = COLUMN if columns == 1 and not is_wide else PAGE
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
    """A key below the panels, which gets room of its own.

    Labels that are wider than the figure are broken. The figure grows by the key's lines, as panels
    of a paper shall all have the same height.
    """
    from matplotlib.container import ErrorbarContainer
    from matplotlib.legend_handler import HandlerErrorbar

    if not labels:
        return
    width, height = figure.get_size_inches()
    sign, gap = 0.42, 0.1  # inches: of a sign, and between columns
    texts = [textwrap.fill(text, int((width - sign - gap) / LETTER)) for text in labels]
    longest = max(len(line) for text in texts for line in text.splitlines())
    each = LETTER * longest + sign
    columns = max(1, min(len(texts), int((width + gap) / (each + gap))))
    rows = math.ceil(len(texts) / columns)
    # A column of the key has every `rows`-th label or so: none has more lines than the longest do.
    lines = sum(sorted(text.count("\n") + 1 for text in texts)[-rows:])
    figure.set_size_inches(width, height + LINE * lines + 0.1)
    apart = {"handlelength": 2.6, "columnspacing": 1.2, "labelspacing": 0.3, "borderpad": 0.2}
    # Bars as long as the default would be hidden by their marker.
    bars = {ErrorbarContainer: HandlerErrorbar(xerr_size=1.1, yerr_size=0.9)}
    figure.legend(
        handles, texts, loc="outside lower center", ncols=columns, handler_map=bars, **apart
    )


def batches(names: Sequence[Any], most: int) -> list[list[Any]]:
    """Names in batches of about the same size, at most `most` each: 45 by 40 are 23 and 22."""
    count = math.ceil(len(names) / most)
    size = math.ceil(len(names) / max(1, count))
    return [list(names[i : i + size]) for i in range(0, len(names), max(1, size))]


def file_name(name: str) -> str:
    """A name in which all but letters, digits and `.+=-_` is replaced by `_`."""
    return re.sub(r"[^\w.+=-]+", "_", name)


def roomy(axis: "Axis") -> None:
    """Make an axis of scores span two points at least, so that noise does not fill a panel."""
    from matplotlib.axis import XAxis

    low, high = axis.get_view_interval()  # what matplotlib chose, with its margins
    middle = (low + high) / 2
    limit = axis.axes.set_xlim if isinstance(axis, XAxis) else axis.axes.set_ylim
    limit(min(low, middle - 1), max(high, middle + 1))


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


def row_names(names: Sequence[str]) -> list[str]:
    """Names of rows as they stand beside a panel, in one or two lines; what is longer is cut."""
    return [wrapped(name.replace(" x ", " × "), NAME) for name in names]


def row_height(names: Sequence[str]) -> float:
    """Inches of a row of a panel that has such names beside it."""
    return ROWS[max((name.count("\n") + 1 for name in row_names(names)), default=1)]


def rows_of_page(names: Sequence[str]) -> list[list[Any]]:
    """Names in batches of which each has room on a page, a row below the other."""
    return batches(names, int(TALLEST / row_height(names)))


def rows(ax: "Axes", names: Sequence[str]) -> None:
    """Write names of rows beside a panel, the first at the top, each with a thin line to follow."""
    ax.set_yticks(range(len(names)), row_names(names))
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis="y", linewidth=0.3, color="0.85")
    ax.set_axisbelow(True)


def logarithmic(axis: "Axis", low: float, high: float) -> None:
    """Put plain numbers on a logarithmic axis: few where it spans many decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    if high / low < 4:  # of 1, 2 and 5 times a power of ten there may be one, or none
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    else:
        axis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 100 else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
