"""Whatever a study calls its rows stays text: in Markdown, in HTML and in a spreadsheet."""

import csv
import io
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from analysis.statistics.cells import Cell
from analysis.tables import formats, plain_text
from analysis.tables.model import Table

OURS = {"bullet_list", "list_item", "paragraph", "inline", "text", "code_inline", "strong",
        "softbreak", "table", "thead", "tbody", "tr", "th", "td"}  # fmt: skip
ACTIVE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    r"\<b>bold</b>",
    r"\\<b>bold</b>",
    "a` <b>x</b>",
    "a`` <b>x</b> ` <i>",
    "[click](javascript:alert(1))",
    "![](http://example.org/x.png)",
    "[CLS]",
    "[a][b] [ ] [x] y",
    "**strong** and *em* and __strong__ and _em_",
    "~~gone~~ ~so~",
    "&lt;b&gt; &#60;b&#62;",
    "a | b || c",
    "a\n\n# heading\n\n<b>",
    "# heading",
    "> quote",
    ">quote",
    "- item",
    "+ item",
    "1. item",
    "2) item",
    "***",
    "<!-- comment",
    "<https://example.org>",
]
HARMLESS = ["hidden MSE, size=l3_h384", "[CLS] PKD and logits", "50 % & more", "none, skip", "C#"]


def table_of(label: str) -> Table:
    cell = Cell(2, 2, 50.0, 1.0)
    return Table(
        name=label, question=label, split="report", rows=["plain", label], columns=[f"{label} x"],
        cells={("plain", f"{label} x"): cell, (label, f"{label} x"): cell},
        legend={label: f"knowledge={label}"}, notes=[label, f"rows differ in: {label}"],
    )  # fmt: skip


def tokens(text: str):
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for token in parser.parse(text):
        yield token
        yield from token.children or ()


@pytest.mark.parametrize("label", [*ACTIVE, *HARMLESS])
def test_a_label_is_nothing_but_text_in_markdown(label):
    text = formats.markdown(table_of(label))
    found = list(tokens(text))
    kinds = {token.type.removesuffix("_open").removesuffix("_close") for token in found}
    assert kinds <= OURS
    assert sum(token.type == "tr_open" for token in found) == 3
    assert {len(line.split(" | ")) for line in text.splitlines()[2:6] if "---" not in line} >= {2}
    said = " ".join(label.split())
    inline = ["".join(t.content for t in token.children) for token in found if token.children]
    assert sum(" ".join(line.split()) == said for line in inline) >= 1
    bold = [token for token in found if token.type == "strong_open"]
    assert len(bold) == 1  # the table's name


@pytest.mark.parametrize("label", HARMLESS)
def test_ordinary_labels_are_not_cluttered(label):
    assert plain_text.literal(label) == plain_text.prose(label) == label


def test_sentences_keep_their_code_and_marks():
    assert plain_text.prose("run `a <b> | c` and x < y") == r"run `a <b> | c` and x \< y"
    assert plain_text.literal("+3.6 [1.0, 6.2]**") == "+3.6 [1.0, 6.2]**"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def handle_starttag(self, tag, attrs) -> None:
        self.names |= {tag, *(name for name, _ in attrs)}


@pytest.mark.parametrize("label", ACTIVE)
def test_a_label_is_nothing_but_text_in_html(label):
    tags, plainest = Tags(), Tags()
    tags.feed(formats.html(table_of(label)))
    plainest.feed(formats.html(table_of("a `b`")))
    assert tags.names <= plainest.names


@pytest.mark.parametrize(
    "label",
    [
        '=HYPERLINK("http://example.org")',
        "+1+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
    ],
)
def test_no_label_is_a_formula(label):
    (line, other) = csv.DictReader(io.StringIO(formats.csv(table_of(label))))
    for found in (other["table"], other["row"], other["column"], line["table"]):
        assert found[0] == "'"
        assert label.strip() in found


@pytest.mark.parametrize("value", [-1.5, "-1.5", "+3e-5", "none", "a=b", 0])
def test_numbers_stay_numbers(value):
    assert plain_text.cell(value) == value
