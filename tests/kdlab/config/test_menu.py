"""The menu is complete and true, and one function with one YAML is a new option."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kdlab import records
from kdlab.config.menu import GROUPS, page
from kdlab.config.option_files import CONF, options

ROOT = Path(__file__).parents[3]
# Options that compute nothing, so that nothing checks them.
NOTHING = {("knowledge", "none"), ("knowledge", "logits"), ("matching", "none")}


def row(group: str, name: str) -> list[str]:
    section = (CONF / "README.md").read_text().partition(f"## `{group}`")[2].partition("\n## ")[0]
    (found,) = [line for line in section.splitlines() if line.startswith(f"| `{name}` |")]
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", found)[1:-1]]


def test_the_page_is_what_the_command_writes():
    assert (CONF / "README.md").read_text() == page(), (
        "python -m kdlab.config.menu > conf/README.md"
    )


@pytest.mark.parametrize(("group", "name"), [(g, n) for g in GROUPS for n in options(g)])
def test_every_option_has_a_paper_or_note_and_an_oracle(group, name):
    _, what, paper, _, oracle, where = row(group, name)
    assert paper
    if (group, name) not in NOTHING:
        assert what
        assert oracle, f"conf/{group}/{name}.yaml: a comment `# Oracle: what checks it`"
        files = re.findall(r"\]\(([^)]*)\)", where)
        assert files
        assert all((CONF / file).is_file() for file in files)


@pytest.mark.parametrize("name", options("recipe"))
def test_every_recipe_is_described_and_says_how_it_departs_from_its_papers_code(name):
    _, what, departures = row("recipe", name)
    assert what
    assert bool(departures) == (name != "none"), f"conf/recipe/{name}.yaml: `# Departures: ...`"
    assert "Departures:" not in what


def blocks() -> dict[Path, str]:
    """The files of the tutorial's example of a new loss."""
    text = (ROOT / "docs" / "tutorials" / "own_loss.md").read_text()
    found = re.findall(r"```(?:python|yaml)\n# ((?:kdlab|conf)/\S+)\n(.*?)```", text, re.DOTALL)
    return {Path(name): text for name, text in found}


def test_the_tutorials_new_loss_is_one_function_and_one_yaml(tmp_path, small):
    assert sorted(path.suffix for path in blocks()) == [".py", ".yaml"]
    for folder in ("kdlab", "conf", "sweeps"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    for path, text in blocks().items():
        assert not (ROOT / path).exists()
        (tmp_path / path).write_text(text)
    found = subprocess.run(
        [sys.executable, "-m", "kdlab", *small, "knowledge=hidden_absolute", "threads=1"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    (curve,) = [
        record.result["curves"]["hidden_absolute"]
        for record in records(tmp_path / "runs").values()
        if record.choices["knowledge"] == "hidden_absolute"
    ]
    assert 0 < curve[-1] < curve[0]


@pytest.mark.parametrize("group", ["knowledge", "matching", "init"])
def test_the_study_of_the_menu_has_every_option(group):
    text = (ROOT / "sweeps" / "studies" / "menu.yaml").read_text()
    named = set(re.findall(rf"\b{group}=(\w+)", text))
    elsewhere = {"none", "logits"} if group == "knowledge" else {"none", "run"}
    assert set(options(group)) - named <= elsewhere  # init=run is the study stages
