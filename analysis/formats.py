"""A table as Markdown, LaTeX, HTML and CSV."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.shown import (
    BEST,
    LEFT_OUT,
    NOT_PLANNED,
    PLAIN,
    SECOND,
    Entry,
    Shown,
    models_differ,
    shown,
)
from analysis.tables import Table

TEMPLATES = Path(__file__).with_name("templates")


def markdown(table: Table) -> str:
    """The table, what its numbers are, and what its rows are."""
    found = shown(table)
    rows = [[_markdown(entry) for entry in row] for row in _rows(found)]
    wide = pd.DataFrame(rows, columns=found.heads)
    lines = [f"**{table.name}** ({table.split}): {table.question}", ""]
    lines += [wide.to_markdown(index=False, disable_numparse=True), ""]
    lines += [f"- {note}" for note in (explanation(table), *table.notes)]
    lines += [f"- {row}: `{overrides}`" for row, overrides in table.legend.items()]
    return "\n".join(lines) + "\n"


def latex(table: Table) -> str:
    """A booktabs table, as wide as the text at most; needs \\usepackage{booktabs,graphicx}."""
    found = shown(table)
    rows = [[_latex(entry) for entry in row] for row in _rows(found)]
    wide = pd.DataFrame(rows, columns=[escaped(head) for head in found.heads])
    styled = wide.style.hide(axis="index")
    tabular = styled.to_latex(hrules=True, column_format="l" + "r" * (len(found.heads) - 1))
    notes = [explanation(table), *table.notes]
    notes += [f"{row}: `{overrides}`" for row, overrides in table.legend.items()]
    below = "\\\\\n".join(_tex_note(_sentence(note)) for note in notes)
    return (
        "\\begin{table}[p]\n\\centering\n"
        f"\\caption{{{escaped(table.name)} ({table.split}): {escaped(table.question)}}}\n"
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
        f"{_ruled(tabular, found)}}}\n"
        "\\par\\smallskip\n\\begin{minipage}{\\linewidth}\\raggedright\\footnotesize\n"
        f"{below}\n\\end{{minipage}}\n\\end{{table}}\n"
    )


def html(table: Table) -> str:
    """A figure with the table and its notes, to stand in any page."""
    found = shown(table)
    text: str = _template("table.html").render(
        table=table, grid=found, explanation=explanation(table)
    )
    return text


def csv(table: Table) -> str:
    """One line a cell, in points, unrounded."""
    rows = [
        {"table": table.name, "split": table.split, "row": row, "column": column, **cell.__dict__}
        for (row, column), cell in table.cells.items()
    ]
    return str(pd.DataFrame(rows).to_csv(index=False))


FORMATS: dict[str, Callable[[Table], str]] = {
    "md": markdown,
    "tex": latex,
    "html": html,
    "csv": csv,
}


def explanation(table: Table) -> str:
    """What a cell says."""
    texts = {entry.text for row in shown(table).students for entry in row}
    said = [
        "Cells: mean ± standard deviation over seeds, in points (runs); (runs/expected) where some "
        "are missing. Δ: the paired difference to the control with a 95 % bootstrap interval over "
        "teachers, seeds and examples. Bold: the best of rows that have all their runs and none "
        "degenerate, baselines aside; underlined: the second."
    ]
    if table.layout.models or models_differ(table):
        said.append("FLOPs and latency: of one row of 128 tokens, latency where the runs were.")
    if LEFT_OUT in texts:
        said.append(f"{LEFT_OUT}: cannot apply, left out while planning.")
    if NOT_PLANNED in texts:
        said.append(f"{NOT_PLANNED}: not in this study.")
    return " ".join(said)


def _rows(found: Shown) -> list[list[Entry]]:
    return [*found.baselines, *found.students, *found.published]


MARKDOWN = {PLAIN: "{}", BEST: "**{}**", SECOND: "<u>{}</u>"}
LATEX = {PLAIN: "{}", BEST: r"\textbf{{{}}}", SECOND: r"\underline{{{}}}"}


def _markdown(entry: Entry) -> str:
    return MARKDOWN[entry.emphasis].format(entry.text.replace("|", r"\|"))


def _latex(entry: Entry) -> str:
    return LATEX[entry.emphasis].format(escaped(entry.text))


def _ruled(tabular: str, found: Shown) -> str:
    """With a rule between the parts of a table."""
    lines = tabular.splitlines()
    start = lines.index(r"\midrule") + 1
    parts = [len(found.baselines), len(found.baselines) + len(found.students)]
    for after in reversed(parts):
        if 0 < after < len(_rows(found)):
            lines.insert(start + after, r"\midrule")
    return "\n".join(lines) + "\n"


def _tex_note(text: str) -> str:
    """A note with its commands in typewriter, breakable."""
    parts = re.split(r"`([^`]*)`", text)
    code = [rf"\texttt{{{escaped(part)}}}".replace(" ", "\\ \\allowbreak ") for part in parts[1::2]]
    prose = [escaped(part) for part in parts[0::2]]
    return "".join(a + b for a, b in zip(prose, [*code, ""], strict=True))


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}{'' if note.endswith('.') else '.'}"


def _template(name: str) -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(TEMPLATES)
    room = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    room.filters["code"] = _with_code
    return room.get_template(name)


def _with_code(text: str) -> Any:
    """Text in which `this` is code, safe to stand in a page."""
    from markupsafe import Markup

    parts = re.split(r"`([^`]*)`", text)
    code = [Markup("<code>{}</code>").format(part) for part in parts[1::2]]
    return Markup("").join(
        a + b for a, b in zip(map(Markup.escape, parts[0::2]), [*code, Markup("")], strict=True)
    )


TEX = {
    "\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$",
    "{": r"\{", "}": r"\}", "^": r"\^{}", "~": r"\~{}", "Δ": r"$\Delta$", "±": r"$\pm$",
    "†": r"$\dagger$", "≈": r"$\approx$", "*": r"$^{*}$", "<": "$<$", ">": "$>$", "–": "--",
    "§": r"\S{}", "¶": r"\P{}", "‖": r"$\Vert$",
    "'": r"\textquotesingle{}", '"': r"\textquotedbl{}",
}  # fmt: skip


def escaped(text: str) -> str:
    """Text as LaTeX shows it."""
    return "".join(TEX.get(character, character) for character in text)
