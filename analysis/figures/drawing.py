"""Drawings: a figure with its caption, and notes on what was not drawn and why."""

import base64
import io
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from analysis.figures.style import paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Neither the date nor the version of matplotlib goes into a file: the same records shall give the
# same bytes, today and on another machine.
METADATA: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}
BESIDE_TABLES = ("pareto", "width_depth", "effects", "curves", "shares")
NAMES = ("means", *BESIDE_TABLES)
FORMATS = ("pdf", "png", "svg")


@dataclass(frozen=True)
class Drawing:
    """A figure, its name (of its file, too) and its caption. In a notebook it shows itself."""

    name: str
    figure: "Figure"
    caption: str

    def _repr_html_(self) -> str:
        return html(self)


def not_done(study: str) -> str:
    """Why nothing of some runs is drawn if none of them is done."""
    return f"none of its runs is done; python -m sweeps launch {study} --wait"


def settled(figure: "Figure") -> "Figure":
    """The figure with its layout computed and fixed, so that drawing it again moves nothing."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


@dataclass(frozen=True)
class Gallery:
    """Figures in order, and a line for each that could not be drawn: why, and what would help."""

    drawings: tuple[Drawing, ...] = ()
    notes: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        notes = [f"<p>{escape(note)}</p>" for note in self.notes]
        return "\n".join([*map(html, self.drawings), *notes])


NOTHING = Gallery(notes=("no figures: the frame has no rows; was too much of it filtered out?",))


def rendered(figure: "Figure", kind: str) -> bytes:
    """The bytes of a figure's file: the same for the same figure."""
    content = io.BytesIO()
    # matplotlib takes fonts and the salt of an SVG's ids when it writes, not when it draws.
    with paper():
        figure.savefig(content, format=kind, metadata=METADATA[kind])
    return content.getvalue()


def data_url(figure: "Figure") -> str:
    """A figure as the source of an HTML image: the whole SVG is in it, no file beside the page."""
    return f"data:image/svg+xml;base64,{base64.b64encode(rendered(figure, 'svg')).decode()}"


def html(drawing: Drawing) -> str:
    """The figure and its caption, to stand in any page without a file beside it."""
    caption = escape(drawing.caption)
    return (
        f'<figure><img alt="{caption}" style="max-width: 100%" src="{data_url(drawing.figure)}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
