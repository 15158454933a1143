"""A study as one page: all of it is there, escaped, without a network, the same bytes each time."""

import os
import re
import subprocess
import sys
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path
from unittest.mock import patch

import edges
import numpy as np
import pytest
from made import leave_run

import analysis
from analysis import __main__ as command
from analysis import figures
from analysis.effects import variance_shares
from analysis.figures import style
from analysis.guideline import guideline
from analysis.read.axes import axes
from analysis.read.completeness import audit
from analysis.read.frame import scores
from analysis.report import report
from analysis.statistics import trials
from analysis.tables import formats, papers
from kdlab.run import teacher_runs
from sweeps.journal import events
from sweeps.plan import plan
from sweeps.study import reading

ROOT, NAME = "runs", "odd"
ODD = "logits <b>&<b> \"soft\" '1'"
STUDY = f"""
question: Does <it> help, at 50 % & "more"?
base: [teacher=scratch, size=l2_h64_a4, init=random]
seeds: [1, 2, 3, 4, 5]
blocks:
  - table: <main> & "co"
    control: none
    base: [task=synthetic]
    cases:
      none: [knowledge=none]
      '{ODD.replace("'", "''")}': [knowledge=logits_kl]
      skip: [knowledge=hidden_mse, matching=skip]
      last: [knowledge=hidden_mse, matching=last]
      wild: [knowledge=logits_mse]
      gone: [knowledge=cls_pkd, matching=skip]
      lost: [knowledge=cls_pkd, matching=last]
  - table: glue
    layout: b1_glue
    seeds: [1]
    base: [task=mrpc]
    cases: {{BERT3-PKD: [knowledge=hidden_mse, matching=skip]}}
  - table: tuned
    base: [task=synthetic]
    cases: {{logits: [knowledge=logits_kl]}}
    tune: {{over: {{train.lr: [1e-3, 1e-4, 1e-5]}}, seeds: [0]}}
    confirm: {{seeds: [1]}}
"""
RIGHT = {"none": 1200, ODD: 1400, "skip": 1500, "last": 1300, "wild": None}


INLINE = ("code", "strong", "u", "span", "a")


