"""Fixtures: a run small enough to train in a second, and real GLUE rows where they are."""

import os
from pathlib import Path

import pytest

# Widths, depths and rows at which a student trains in about a second.
SMALL = (
    "task.train_rows=300",
    "task.report_rows=60",
    "task.words=8",
    "teacher.size=l3_h32_a2",
    "size=l2_h32_a2",
    "train.epochs=2",
    "train.batch_size=16",
    "train.lr=1e-3",
)


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    return SMALL


@pytest.fixture(scope="session")
def glue() -> str:
    """A folder with GLUE's Parquet files: KDLAB_GLUE, or the folder beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "glue"
    folder = os.environ.get("KDLAB_GLUE", str(beside))
    if not Path(folder).is_dir():
        pytest.skip("no GLUE data: set KDLAB_GLUE to a folder such as GLUE/SST-2/train.parquet")
    return folder


@pytest.fixture(scope="session")
def shared_root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One root for tests that only read what others may have trained, such as a teacher."""
    return str(tmp_path_factory.mktemp("runs"))
