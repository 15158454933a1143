"""Notebooks run as they are: on records of the papers' studies, and where there are none.

Those that carry their outputs carry what `python -m analysis.notebook_outputs` writes.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import narrow
import nbformat
import pytest
from IPython.core.formatters import HTMLFormatter
from nbclient import NotebookClient

import analysis
from analysis import notebook_outputs
from analysis.notebook import register
from analysis.tables.formats import html
from analysis.tables.model import Table
from kdlab.errors import BadInput
from sweeps.study import layouts, reading

FOLDER = Path(analysis.__file__).parent / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
PAPERS = PATHS[:6]  # of studies whose records are under a root
PUBLISHED = ("7_table_b1_from_records",)  # of studies in analysis/results/records
CLEAN = "%reset -f"
SEEDS = {"axes": range(1, 6)}  # of the guideline, which needs five


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def ran(root: Path, room: Path) -> dict[str, list[Any]]:
    """By notebook its cells of code after they ran, each notebook in a clean namespace.

    One kernel runs them all, one after the other: it is its start that takes long.
    """
    notebooks = {path.stem: read(path) for path in PAPERS}
    whole = nbformat.v4.new_notebook()
    for notebook in notebooks.values():
        whole.cells += [nbformat.v4.new_code_cell(CLEAN), *notebook.cells]
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KDLAB_ROOT", str(root))
        patched.delenv("KDLAB_STUDY", raising=False)
        patched.setenv("PYTHONPATH", str(FOLDER.parents[1]), prepend=os.pathsep)
        patched.setenv("JUPYTER_PLATFORM_DIRS", "1")  # or jupyter_core warns
        for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
            patched.setenv(name, str(room / name))
        where = {"metadata": {"path": str(FOLDER)}}
        NotebookClient(whole, timeout=300, resources=where).execute()
    return {stem: code(notebook) for stem, notebook in notebooks.items()}


@pytest.fixture(scope="module")
def with_records(tmp_path_factory) -> dict[str, list[Any]]:
    root = tmp_path_factory.mktemp("records")
    for name in narrow.NARROWED:
        narrow.make(name, str(root), SEEDS.get(name, narrow.SEEDS))
    return ran(root, tmp_path_factory.mktemp("room"))


@pytest.fixture(scope="module")
def without_records(tmp_path_factory) -> dict[str, list[Any]]:
    return ran(tmp_path_factory.mktemp("empty"), tmp_path_factory.mktemp("room"))


def outputs(cells: list[Any], kind: str) -> list[Any]:
    return [output for cell in cells for output in cell.outputs if output.output_type == kind]


def test_there_is_one_for_each_group_of_tables_and_one_for_what_follows():
    assert [path.stem.partition("_")[0] for path in PATHS] == list("12345678")
    shown = " ".join(path.read_text() for path in PATHS)
    own = {name for name in layouts.names() if not name.startswith("b")}
    assert own | {"b1_glue"} == set(re.findall(r'papers\.table\(\\"(\w+)\\"\)\(runs\)', shown))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_valid(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert [cell.id for cell in notebook.cells] == [
        f"{notebook.cells[0].id[:-2]}-{n}" for n in range(1, len(notebook.cells) + 1)
    ]
    assert sum(len(cell.source.splitlines()) for cell in code(notebook)) < 30
    assert json.loads(path.read_text())["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_outputs_are_whole_or_there_are_none(path):
    cells = code(read(path))
    if path.stem not in PUBLISHED and not any(cell.outputs for cell in cells):
        assert all(cell.execution_count is None for cell in cells)
        return
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not outputs(cells, "error")
    assert {output.name for output in outputs(cells, "stream")} == {"stdout"}
    for cell in cells:
        assert "execution" not in cell.metadata  # when it ran
        for output in cell.outputs:
            text = json.dumps(output)
            assert len(text) < 100_000
            assert not notebook_outputs.of_a_machine(text)
    pages = [output.data.get("text/html", "") for output in outputs(cells, "execute_result")]
    assert any("<table" in page for page in pages)
    assert any("data:image/svg+xml" in page for page in pages)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<Figure at 0x7fdeadbeef10>", " at 0x7fdeadbeef10"),
        ("root=/tmp/xyz/runs", "/tmp/"),
        ("see /home/somebody/runs", "/home/"),
        ("runs/tmp/x and docs/home/y at 0.5, data:image/png;base64,AA/tmp/BB==", ""),
    ],
)
def test_what_is_of_one_machine_is_found_in_outputs(text, found):
    assert notebook_outputs.of_a_machine(text) == found


@pytest.mark.long
def test_the_command_writes_what_is_committed_and_leaves_out_what_is_not_published(
    tmp_path, monkeypatch, capsys
):
    names = ("7_table_b1_from_records", "5_data")
    folder = tmp_path / "analysis" / "notebooks"  # it finds the records by a relative path
    folder.mkdir(parents=True)
    (tmp_path / "analysis" / "results").symlink_to(FOLDER.parent / "results")
    for name in names:
        bare = read(FOLDER / f"{name}.ipynb")
        for cell in code(bare):
            cell.outputs, cell.execution_count = [], None
        (folder / f"{name}.ipynb").write_bytes(notebook_outputs.written(bare))
    monkeypatch.setattr(notebook_outputs, "NOTEBOOKS", folder)
    monkeypatch.setattr("sys.argv", ["notebook_outputs", *names])
    notebook_outputs.main()
    first, second = capsys.readouterr().out.splitlines()
    assert first == "7_table_b1_from_records: with its outputs"
    assert second == "5_data: without outputs: no plan of study 'c1_data'"
    for name in names:
        path = f"{name}.ipynb"
        assert (folder / path).read_bytes() == (FOLDER / path).read_bytes(), name


def test_an_unknown_notebook_is_refused_with_those_there(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["notebook_outputs", "9_none"])
    with pytest.raises(SystemExit, match="2"):
        notebook_outputs.main()
    assert "9_none: no such notebook; there: 1_knowledge_and_matching," in capsys.readouterr().err


def test_a_single_table_as_a_cells_last_line_is_html():
    table = Table("t", "Which?", "report", [], [], {}, {}, [])
    formatter = HTMLFormatter()
    assert formatter(table) is None
    register({"text/html": formatter})
    assert formatter(table) == html(table)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_what_a_notebook_says_to_launch_is_a_study(path):
    text = "\n".join(cell.source for cell in read(path).cells)
    launched = set(re.findall(r"sweeps launch (\w+)", text))
    written = set(re.findall(r"%%writefile (\w+)\.yaml", text))  # by the notebook itself
    opened = set(re.findall(r'^[A-Z]+ = (?:os\.environ\.get\("KDLAB_STUDY", )?"(\w+)"', text, re.M))
    assert opened
    assert opened <= launched
    for name in launched - written:
        assert reading.load(name).question


@pytest.mark.long
def test_on_records_every_cell_shows_what_it_is_for(with_records):
    for stem, cells in with_records.items():
        assert not outputs(cells, "error"), stem
        assert {output.name for output in outputs(cells, "stream")} == {"stdout"}, stem
        for cell in cells[1:]:
            assert outputs([cell], "execute_result"), cell.source
        drawn = [output.data.get("text/html", "") for output in outputs(cells, "execute_result")]
        assert any("data:image/svg+xml" in text for text in drawn), stem


@pytest.mark.long
def test_tables_are_those_of_the_papers(with_records):
    named = {
        "1_knowledge_and_matching": ("A1 knowledge", "A2 matching"),
        "2_width_depth_and_size": ("A3 5 M", "A5 model size"),
        "3_initialization_and_stages": ("A4 initialization", "A6 stages"),
        "4_published_systems_and_pkd": (
            *("A7 systems", "B1 GLUE", "B2 Skip or Last", "B4 size and time"),
            "B5 better teacher",
        ),
        "5_data": ("C1 data",),
    }
    for stem, names in named.items():
        results = outputs(with_records[stem], "execute_result")
        pages = "".join(output.data.get("text/html", "") for output in results)
        assert re.findall(r'<figure class="table">\s*<figcaption><strong>(.*?)</strong>', pages)
        for name in names:
            assert f"<strong>{name}</strong>" in pages
            assert any(f"**{name}**" in output.data["text/plain"] for output in results)


@pytest.mark.long
def test_every_run_is_counted(with_records):
    for stem, cells in with_records.items():
        for output in outputs(cells, "stream"):
            done, planned = re.search(r"(\d+) of (\d+) runs done", output.text).groups()
            assert done == planned > "0", stem


@pytest.mark.long
def test_the_guideline_is_shown_as_text_with_its_effects(with_records):
    first, effects, figure = outputs(with_records["6_guideline_and_effects"], "execute_result")
    assert first.data["text/markdown"].startswith("# Guideline of study axes")
    assert "Prefer `" in first.data["text/markdown"]
    assert "knowledge x init" in effects.data["text/html"]
    assert "data:image/svg+xml" in figure.data["text/html"]


def test_without_records_every_cell_says_in_a_line_what_to_run(without_records):
    for stem, cells in without_records.items():
        assert not cells[0].outputs, stem
        for cell in cells[1:]:
            (output,) = cell.outputs
            assert output.ename == "BadInput"
            (line,) = output.traceback
            assert re.search(
                r"^no plan of study '(\w+)' .*: python -m sweeps launch \1 --wait$", line
            )


def test_bad_input_is_a_line_in_a_notebook_and_a_traceback_elsewhere():
    assert BadInput("size=9: no")._render_traceback_() == ["size=9: no"]
