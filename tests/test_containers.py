"""The container files: linted, alike, and built where somebody asks for it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "containers"
DOCKERFILE, DEFINITION = FOLDER / "Dockerfile", FOLDER / "kdlab.def"


def sections() -> dict[str, str]:
    """The parts of the Apptainer definition, by name; the header is called so."""
    parts = re.split(r"^%(\w+)$", DEFINITION.read_text(), flags=re.M)
    return dict(zip(["header", *parts[1::2]], parts[::2], strict=True))


def uncommented(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]


def test_the_dockerfile_is_as_hadolint_wants_it():
    hadolint = str(Path(sys.executable).with_name("hadolint"))
    ended = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout


def test_the_scripts_of_the_definition_are_shell_scripts():
    parts = sections()
    assert [*parts] == ["header", "files", "post", "environment", "test", "runscript"]
    for name in ("post", "environment", "test", "runscript"):
        assert subprocess.run(["bash", "-n"], input=parts[name], text=True).returncode == 0, name


def test_both_have_the_same_base_files_and_packages():
    docker, parts = DOCKERFILE.read_text(), sections()
    base = re.search(r"^ARG BASE=(\S+)$", docker, re.M)[1]
    assert uncommented(parts["header"]) == ["Bootstrap: docker", f"From: {base}"]
    copied = re.findall(r"^COPY (.+) \S+$", docker, re.M)
    files = [line.split() for line in uncommented(parts["files"])]
    assert [name for name, _ in files] == " ".join(copied).split()
    assert {target for _, target in files} == {"/opt/kdlab/"}
    assert all((ROOT / name).exists() for name, _ in files)
    pip = r"pip install --no-cache-dir (\S+(?:,<[\d.]+\")?)"
    assert re.findall(pip, docker)[0] == re.findall(pip, parts["post"])[0]
    (torch,) = re.findall(r'^    "(torch\S+)",', (ROOT / "pyproject.toml").read_text(), re.M)
    assert re.findall(pip, docker)[0] == f'"{torch}"'


# They fetch a base image and PyTorch of several GB.
@pytest.mark.long
@pytest.mark.skipif("KDLAB_CONTAINERS" not in os.environ, reason="KDLAB_CONTAINERS=1 builds them")
@pytest.mark.parametrize(
    ("tool", "command"),
    [
        ("docker", ["build", "-f", str(DOCKERFILE), "."]),
        ("apptainer", ["build", "--fakeroot", "{}/kdlab.sif", str(DEFINITION)]),
    ],
)
def test_it_is_built(tool, command, tmp_path):
    words = [tool, *(word.format(tmp_path) for word in command)]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
