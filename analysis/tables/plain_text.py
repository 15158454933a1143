"""Texts of a study, escaped so that Markdown and spreadsheets show them as they are.

Labels, questions and overrides are anybody's text: in Markdown none of it becomes HTML, a link or
emphasis, in CSV none a formula. HTML is escaped by its templates, LaTeX in `analysis.tables.latex`.
"""

import re

ACTIVE = re.compile(
    r"[\\`<|$]"  # an escape, code, HTML, the end of a column, a formula
    r"|&(?=#?\w+;)"  # an entity
    r"|\](?=[(\[:])|\[(?=[ xX]\])"  # a link, an image or what defines one; a box to tick
    r"|(?<![\]*\s])\*+|\*+(?=[^\s*])"  # emphasis; not the mark after an interval's bracket
    r"|(?<![^\W_])_+|_+(?![^\W_])"  # as between words only
    r"|~(?=\S)|(?<=\S)~"
)
START = re.compile(r"^(\d*)(>|(?:[+*.)-]|#+)(?=\s|$))")  # of a quote, a heading, a list
BEFORE = r"\1\\\2"
CODE = re.compile(r"(`[^`\n]+`)")
FORMULA = re.compile(r"\s*[=+\-@]|[\t\n]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def literal(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    one_line = re.sub(r"\s*[\r\n]+\s*", " ", text)
    return ACTIVE.sub(lambda match: "".join(f"\\{sign}" for sign in match[0]), one_line)


def prose(text: str) -> str:
    """Sentences in which `this` is code and all else is shown as it is."""
    parts = CODE.split(text)
    # Even parts are outside of backticks, odd ones inside.
    parts[0::2] = [literal(part) for part in parts[0::2]]
    return "".join(parts)


def item(text: str) -> str:
    """A line of a list, of text that is `literal` or `prose` already."""
    return f"- {START.sub(BEFORE, text)}"


def code(text: str) -> str:
    """Text as code in Markdown, also where it has backticks itself."""
    # CommonMark: code ends at as many backticks as it began with, so one more than it has.
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    one_line = re.sub(r"[\r\n]+", " ", text)
    return f"{fence}{space}{one_line}{space}{fence}"


def cell(value: object) -> object:
    """A value of CSV: text that a spreadsheet would compute begins with an apostrophe.

    Numbers stay numbers, also where they are written as text.
    """
    if not isinstance(value, str):
        return value
    text = re.sub("\r\n?", "\n", value)  # in CSV a lone carriage return would end a line
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text
