"""A table as LaTeX: in panels, one below the other, so that it is as wide as the text and no wider.

It stands where it is put and may break over pages; within a `table` environment it floats.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import chain

from analysis.tables.model import Table
from analysis.tables.text import BEST, PLAIN, SECOND, TextCell, TextTable, explanation, rendered

WIDTH = 100  # characters of a panel in \scriptsize, on the text of an article
APART = 2  # characters between two columns
LINES = 56  # of a panel, on a page
STYLE = "\\scriptsize\\setlength{\\tabcolsep}{3pt}"
BELOW = "\\par\\smallskip\n"
EMPHASIS = {BEST: r"\textbf{{{}}}", SECOND: r"\underline{{{}}}"}
MINUS = re.compile(r"(?<!\w)-(?=\d)")  # a hyphen before a number of its own
Group = tuple[str, list[int]]  # a task and metric, and the numbers of its columns


def latex(table: Table) -> str:
    r"""The table and its notes as LaTeX that needs \usepackage{booktabs,graphicx}."""
    grid = rendered(table)
    notes = [explanation(table), *table.notes]
    notes += [f"{row}: `{overrides}`" for row, overrides in table.legend.items()]
    lines = "\\\\\n".join(_note(f"{text[0].upper()}{text[1:]}") for text in notes)
    panels = [page for groups in _panels(grid) for page in _panel(grid, groups)]
    caption = f"{escaped(table.name)} ({table.split}): {escaped(table.question)}"
    return (
        # \caption needs a float unless it is told what it is a caption of.
        "\\begingroup\\makeatletter\\def\\@captype{table}\\makeatother\n"
        # In one box, so that no page ends between the caption and the first panel.
        "\\noindent\\begin{minipage}{\\linewidth}\\centering\n"
        f"\\caption{{{caption}}}\\medskip\n{STYLE}\n{panels[0]}\\end{{minipage}}\n"
        f"\\par\\smallskip\\centering{STYLE}\n"
        f"{''.join(f'{panel}{BELOW}' for panel in panels[1:])}"
        f"\\raggedright\n{lines}\n\\par\\endgroup\\bigskip\n"
    )


def _panels(table_text: TextTable) -> list[list[Group]]:
    """The columns in as few panels as possible, each no wider than the page, unless a group is."""
    labels = _width(table_text, [0])
    panels: list[list[Group]] = [[]]
    free = WIDTH - labels  # characters
    for of, columns in table_text.groups:
        indices = [index for index in columns if index]  # the first is the rows' names
        if not indices:
            continue
        width = max(_width(table_text, indices), max(map(len, _lines(of))) + APART)
        if width > free and panels[-1]:
            panels.append([])
            free = WIDTH - labels
        panels[-1].append((of, indices))
        free -= width
    return panels


def _width(table_text: TextTable, indices: Sequence[int]) -> int:
    """Characters of columns side by side."""
    rows = [[table_text.columns[index].part for index in indices]]
    rows += [[row[index].text for index in indices] for row in table_text.rows]
    return sum(max(map(len, column)) + APART for column in zip(*rows, strict=True))


def _panel(table_text: TextTable, groups: Sequence[Group]) -> list[str]:
    """The LaTeX of some columns, with the rows that have something in them, page by page."""
    indices = list(chain.from_iterable(columns for _, columns in groups))
    lines: list[str] = []
    for part in (table_text.baselines, table_text.students, table_text.published):
        rows = [_row(row, indices) for row in part if any(row[index].text for index in indices)]
        lines += ["\\midrule\n", *rows] if rows else []
    pages = [lines[n : n + LINES] for n in range(0, len(lines), LINES)]
    return [_tabular(_heads(table_text, groups), page, len(indices)) for page in pages]


def _tabular(heads: str, lines: Sequence[str], columns: int) -> str:
    """One `tabular`, shrunk if it is still wider than the text."""
    # A page may begin within a part of the table, whose rule then is on the page before.
    rule = "" if lines[0].startswith("\\midrule") else "\\midrule\n"
    return (
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
        f"\\begin{{tabular}}{{l{'r' * columns}}}\n\\toprule\n"
        f"{heads}{rule}{''.join(lines)}\\bottomrule\n\\end{{tabular}}}}\n"
    )


def _row(row: Sequence[TextCell], indices: Sequence[int]) -> str:
    return f"{' & '.join(_entry(row[index]) for index in [0, *indices])} \\\\\n"


def _entry(entry: TextCell) -> str:
    """A cell. Only its number is emphasised: a line under brackets would run into the next row."""
    number, space, rest = MINUS.sub("−", entry.text).partition(" ")
    if entry.emphasis == PLAIN:
        return escaped(number + space + rest)
    return EMPHASIS[entry.emphasis].format(escaped(number)) + escaped(space + rest)


def _heads(table_text: TextTable, groups: Sequence[Group]) -> str:
    """The head: tasks and metrics in a first line, each above its columns' own heads."""
    above, rules, column = [""], "", 2  # columns of LaTeX count from 1, the first has the labels
    for of, indices in groups:
        lines = r"\\".join(map(escaped, _lines(of)))
        text = rf"\shortstack{{{lines}}}" if len(_lines(of)) > 1 else lines
        above.append(rf"\multicolumn{{{len(indices)}}}{{c}}{{{text}}}")
        rules += f"\\cmidrule(lr){{{column}-{column + len(indices) - 1}}}" if of else ""
        column += len(indices)
    parts = [escaped(table_text.columns[index].part) for _, indices in groups for index in indices]
    first = f"{' & '.join(above)} \\\\{rules}\n" if rules else ""
    return f"{first}{' & '.join(['', *parts])} \\\\\n"


def _lines(of: str) -> list[str]:
    """The lines of a head over several columns: `logits: sst2 accuracy` is broken at the colon."""
    return of.replace(": ", ":\n").split("\n")


def _note(text: str) -> str:
    """A note, its commands in typewriter, breakable."""
    parts = re.split(r"`([^`]*)`", text if text.endswith(".") else f"{text}.")
    # A command is longer than a line, and \texttt alone breaks nowhere.
    code = [
        rf"\texttt{{{escaped(part, CODE)}}}".replace(" ", "\\ \\allowbreak ")
        for part in parts[1::2]
    ]
    prose = [escaped(part) for part in parts[0::2]]
    return "".join(a + b for a, b in zip(prose, [*code, ""], strict=True))


TEX = {
    "\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"{\char36}",
    "{": r"\{", "}": r"\}", "^": r"\^{}", "~": r"\~{}", "<": "$<$", ">": "$>$", "*": r"$^{*}$",
    "\n": " ", "\r": " ", "\t": " ",
    "|": r"\textbar{}", "'": "'{}", '"': r"{\char34}", "`": "`{}", "[": "{[}",
    "Δ": r"$\Delta$", "±": r"$\pm$", "≈": r"$\approx$", "−": "$-$",
    "–": "--", "†": r"$\dagger$", "§": r"$\mathsection$", "¶": r"$\mathparagraph$", "‖": r"$\Vert$",
}  # fmt: skip


# In typewriter: straight, as a shell needs it, in every encoding.
CODE = {**TEX, "'": r"{\fontencoding{OT1}\selectfont\char13}"}


def escaped(text: str, symbols: Mapping[str, str] = TEX) -> str:
    """Text as LaTeX shows it."""
    return "".join(symbols.get(character, character) for character in text)
