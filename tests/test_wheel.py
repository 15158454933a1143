"""What a wheel has: `hatch_build.py` lays it out, and it runs beside packages of the same names."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]
HATCHLING = "hatchling.builders.hooks.plugin.interface"  # there while a wheel is built, not here
# A module of each kind: a command, one that is started by its name, one that options name.
IMPORTS = (
    "kdlab.sweeps.__main__",
    "kdlab.sweeps.commands",
    "kdlab.sweeps.task.worker",
    "kdlab.sweeps.launchers.slurm",
    "kdlab.analysis.__main__",
    "kdlab.analysis.archive",
    "hydra_plugins.kdlab_sweeper",
)
FOREIGN = "raise ImportError('not of kdlab')\n"


@pytest.fixture(scope="module")
def hook():
    """The functions of `hatch_build.py`."""
    stub = ModuleType(HATCHLING)
    stub.BuildHookInterface = object
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, HATCHLING, stub)
        return runpy.run_path(str(ROOT / "hatch_build.py"))


@pytest.fixture(scope="module")
def site(hook, tmp_path_factory):
    """A `site-packages` with kdlab in it, and foreign packages by the names that it has in git."""
    folder = tmp_path_factory.mktemp("site-packages")
    hook["lay_out"](ROOT, folder)
    assert {path.name for path in folder.iterdir()} == {"kdlab", "hydra_plugins"}
    for name in ("sweeps", "analysis", "conf"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(FOREIGN)
    return folder


def run(site, *command):
    """Run Python in an empty folder, as an installed kdlab runs."""
    # The first folder of PYTHONPATH comes before the repository, wherever that is installed.
    return subprocess.run(
        [sys.executable, *command],
        cwd=site.parent,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )


def test_no_import_and_no_command_names_a_package_that_is_not_there(site):
    wrong = re.compile(r"(?:^\s*(?:from|import) |python -m |\"-m\", \")(?:sweeps|analysis)\b", re.M)
    paths = [path for path in (site / "kdlab").rglob("*") if path.suffix in (".py", ".yaml")]
    assert len(paths) > 300
    assert not [path for path in paths if wrong.search(path.read_text())]


def test_what_is_no_module_is_there_too(site):
    for name in ("conf/run.yaml", "sweeps/studies/quickstart.yaml", "sweeps/layouts/b1_glue.yaml"):
        assert (site / "kdlab" / name).is_file()
    names = ("analysis/templates", "analysis/published", "template/conf/knowledge")
    assert all(any((site / "kdlab" / name).iterdir()) for name in names)


def test_installed_modules_import_beside_foreign_ones_of_the_same_names(site):
    lines = [f"import {name}" for name in IMPORTS]
    lines += ["import kdlab, kdlab.config.option_files as o", "print(kdlab.__file__, o.CONF)"]
    ended = run(site, "-c", "\n".join(lines))
    assert ended.stderr == ""
    assert ended.stdout.split() == [str(site / "kdlab" / name) for name in ("__init__.py", "conf")]


def test_an_installed_study_plans_and_names_commands_that_there_are(site):
    ended = run(site, "-m", "kdlab.sweeps", "plan", "quickstart")
    assert ended.returncode == 0, ended.stderr
    assert " raw, 0 excluded" in ended.stdout
    ended = run(site, "-m", "kdlab.analysis", "tables", "quickstart")
    assert ended.returncode == 2
    assert "python -m kdlab.sweeps launch quickstart --wait" in ended.stderr


def test_the_hook_renames_commands_and_leaves_an_editable_install_as_it_is(hook, monkeypatch):
    monkeypatch.setitem(hook["Wheel"].initialize.__globals__, "lay_out", lambda *_: None)
    core = SimpleNamespace(scripts={"kdlab": "kdlab.__main__:main", "s": "sweeps.__main__:main"})
    wheel = hook["Wheel"]()
    wheel.root, wheel.metadata = str(ROOT), SimpleNamespace(core=core)
    wheel.initialize("editable", {})
    assert core.scripts["s"] == "sweeps.__main__:main"
    wheel.initialize("standard", {"force_include": {}})
    wheel.made.cleanup()
    assert core.scripts == {"kdlab": "kdlab.__main__:main", "s": "kdlab.sweeps.__main__:main"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from sweeps.plan import row", "from kdlab.sweeps.plan import row"),
        ("from analysis import load", "from kdlab.analysis import load"),
        ("import analysis; analysis.load()", "import kdlab.analysis; kdlab.analysis.load()"),
        ('f"sweeps.{module}"', 'f"kdlab.sweeps.{module}"'),
        ("a grid that sweeps tasks; an analysis.", "a grid that sweeps tasks; an analysis."),
        ("../../analysis/published", "../../analysis/published"),
        ("tests/benchmarks/sweeps.py", "tests/benchmarks/sweeps.py"),
        ("kdlab.sweeps.plan", "kdlab.sweeps.plan"),
    ],
)
def test_names_of_modules_are_renamed_and_words_are_not(hook, before, after):
    assert hook["renamed"](before) == after
