"""A table as Markdown, LaTeX, HTML and CSV."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.tables.latex import latex
from analysis.tables.model import Table
from analysis.tables.plain_text import cell, code, item, literal, prose
from analysis.tables.text import BEST, PLAIN, SECOND, Entry, explanation, shown

TEMPLATES = Path(__file__).parents[1] / "templates"


def markdown(table: Table) -> str:
    """The table, what its numbers are, and what its rows are."""
    found = shown(table)
    rows = [[_markdown(entry) for entry in row] for row in found.rows]
    wide = pd.DataFrame(rows, columns=[literal(head) for head in found.heads])
    lines = [f"**{literal(table.name)}** ({table.split}): {prose(table.question)}", ""]
    lines += [wide.to_markdown(index=False, disable_numparse=True), ""]
    lines += [item(prose(note)) for note in (explanation(table), *table.notes)]
    lines += [item(f"{literal(f'{row}:')} {code(own)}") for row, own in table.legend.items()]
    return "\n".join(lines) + "\n"


def html(table: Table) -> str:
    """A figure with the table and its notes, to stand in any page."""
    found = shown(table)
    text: str = template("table.html").render(
        table=table, grid=found, explanation=explanation(table)
    )
    return text


def csv(table: Table) -> str:
    """One line a cell, in points, to ten digits: those after differ between processors.

    Text that a spreadsheet would compute begins with an apostrophe.
    """
    rows = [
        {"table": table.name, "split": table.split, "row": row, "column": column}
        | own.__dict__
        | {"family": "; ".join(own.family)}
        for (row, column), own in table.cells.items()
    ]
    # Contrasts are known by uids, which say nothing; a table without cells has none.
    frame = pd.DataFrame(rows).drop(columns="contrast", errors="ignore")
    return str(frame.map(cell).to_csv(index=False, float_format="%.10g"))


FORMATS: dict[str, Callable[[Table], str]] = {
    "md": markdown,
    "tex": latex,
    "html": html,
    "csv": csv,
}
HTML = {
    PLAIN: "{}",
    BEST: '<strong class="best">{}</strong>',
    SECOND: '<u class="second">{}</u>',
}
MARKDOWN = {PLAIN: "{}", BEST: "**{}**", SECOND: "<u>{}</u>"}


def _markdown(entry: Entry) -> str:
    return MARKDOWN[entry.emphasis].format(literal(entry.text))


def template(name: str) -> Any:
    """A page of `analysis/templates`: what is put into it is escaped, what it lacks is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(TEMPLATES)
    room = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    room.filters |= {"code": _with_code, "emphasised": _html}
    return room.get_template(name)


def _html(entry: Entry) -> Any:
    """Bold and underlined also where no style sheet is, as in a notebook."""
    from markupsafe import Markup

    return Markup(HTML[entry.emphasis]).format(entry.text)


def _with_code(text: str) -> Any:
    """Text in which `this` is code, safe to stand in a page."""
    from markupsafe import Markup

    parts = re.split(r"`([^`]*)`", text)
    code = [Markup("<code>{}</code>").format(part) for part in parts[1::2]]
    return Markup("").join(
        a + b for a, b in zip(map(Markup.escape, parts[0::2]), [*code, Markup("")], strict=True)
    )
