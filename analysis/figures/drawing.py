"""Drawings: a figure with its caption, and notes on what was not drawn and why."""

import base64
import io
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from analysis.figures.style import paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Without dates, and without the version of what wrote it: same records, same bytes.
METADATA: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}
NAMES = ("pareto", "width_depth", "effects", "curves", "shares")
FORMATS = ("pdf", "png", "svg")


@dataclass(frozen=True)
class Drawing:
    """A figure, its name (of its file, too) and its caption. In a notebook it shows itself."""

    name: str
    figure: "Figure"
    caption: str

    def _repr_html_(self) -> str:
        return html(self)


def settled(figure: "Figure") -> "Figure":
    """The figure with its layout fixed: computed anew at each drawing, parts would creep."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


@dataclass(frozen=True)
class Gallery:
    """Figures in order, and a line for each that could not be drawn: why, and what would help."""

    drawings: tuple[Drawing, ...] = ()
    notes: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        shown = [html(drawing) for drawing in self.drawings]
        return "\n".join([*shown, *(f"<p>{escape(note)}</p>" for note in self.notes)])


NOTHING = Gallery(notes=("no figures: the frame has no rows; was too much of it filtered out?",))


def rendered(figure: "Figure", kind: str) -> bytes:
    """The bytes of a figure's file: the same for the same figure."""
    content = io.BytesIO()
    with paper():
        figure.savefig(content, format=kind, metadata=METADATA[kind])
    return content.getvalue()


def html(drawing: Drawing) -> str:
    """The figure and its caption, to stand in any page without a file beside it."""
    data = base64.b64encode(rendered(drawing.figure, "svg")).decode()
    caption = escape(drawing.caption)
    return (
        f'<figure><img alt="{caption}" style="max-width: 100%" '
        f'src="data:image/svg+xml;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
