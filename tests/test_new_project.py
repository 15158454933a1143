"""`kdlab new`: what it makes is run, as its README says."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import at_once
import pytest

from kdlab import new_project
from kdlab.errors import BadInput
from kdlab.storage import ledger

ROOT = Path(__file__).resolve().parents[1]
SMALL = (
    "task.train_rows=64 task.report_rows=32 train.epochs=1 size=l2_h32_a2 teacher.size=l2_h32_a2"
)
# The commands of an installed kdlab as the repository has them.
MODULES = {"kdlab": "kdlab", "kdlab-sweeps": "sweeps", "kdlab-analysis": "analysis"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A project, made by the command."""
    folder = tmp_path_factory.mktemp("work")
    made = command(folder, "kdlab", "new", "mylab")
    assert re.match(r"8 files in mylab; next:\n  cd mylab\n", made)
    return folder / "mylab"


def command(folder, *words):
    """What a command of kdlab's prints that is run in a folder."""
    ended = at_once.python(*words, cwd=folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def python(folder, *command):
    """What a command of Python prints that is run in a folder by a process that starts anew."""
    # The repository comes first, and the folder itself only where `-m` puts it.
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_its_test_passes(lab):
    assert "3 passed" in python(lab, "-m", "pytest", "-q", "-p", "no:cacheprovider")


def test_its_study_plans_and_its_name_is_nowhere_left_out(lab):
    assert "12 raw, 0 excluded" in command(lab, "sweeps", "plan", "huber")
    texts = [path.read_text() for path in lab.rglob("*") if path.suffix in (".py", ".md", ".yaml")]
    assert len(texts) == 6
    assert not [text for text in texts if new_project.NAME in text]


def test_a_run_of_it_trains(lab):
    said = command(lab, "kdlab", "knowledge=hidden_huber", *SMALL.split())
    assert "done: the record is under runs/records" in said
    assert len(list(ledger.records(lab / "runs"))) == 2  # the student and its teacher


@pytest.mark.long
def test_its_study_goes_through_workers_to_a_table(lab):
    few = [*SMALL.split(), "data.rows=50"]
    python(lab, "-m", "sweeps", "launch", "huber", "--wait", *few)
    assert "Huber, 0.1" in python(lab, "-m", "analysis", "tables", "huber")


def test_its_readme_says_commands_and_files_that_there_are(lab):
    text = (lab / "README.md").read_text()
    for name in re.findall(r"^\| `([^`]+)` \|", text, re.M):
        assert (lab / name).is_file(), name
    (block,) = re.findall(r"```bash\n(.*?)```", text, re.S)
    words = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert {line[0] for line in words} == {"python", *MODULES}
    assert ["kdlab-sweeps", "plan", "huber"] in words


@pytest.mark.parametrize("name", ["my-lab", "2lab", "kdlab", "conf", "json", "sub/torch"])
def test_a_name_that_no_package_can_have_is_refused(tmp_path, name):
    with pytest.raises(BadInput, match=f"new {Path(name).name}: "):
        new_project.make(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.txt").write_text("work")
    with pytest.raises(BadInput, match="there is something already; nothing was written"):
        new_project.make(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["work.txt"]