class Page(HTMLParser):
    """Elements with their attributes, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.data: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.data += [" "] * (tag not in INLINE)

    def handle_data(self, data: str) -> None:
        self.data.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.data).split())

    def every(self, tag: str) -> list[dict[str, str | None]]:
        return [own for name, own in self.elements if name == tag]


def launched(folder: Path, text: str) -> None:
    """A study's plan under the folder's `runs`, and records of the rows that are in `RIGHT`."""
    (folder / "odd.yaml").write_text(text)
    loaded = reading.load("odd.yaml")
    cells = plan.plan(loaded)
    plan.write(cells, {}, NAME, loaded, ROOT)
    left = set()
    for entry in cells:
        right = RIGHT.get(entry.cell.row, 1350) if entry.cell.row not in ("gone", "lost") else -1
        if entry.cell.stage == "tune":
            right = 1450 if "train.lr=0.0001" in entry.cell.trial else 1400
        for run, number in [(entry.run, right), *((t, 1800) for t in teacher_runs(entry.run))]:
            if number != -1 and run.uid not in left:
                left.add(run.uid)
                leave_run(ROOT, run, number and number + 3 * run.seed)
    for uid in [entry.run.uid for entry in cells if entry.cell.row == "lost"]:  # each alone: failed
        events.append(ROOT, "trouble", uids=[uid], study=NAME, node="node1", **edges.TROUBLE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which `runs` has the study and its report."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "glue").mkdir()
    edges.rows(folder / "glue" / "MRPC", ["train", "dev"], ["sentence1", "sentence2"], 2)
    asked = ["analysis", "report", NAME, "--root", ROOT]
    with edges.inside(folder), patch.object(sys, "argv", asked):
        launched(folder, STUDY)
        command.main()
    return folder


@pytest.fixture(scope="module")
def written(folder) -> bytes:
    return (folder / ROOT / "studies" / NAME / "report.html").read_bytes()


@pytest.fixture(scope="module")
def page(written) -> Page:
    return Page(written.decode())


@pytest.fixture
def runs(folder):
    with edges.inside(folder):
        yield analysis.load(NAME, ROOT)


def bare(text: str) -> str:
    """The text of HTML without drawings and what is clicked to unfold something."""
    return Page(re.sub(r"<(svg|summary)\b.*?</\1>", "", text, flags=re.DOTALL)).text


def squeezed(text: str) -> str:
    return " ".join(text.replace("`", "").split())


def test_the_page_needs_neither_a_network_nor_a_file(page):
    assert not {"link", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert not [own for own in page.every("script") if "src" in own]
    assert all(own["src"].startswith("data:image/svg+xml;base64,") for own in page.every("img"))
    targets = [own["href"] for own in page.every("a")]
    assert targets
    assert all(target.startswith("#") for target in targets)


def test_contents_lead_to_every_section(page):
    ids = Counter(own["id"] for _, own in page.elements if "id" in own)
    assert set(ids.values()) == {1}
    linked = {own["href"].removeprefix("#") for own in page.every("a")}
    assert linked <= ids.keys()
    assert {own["id"] for own in page.every("section")} <= linked


def test_figures_and_tables_say_what_they_are(page):
    assert all(own.get("scope") in ("col", "row", "colgroup") for own in page.every("th"))
    assert all(own["alt"] for own in page.every("img"))
    assert len(page.every("figure")) == len(page.every("figcaption"))
    assert page.every("html")[0]["lang"] == "en"


def test_names_of_rows_and_tables_are_text(written, page):
    text = written.decode()
    assert "<b>" not in text
    assert "<it>" not in text
    assert "<main>" not in text.replace('<main id="top">', "")
    for name in (ODD, '<main> & "co"', 'Does <it> help, at 50 % & "more"?'):
        assert name in page.text


def test_every_table_stands_as_it_does_alone(written, runs):
    tables = papers.of_study(runs)
    assert [table.name for table in tables] == ['<main> & "co"', "B1 GLUE"]
    for table in tables:
        # In the report a cell has dots and notes are folded: what it says is the same.
        assert bare(formats.html(table)) in bare(written.decode())
        for source in table.published.sources:
            assert written.decode().count(source) == 2  # below the table and among the sources


def test_what_is_wrong_is_counted_and_named_with_what_to_do(page, runs):
    found = audit(runs)
    assert (found.counts["missing"], found.counts["failed"], found.counts["diverged"]) == (5, 5, 5)
    assert f"{found.done} of {found.planned} runs are done" in page.text
    for names in found.named.values():
        for name in names:
            assert squeezed(name) in page.text
    again = f"sweeps retry {NAME} --all --root {ROOT} && python -m sweeps launch {NAME} --wait"
    assert f"{again} root={ROOT}" in page.text


def test_every_sentence_of_the_guideline_is_there(page, runs):
    found = guideline(runs)
    said = [*found.data, *found.limits]
    for section in found.sections:
        assert f"{section.axis} {section.verdict}" in page.text
        said += [*section.recommended, *chain.from_iterable(section.parts.values())]
    for sentence in said:
        assert squeezed(sentence) in page.text


def test_shares_of_variance_are_those_of_the_effects(page, runs):
    long = scores(runs)
    shares = variance_shares(long[long["split"] == "report"], axes(runs))
    row = shares[shares["term"] == "knowledge"].iloc[0]
    eta, omega = 100 * row["eta_squared"], 100 * row["omega_squared"]
    said = f"knowledge axis {row['df']} {eta:.1f} {omega:.1f} "
    assert said in page.text


def test_every_figure_is_there_or_why_it_is_not(page, runs):
    gallery = figures.every(runs, figures.BESIDE_TABLES)
    means = figures.means(runs, papers.of_study(runs)).drawings
    assert len(page.every("img")) == len(gallery.drawings) + len(means) > len(means) > 1
    for drawing in (*gallery.drawings, *means):
        assert squeezed(drawing.caption) in page.text
    assert gallery.notes
    for note in gallery.notes:
        assert squeezed(note) in page.text


def test_means_of_rows_stand_beside_their_table(written):
    sections = re.findall(r'<section id="table-\d+">(.*?)</section>', written.decode(), re.DOTALL)
    assert len(sections) > 1
    for section in sections:
        (name,) = re.findall(r"<h3>(.*)</h3>", section)
        drawn = re.findall(r'alt="Means of rows \((\w+)\)', section)
        assert drawn == [style.file_name(f"means_{unescape(name)}")]


def test_trials_are_told_with_the_expected_best_of_fewer(page, runs):
    best = trials.best_of(runs).set_index("row").loc["logits"]
    assert best["best"] == "train.lr=0.0001"
    numbers = " ".join(f"{best[name]:.1f}" for name in ("score", "second", "single"))
    assert f"{best['best']} {numbers} not yet" in page.text
    values = trials.trials(runs).query("row == 'logits'")["score"].tolist()
    points = [trials.expected_best(values, n) for n in (1, 2, 3)]
    assert np.diff(points).min() > 0
    line = " ".join(f"{point:.1f}" for point in points)
    assert f"tuned: logits synthetic {line}" in page.text


def test_the_same_records_make_the_same_bytes_in_another_process(folder, written):
    asked = [sys.executable, "-m", "analysis", "report", NAME, "--root", ROOT]
    path = folder / ROOT / "studies" / NAME / "report.html"
    path.unlink()
    (path.parent / "frame.sealed").unlink()
    environment = {**os.environ, "PYTHONHASHSEED": "7", "KDLAB_GLUE": "glue"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        asked, cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"written to {Path(ROOT) / 'studies' / NAME / 'report.html'}\n"
    assert done.stderr == ""
    assert path.read_bytes() == written


def test_the_page_says_how_it_was_made(page):
    assert f"python -m analysis report {NAME} --root {ROOT}" in page.text
    assert "0123456789ab (" in page.text


def test_a_study_of_which_nothing_is_done_has_a_page_that_says_so(tmp_path):
    text = STUDY.replace("task=mrpc", "task=synthetic")
    with edges.inside(tmp_path):
        Path("odd.yaml").write_text(text)
        loaded = reading.load("odd.yaml")
        plan.write(plan.plan(loaded), {}, NAME, loaded, ROOT)
        found = Page(report(analysis.load(NAME, ROOT), margin=0.5)).text
    assert "0 of " in found
    assert "There is none: no student of the study has a score that is reported yet." in found
    assert "No two runs that are done differ in their score." in found
    assert f"python -m analysis report {NAME} --root {ROOT} --margin 0.5" in found
    assert "no record" in found


def test_a_margin_that_is_none_is_refused(folder, monkeypatch, capsys):
    asked = ["analysis", "report", NAME, "--root", str(folder / ROOT), "--margin", "0"]
    monkeypatch.setattr(sys, "argv", asked)
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "--margin 0: points above 0" in capsys.readouterr().err
