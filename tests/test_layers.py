"""Imports point one way, and `import kdlab` stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("kdlab", "sweeps", "analysis")
SHELVES = ("losses", "matching", "init")


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


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
        "kdlab.metrics",
        "kdlab.power",
        "kdlab.errors.BadInput",
        "kdlab.repeats",
        "kdlab.ending",
    )
    allowed += tuple(f"sweeps.{name}" for name in ("events", "failures", "progress", "saved"))
    for path in files("analysis"):
        for name in of_ours(path) - {"kdlab.metrics", "kdlab.power"}:
            assert name.startswith(allowed), f"{path}: {name}"


@pytest.mark.parametrize("shelf", SHELVES)
def test_shelves_know_nothing_of_hydra_models_or_each_other(shelf):
    allowed = (f"kdlab.{shelf}", "kdlab.layers", "kdlab.architecture", "kdlab.families",
               "kdlab.misfit")  # fmt: skip
    for path in files(f"kdlab/{shelf}"):
        for name in imported(path):
            assert not name.startswith(("hydra", "omegaconf", "transformers")), f"{path}: {name}"
            if name.startswith("kdlab"):
                assert name.startswith(allowed), f"{path}: {name}"


def test_only_what_reads_options_and_overrides_imports_hydra():
    users = {p.name for p in files("kdlab") if any(n.startswith("hydra") for n in imported(p))}
    assert users == {"config.py", "option_files.py", "override_rules.py", "__main__.py"}


def test_importing_kdlab_loads_no_torch_and_no_hydra():
    heavy = "('torch', 'hydra', 'transformers')"
    check = f"import kdlab, sys; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_no_room_for_odds_and_ends():
    banned = {"utils", "util", "common", "helper", "helpers", "manager", "misc"}
    for package in PACKAGES:
        assert not [p for p in files(package) if p.stem in banned]
