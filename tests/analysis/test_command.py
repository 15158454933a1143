"""`python -m analysis`: commands, their help, and what they refuse."""

import json
import subprocess
import sys

import edges
import numpy as np
import pandas as pd
import pytest

from analysis import __main__ as command
from analysis.tables import papers
from analysis.tables.model import Table
from sweeps.study import layouts


@pytest.fixture
def run(edge_study, monkeypatch, capsys):
    """Calls the command line with a root; gives its exit code, stdout and stderr."""

    def called(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["analysis", *arguments])
        code = 0
        with edges.inside(edge_study):
            try:
                command.main()
            except SystemExit as end:
                code = int(end.code or 0)
        return code, *capsys.readouterr()

    return called


@pytest.mark.parametrize("name", ["tables", "guideline", "why", "diff"])
def test_every_command_has_help_with_examples(run, name):
    code, out, _ = run(name, "--help")
    assert code == 0
    assert f"examples:\n  python -m analysis {name} " in out
    assert name in run("--help")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("tables edgs", "no plan of study 'edgs' under runs (there: edges)"),
        ("tables edges --margin -1", "--margin -1: points above 0"),
        ("guideline edges --margin 0", "--margin 0: points above 0"),
        ("tables edges --format md,png", "--format png: no such format; there: md, tex, html, csv"),
        ("tables edges --layout a9", "--layout a9: no such table; there: a1_knowledge, a2_"),
        ("why edges/nothing_like_it", "no cell 'nothing_like_it' in study edges; there: "),
        ("diff edges/strong edges/nothing_like_it", "no cell 'nothing_like_it' in study edges"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, arguments, message):
    code, out, err = run(*arguments.split(), "--root", "runs")
    assert (code, out) == (2, "")
    *audit, last = err.strip().splitlines()
    assert last.startswith("analysis: ")
    assert message in last
    assert audit == []


def test_what_is_not_as_planned_is_named_beside_the_tables(edge_tables):
    kinds = [line.split(": ")[0] for line in edge_tables.err.splitlines()[1:]]
    assert kinds == ["29 missing", "10 failed", "4 diverged"]
    end = "written to runs/studies/edges/tables (.md, .tex, .html, .csv)\n"
    assert edge_tables.out.endswith(end)
    shown = [text for name, text in edge_tables.files.items() if name in edges_of_study()]
    assert all(text in edge_tables.out for text in shown)


def edges_of_study() -> list[str]:
    return ["main.md", "B5_better_teacher.md", "A7_systems.md", "tuned.md", "A2_matching.md"]


@pytest.fixture
def few(edge_study, tmp_path):
    """A root with two small tables of the study, and its records."""
    for name in ("records", "outputs", "examples", "events"):
        (tmp_path / name).symlink_to(edge_study / "runs" / name)
    planned = pd.read_parquet(edge_study / "runs" / "studies" / "edges" / "plan.parquet")
    (tmp_path / "studies" / "few").mkdir(parents=True)
    small = planned[planned["table"].isin(["tuned", "glue"])].assign(study="few")
    small.to_parquet(tmp_path / "studies" / "few" / "plan.parquet")
    return tmp_path


def test_a_layout_arranges_the_whole_study_and_no_file_covers_another(run, few):
    asked = ["tables", "few", "--root", str(few), "--layout", "a1_knowledge", "--format", "md,csv"]
    code, out, _ = run(*asked)
    room = few / "studies" / "few" / "tables"
    assert code == 0
    assert out.count("**A1 knowledge** (report)") == 2
    stems = ["A1_knowledge", "A1_knowledge_2"]
    assert {path.name for path in room.iterdir()} == {
        f"{s}.{k}" for s in stems for k in ("md", "csv")
    }
    assert all((room / f"{stem}.md").read_text() in out for stem in stems)
    code, out, _ = run("tables", "few", "--root", str(few), "--format", "csv", "--json")
    tables = json.loads(out)
    assert [table["name"] for table in tables] == ["tuned", "B5 better teacher"]
    lines = [pd.read_csv(room / f"{stem}.csv") for stem in ("tuned", "B5_better_teacher")]
    for table, cells in zip(tables, lines, strict=True):
        assert [cell["row"] for cell in table["cells"]] == cells["row"].tolist()
        means = [cell["mean"] for cell in table["cells"]]
        assert np.allclose(np.array(means, dtype=float), cells["mean"], equal_nan=True)


def test_names_of_files_suit_shells_and_latex(tmp_path):
    tables = [
        Table(name, "?", "report", [], [], {}, {}, []) for name in ("a/b c", "../x", "é", "..")
    ]
    command.write(tables, tmp_path, "select", ["csv"])
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == ["a_b_c_select.csv", "table_select.csv", "x_select.csv", "é_select.csv"]


def test_why_and_diff_print(run):
    told = json.loads(run("why", "edges/main/strong/mrpc", "--root", "runs", "--json")[1])
    assert {run["state"] for run in told["runs"]} == {"done"}
    assert told["runs"][0]["record"]["result"]["scores"]["report"]["accuracy"] > 0
    assert run("why", "edges/main/strong/mrpc", "--root", "runs")[1].startswith("edges/main/strong")
    out = run("diff", "edges/main/strong", "edges/main/weak", "--root", "runs")[1]
    assert out.startswith("A: edges/main/strong ")
    told = json.loads(
        run("diff", "edges/main/strong", "edges/main/weak", "--root", "runs", "--json")[1]
    )
    assert told["overrides"]["b"] == ["knowledge.logits_kl.weight=3"]


def test_every_paper_table_may_be_asked_for():
    for name in layouts.names():
        assert command.layout(name).keywords == {"layout": layouts.read(name)}
    assert command.layout(None) is papers.of_study


def test_help_loads_neither_torch_nor_statistics():
    check = (
        "import sys; sys.argv = ['analysis', '--help']\n"
        "from analysis.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: print({'torch', 'scipy', 'sklearn', 'matplotlib'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines()[-1] == "set()"
