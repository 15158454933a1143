"""The study of `edges`, planned, recorded and arranged once for all tests that only read it."""

import io
import json
import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import composed
import edges
import pytest
import wide
from filelock import FileLock

import analysis
from analysis import __main__ as command
from analysis.tables import formats, papers

OF_STUDY = ("main", "B5_better_teacher", "A7_systems", "tuned", "A2_matching")
OF_TRIALS = ("tuned_tune_select", "tuned_select")


class Tables(NamedTuple):
    """What `python -m analysis tables` printed, and by name the files with the trials' beside."""

    out: str
    err: str
    files: dict[str, str]


@pytest.fixture(scope="module", autouse=True)
def _plans_sooner(plans_sooner: None) -> None:
    """Tables are the subject here, and of studies, not how these are composed."""


@pytest.fixture(scope="session")
def edge_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which `runs` has the study; tests work `edges.inside` it."""
    return _once(tmp_path_factory, "edges", edges.make)


def _once(
    tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]
) -> Path:
    """The folder of this name, filled by the first worker that asks for it."""
    folder = tmp_path_factory.getbasetemp() / name
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = tmp_path_factory.getbasetemp().parent / name  # of all workers
    with FileLock(f"{folder}.lock"):
        if not (folder / "made").exists():
            folder.mkdir()
            with composed.plans_sooner():
                make(folder)
            (folder / "made").touch()
    return folder


@pytest.fixture(scope="session")
def wide_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `edge_study`, of several tasks and sizes: the study of `wide`."""
    return _once(tmp_path_factory, "wide", wide.make)


@pytest.fixture(scope="session")
def edge_tables(edge_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    def make(folder: Path) -> None:
        (folder / "tables.json").write_text(json.dumps(_tables(edge_study)))

    folder = _once(tmp_path_factory, "edge_tables", make)
    return Tables(*json.loads((folder / "tables.json").read_text()))


def _tables(edge_study: Path) -> Tables:
    with edges.inside(edge_study), pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.argv", ["analysis", "tables", edges.NAME, "--root", edges.ROOT])
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            command.main()
        room = Path(edges.ROOT) / "studies" / edges.NAME / "tables"
        written = [p for p in sorted(room.iterdir()) if p.suffix[1:] in formats.FORMATS]
        found = {path.name: path.read_text() for path in written}
        runs = analysis.load(edges.NAME, edges.ROOT)
        trials = papers.of_study(runs[runs["table"] == "tuned"], split="select")
        for name, table in zip(OF_TRIALS, trials, strict=True):
            found |= {f"{name}.{s}": text(table) for s, text in formats.FORMATS.items()}
    names = {f"{name}.{suffix}" for name in OF_STUDY + OF_TRIALS for suffix in formats.FORMATS}
    assert set(found) == names
    return Tables(out.getvalue(), err.getvalue(), found)
