"""A table as Markdown, LaTeX, HTML and CSV."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.tables.latex import latex
from analysis.tables.model import Table
from analysis.tables.plain_text import cell as csv_cell
from analysis.tables.plain_text import code, item, literal, prose
from analysis.tables.text import BEST, MEAN, PLAIN, SECOND, TextCell, explanation, rendered

TEMPLATES = Path(__file__).parents[1] / "templates"


def markdown(table: Table) -> str:
    """The table, what its numbers are, and what its rows are."""
    text = rendered(table)
    rows = [
        [MARKDOWN[cell.emphasis].format(literal(cell.text)) for cell in row] for row in text.rows
    ]
    grid = pd.DataFrame(rows, columns=[literal(head.text) for head in text.columns])
    lines = [f"**{literal(table.name)}** ({table.split}): {prose(table.question)}", ""]
    # Else tabulate would write `83.10` as `83.1`, and right-align some cells of a column.
    lines += [grid.to_markdown(index=False, disable_numparse=True), ""]
    lines += [item(prose(note)) for note in (explanation(table), *table.notes)]
    lines += [
        item(f"{literal(f'{row}:')} {code(overrides)}") for row, overrides in table.legend.items()
    ]
    return "\n".join(lines) + "\n"


def html(table: Table, views: Mapping[tuple[str, str], Any] | None = None) -> str:
    """A figure of HTML with the table and its notes, to stand in any page.

    Args:
        table: to show.
        views: in a report by row and column what a cell has besides (`analysis.report.details`).
    """
    figure: str = template("table.html").render(
        table=table, grid=rendered(table), explanation=explanation(table), views=views, mean=MEAN
    )
    return figure


def csv(table: Table) -> str:
    """One line a cell, in points, to ten digits: those after differ between processors.

    Text that a spreadsheet would compute begins with an apostrophe.
    """
    rows = [
        {"table": table.name, "split": table.split, "row": row, "column": column}
        | numbers.__dict__
        | {"family": "; ".join(numbers.family)}
        for (row, column), numbers in table.cells.items()
    ]
    # The key of a contrast is a digest, which says nothing; a table without cells has none.
    frame = pd.DataFrame(rows).drop(columns="contrast", errors="ignore")
    return str(frame.map(csv_cell).to_csv(index=False, float_format="%.10g"))


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


def template(name: str) -> Any:
    """A template of `analysis/templates`. It escapes texts; a missing variable is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Labels are anybody's text: escaped unless marked as HTML. A name that a template misspells is
    # an error rather than a gap in the page.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {"code": _with_code, "emphasised": _html}
    return environment.get_template(name)


def _html(cell: TextCell) -> Any:
    """A cell as HTML: bold and underlined by tags, as a notebook has no style sheet of ours."""
    from markupsafe import Markup

    return Markup(HTML[cell.emphasis]).format(cell.text)


def _with_code(text: str) -> Any:
    """Text in which `this` is code, safe to stand in a page."""
    from markupsafe import Markup

    # A split by a group gives what is outside of backticks and what is inside in turns.
    forms = (Markup("{}"), Markup("<code>{}</code>"))
    parts = re.split(r"`([^`]*)`", text)
    return Markup("").join(forms[index % 2].format(part) for index, part in enumerate(parts))


def data(table: Table) -> dict[str, Any]:
    """A table as JSON has it: numbers in points, null for what there is not."""

    def number(value: object) -> object:
        return None if isinstance(value, float) and math.isnan(value) else value

    cells = [
        {"row": row, "column": column}
        | {name: number(x) for name, x in asdict(cell).items() if name != "contrast"}
        for (row, column), cell in table.cells.items()
    ]
    said = {"name": table.name, "question": table.question, "split": table.split}
    return said | {"cells": cells, "legend": table.legend, "notes": table.notes}
