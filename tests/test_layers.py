"""Imports point one way, and `import kdlab` stays light."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("kdlab", "sweeps", "analysis")
# The rooms of each package, from the ground up: files import from their own room and from those
# that come before it. A room is a folder, or a file beside the folders.
ROOMS = {
    "kdlab": """errors metrics power streams encoders record storage options ending device run
        tracking project new_project losses matching init models data objective config training
        cohort loading __init__ __main__""",
    "sweeps": """__init__ leftovers study journal wandb_sink task launchers status plan submit
        commands multirun hydra_plugins __main__""",
    "analysis": """published read __init__ statistics tables explain glue notebook effects figures
        guideline report archive notebook_outputs __main__""",
}
SHELVES = ("losses", "matching", "init")


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for package in PACKAGES for path in files(package)}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def of_ours(path: Path) -> set[str]:
    return {name for name in imported(path) if name.split(".")[0] in PACKAGES}


def modules(path: Path) -> set[str]:
    """The files of ours that a file imports, also inside of functions."""
    found = set()
    for name in of_ours(path):
        while name not in MODULES:
            name = name.rpartition(".")[0]
        found.add(name)
    return found - {name_of(path)}


def room(package: str, module: str) -> str:
    return (*module.removeprefix(package).strip(".").split("."), "")[0] or "__init__"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_room_imports_from_those_that_come_before_it(package):
    order = ROOMS[package].split()
    assert {room(package, name) for name in MODULES if name.split(".")[0] == package} == set(order)
    for name, path in MODULES.items():
        if name.split(".")[0] == package:
            own = order.index(room(package, name))
            inside = [other for other in modules(path) if other.split(".")[0] == package]
            above = [other for other in inside if order.index(room(package, other)) > own]
            assert not above, f"{name} imports {above}, which are above it"


def test_no_file_imports_itself_by_way_of_others():
    list(TopologicalSorter({name: modules(path) for name, path in MODULES.items()}).static_order())


def test_kdlab_imports_neither_sweeps_nor_analysis():
    for path in files("kdlab"):
        assert not [n for n in of_ours(path) if not n.startswith("kdlab")], path


def test_sweeps_does_not_import_analysis():
    for path in files("sweeps"):
        assert not [n for n in of_ours(path) if n.startswith("analysis")], path


def test_analysis_imports_only_what_is_written_down_metrics_power_and_how_commands_end():
    allowed = (
        "analysis",
        "kdlab.record",
        "kdlab.storage",
        "kdlab.metrics",
        "kdlab.power",
        "kdlab.errors.BadInput",
        "kdlab.ending",
        "sweeps.journal",
        "sweeps.study.launched",
        "sweeps.study.layouts",
    )
    for path in files("analysis"):
        for name in of_ours(path) - {"kdlab.metrics", "kdlab.power"}:
            assert name.startswith(allowed), f"{path}: {name}"


@pytest.mark.parametrize("shelf", SHELVES)
def test_shelves_know_nothing_of_hydra_models_or_each_other(shelf):
    allowed = (
        f"kdlab.{shelf}",
        "kdlab.encoders",
        "kdlab.errors.Misfit",
    )
    for path in files(f"kdlab/{shelf}"):
        for name in imported(path):
            assert not name.startswith(("hydra", "omegaconf", "transformers")), f"{path}: {name}"
            if name.startswith("kdlab"):
                assert name.startswith(allowed), f"{path}: {name}"


def test_only_what_reads_options_and_overrides_imports_hydra():
    users = {p.name for p in files("kdlab") if any(n.startswith("hydra") for n in imported(p))}
    assert users == {
        "compose.py",
        "option_files.py",
        "override_rules.py",
        "search_path.py",
        "__main__.py",
    }


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("kdlab", {"torch", "hydra", "transformers", "pandas"}),
        ("kdlab.config.compose", {"torch", "transformers"}),
        ("sweeps.commands", {"torch", "transformers"}),
        ("sweeps.task.worker", {"torch", "transformers"}),
        ("analysis.__main__", {"torch", "hydra", "transformers", "pandas"}),
    ],
)
def test_what_starts_at_once_loads_nothing_heavy(module, heavy):
    check = f"import {module}, sys; print(sorted({heavy} & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


def test_what_kdlab_offers_is_there():
    import kdlab

    assert all(callable(getattr(kdlab, name)) for name in kdlab.__all__)


def test_no_room_for_odds_and_ends():
    banned = {"utils", "util", "common", "helper", "helpers", "manager", "misc"}
    for package in PACKAGES:
        assert not [p for p in files(package) if p.stem in banned]
