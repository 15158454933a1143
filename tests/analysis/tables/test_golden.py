"""Tables of fixed records in every format, byte for byte, and as their readers take them."""

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from analysis.statistics.cells import Cell
from analysis.tables import latex
from analysis.tables.model import Table

GOLDEN = Path(__file__).parent / "golden"
VOID = {"br", "hr", "img", "meta"}


@pytest.fixture(scope="module")
def written(edge_tables) -> dict[str, str]:
    """By name of a file its text."""
    return edge_tables.files


def of_kind(written: dict[str, str], suffix: str) -> dict[str, str]:
    return {name: text for name, text in written.items() if name.endswith(suffix)}


def test_tables_are_the_golden_ones_byte_for_byte(written):
    """After a change that is meant: KDLAB_GOLDEN=write, and a look at git's diff."""
    if os.environ.get("KDLAB_GOLDEN") == "write":
        shutil.rmtree(GOLDEN, ignore_errors=True)
        GOLDEN.mkdir()
        for name, text in written.items():
            (GOLDEN / name).write_bytes(text.encode())
    assert {path.name for path in GOLDEN.iterdir()} == set(written)
    for name, text in written.items():
        assert text.encode() == (GOLDEN / name).read_bytes(), name


def test_the_edges_are_there(written):
    """What the golden files are for: a change that loses an edge is no update of them."""
    main = written["main.md"]
    for text in (
        *("missing (0/5)", "diverged (0/5)", "(1/5)", "n/a", "†", "]* ", "]** ", "]≈ ", "<u>"),
        *("mrpc f1", "mrpc accuracy", "mnli-matched", "mnli-mismatched", "Δ average"),
        *("10 runs failed", "costly: three_times 100 %", "cannot apply to a task of 2 classes"),
        r"same\|as\_",
    ):
        assert text in main, text
    best = [line for line in main.splitlines() if line.count("**75.1 ± 0.5 (5)**") == 3]
    assert [line.split("|")[1].strip() for line in best] == ["strong", "tie with strong"]
    for mark in "§¶":
        assert f"{mark} " in written["B5_better_teacher.md"] + written["A7_systems.md"]
    assert "missing (0/5)" in written["A7_systems.md"]
    assert "teacher seeds 6, 7" in written["A2_matching.md"]
    assert "unequal trials: the weight is the question" in written["tuned.md"]
    assert "train.lr=0.001" in written["tuned_tune_select.md"]


def test_nothing_is_of_this_machine(written):
    for name, text in written.items():
        assert not re.search(r"/(tmp|home|work|private|root)/", text), name


def test_csv_reads_back(written):
    for name, text in of_kind(written, ".csv").items():
        path = GOLDEN / name
        table = pd.read_csv(path)
        assert not table.duplicated(["row", "column"]).any()
        assert (table["n"] <= table["expected"]).all()
        assert len(table) == len(text.splitlines()) - 1
    main = pd.read_csv(GOLDEN / "main.csv").set_index(["row", "column"])
    assert main.loc[('same|as_"none" ~ {$x^2}', "mrpc accuracy"), "mean"] == pytest.approx(65.02)
    assert main.loc[("50 % & <b>more<b> #1", "mnli-matched accuracy"), "n"] == 5


class Page(HTMLParser):
    """What tags are open, and what was read; raises where one closes that is not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.open += [] if tag in VOID else [tag]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1] += [""] * int(dict(attrs).get("colspan") or 1)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def test_html_parses_and_escapes(written):
    for name, text in of_kind(written, ".html").items():
        page = Page()
        page.feed(text)
        page.close()
        assert page.open == [], name
        assert not page.tags & {"b", "everything", "script"}, name
        body = page.rows[2:]
        assert {len(row) for row in body} == {len(page.rows[0])}, name
    first = [row[0] for row in parsed(written["main.html"]).rows]
    assert {'same|as_"none" ~ {$x^2}', "50 % & <b>more<b> #1", "failed `it`"} <= set(first)


def parsed(text: str) -> Page:
    page = Page()
    page.feed(text)
    return page


def test_latex_is_balanced_and_has_no_character_of_its_own_unescaped(written):
    for name, text in of_kind(written, ".tex").items():
        bare = re.sub(r"\\.", "", text, flags=re.DOTALL)
        depth = 0
        for character in bare:
            depth += {"{": 1, "}": -1}.get(character, 0)
            assert depth >= 0, name
        assert depth == 0, name
        begun = re.findall(r"\\begin\{(\w+)\}", text)
        ended = re.findall(r"\\end\{(\w+)\}", text)
        assert sorted(begun) == sorted(ended), name
        assert bare.count("$") % 2 == 0, name
        assert not re.search(r"[#_]|%[^\n]", bare), name


@pytest.fixture
def pdflatex() -> str:
    found = shutil.which("pdflatex")
    if found is None and os.environ.get("KDLAB_LATEX") == "require":
        pytest.fail("KDLAB_LATEX=require, and there is no pdflatex")
    if found is None:
        pytest.skip("no pdflatex: apt-get install texlive-latex-recommended")
    return found


def test_latex_compiles_and_fits_the_page(written, pdflatex, tmp_path):
    tables = of_kind(written, ".tex")
    for name, text in tables.items():
        (tmp_path / name).write_text(text)
    signs = "".join(latex.TEX) + " ``c'' 2-3"
    cells = {(signs, signs): Cell(1, 1, 50.0, 1.0)}
    code = f"note: `{signs.replace('`', '')}`"
    odd = Table(signs, signs, "report", [signs], [signs], cells, {signs: "a 'b'"}, [signs, code])
    (tmp_path / "odd.tex").write_text(latex.latex(odd))
    inputs = "\\input{odd.tex}" + "".join(f"\\input{{{name}}}\n" for name in tables)
    page = (
        f"\\documentclass{{article}}\\usepackage{{booktabs,graphicx}}\\begin{{document}}\n{inputs}"
    )
    floating = "\\begin{table}[p]\\input{tuned.tex}\\end{table}\n"
    (tmp_path / "all.tex").write_text(f"{page}{floating}\\end{{document}}\n")
    found = subprocess.run(
        [pdflatex, "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout[-3000:]
    assert (tmp_path / "all.pdf").stat().st_size > 10_000
    log = (tmp_path / "all.log").read_text(errors="replace")
    assert not re.findall(r"Overfull \\hbox.*|.*too large for page.*|Missing character.*", log)
