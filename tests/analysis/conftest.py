"""The study of `edges`, planned and recorded once for all tests that only read it."""

from pathlib import Path

import edges
import pytest


@pytest.fixture(scope="session")
def edge_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which `runs` has the study; tests work `edges.inside` it."""
    folder = tmp_path_factory.mktemp("edges")
    edges.make(folder)
    return folder
