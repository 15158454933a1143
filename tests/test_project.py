"""A project of one's own: what is found in it, from where, and what of it goes to the workers."""

import os
import subprocess
import sys

import pytest

from kdlab import project
from kdlab.config.compose import compose
from kdlab.config.option_files import CONF, names
from kdlab.errors import BadInput
from sweeps.status import known_studies
from sweeps.study import folders, layouts, reading
from sweeps.submit import code_snapshot
from sweeps.task import code_check

TABLE = '[tool.kdlab]\npackages = ["ownlab"]\n'
LOSS = """def gap(student, teacher, mask, *, power: float):
    return (student - teacher).abs().pow(power).mean()
"""
OPTION = """# @package knowledge.gap
name: gap
_target_: ownlab.losses.gap
view: kdlab.objective.views.tokens
weight: 1.0
min_classes: 1
projection: auto
power: 2.0
"""
STUDY = "question: {}?\nseeds: [0]\nblocks: [{{table: t, cases: {{a: [knowledge=gap]}}}}]\n"
LAID_OUT = STUDY.format("mine").replace("table: t", "table: t, layout: by_size")


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A project with a package, an option and two studies; the working directory is inside."""
    folder = tmp_path / "lab"
    files = {
        "pyproject.toml": TABLE,
        "ownlab/__init__.py": "",
        "ownlab/losses.py": LOSS,
        "ownlab/__pycache__/losses.pyc": "",
        "conf/knowledge/gap.yaml": OPTION,
        "studies/first.yaml": STUDY.format("mine"),
        "studies/quickstart.yaml": STUDY.format("my own quickstart"),
        "layouts/by_size.yaml": "name: By size\nrows: [size]\n",
        "layouts/a6_stages.yaml": "name: My stages\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(folder / "studies")  # a folder inside does as well
    project._nearest.cache_clear()
    yield folder
    project._nearest.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "ownlab"]:
        del sys.modules[name]


def test_options_losses_and_studies_are_found_from_a_folder_inside(lab, tmp_path):
    (term,) = compose("knowledge=gap", "knowledge.gap.power=3.0").terms
    assert (term.loss.target, term.loss.knobs) == ("ownlab.losses.gap", {"power": 3.0})
    assert {"gap", "logits_kl"} <= set(names("knowledge"))
    assert {"first", "glue_small"} <= set(known_studies(str(tmp_path)))
    assert reading.load("first").question == "mine?"
    assert reading.load("quickstart").question == "my own quickstart?"
    assert reading.question("glue_small")


def test_layouts_are_found_and_a_study_may_name_them(lab):
    assert layouts.read("by_size").rows == ["size"]
    assert layouts.read("a6_stages").name == "My stages"
    assert {"by_size", "a1_knowledge"} <= set(layouts.names())
    (lab / "studies" / "first.yaml").write_text(LAID_OUT)
    (block,) = reading.load("first").blocks
    assert block.layout == "by_size"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row: [size]\n", "yaml.: row: unknown key; did you mean rows=...."),
        ("rows: size\n", "yaml.: rows='size': input should be a valid list"),
        ("rows: [size\n", "yaml.: while parsing a flow sequence"),
        ("- size\n", "yaml.: a layout is keys with values"),
    ],
)
def test_a_layout_that_is_wrong_is_one_line_before_anything_is_run(lab, text, message):
    (lab / "studies" / "first.yaml").write_text(LAID_OUT)
    (lab / "layouts" / "by_size.yaml").write_text(text)
    with pytest.raises(BadInput, match=rf"^first: t: layout by_size \(.*{message}") as error:
        reading.load("first")
    assert "\n" not in str(error.value)


def test_a_uid_does_not_depend_on_where_the_project_lies(lab, monkeypatch):
    uid = compose("knowledge=gap").uid
    monkeypatch.chdir(lab.rename(lab.with_name("elsewhere")))
    assert compose("knowledge=gap").uid == uid


def test_outside_of_a_project_there_is_none(lab, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nx = 1 # tool.kdlab\n")
    assert project.current() is None
    assert folders.folders() == [folders.STUDIES]
    assert "gap" not in names("knowledge")


def test_a_copy_of_the_code_has_the_project_and_its_change_is_another_copy(lab, tmp_path):
    copy = code_snapshot.snapshot(tmp_path / "runs")
    code_check.check(copy)
    assert (copy / "ownlab" / "losses.py").read_text() == LOSS
    assert (copy / "conf" / "knowledge" / "gap.yaml").read_text() == OPTION
    assert not list((copy / "ownlab").rglob("*.pyc"))
    (lab / "ownlab" / "losses.py").write_text(LOSS + "# changed\n")
    assert code_snapshot.snapshot(tmp_path / "runs") != copy


def test_what_runs_in_a_copy_takes_everything_from_it(lab, tmp_path):
    copy = code_snapshot.snapshot(tmp_path / "runs")
    check = "import ownlab.losses as l, kdlab.project as p; print(l.__file__, p.current())"
    ended = subprocess.run(
        [sys.executable, "-c", check],
        env=os.environ | {"PYTHONPATH": str(copy)},
        cwd=lab,
        capture_output=True,
        text=True,
    )
    # `-c` puts the working directory first, as it would for tests of the project.
    assert ended.stdout.split()[1:] == ["None"], ended.stderr


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[tool.kdlab]\npackage = 'x'\n", "tool.kdlab.package: unknown key; known keys: packages"),
        ("[tool.kdlab]\npackages = 'x'\n", "tool.kdlab.packages='x': a list of names"),
        ("[tool.kdlab]\npackages = ['lost']\n", "lost: there is no .*lost/__init__.py"),
        ("[tool.kdlab]\npackages = ['json']\n", "json: Python finds .*json.* call the project's"),
        ("[tool.kdlab]\npackages = ['conf']\n", "conf: no name for a package of a project"),
        ("[tool.kdlab]\npackages = ['a.b']\n", "a.b: no name for a package of a project"),
        ("[tool.kdlab]\npackages = [\n", "pyproject.toml: "),
    ],
)
def test_a_table_that_is_wrong_is_one_line(lab, table, message):
    (lab / "json").mkdir()
    (lab / "json" / "__init__.py").touch()
    (lab / "pyproject.toml").write_text(table)
    with pytest.raises(BadInput, match=message) as error:
        compose("knowledge=logits_kl")
    assert "\n" not in str(error.value)


def test_an_option_of_the_project_that_kdlab_has_too_is_refused(lab):
    assert (CONF / "knowledge" / "hidden_mse.yaml").is_file()
    (lab / "conf" / "knowledge" / "hidden_mse.yaml").write_text(OPTION)
    with pytest.raises(BadInput, match="kdlab has an option of this name"):
        compose("knowledge=gap")
