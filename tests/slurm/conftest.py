"""Fixtures: one real SLURM cluster for the session, cleared around each test."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import Cluster, foreign_variables
from .configuration import obstacles


@pytest.fixture(scope="session")
def directory() -> str:
    """A folder for clusters with a short name, in memory where possible."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"


@pytest.fixture(scope="session")
def cluster(directory: str) -> Iterator[Cluster]:
    """Four nodes of eight CPUs and four fake GPUs; this process's SLURM commands go there.

    Where SLURM cannot run the tests skip; with KDLAB_SLURM=require they fail.
    """
    if reasons := obstacles():
        required = os.environ.get("KDLAB_SLURM") == "require"
        (pytest.fail if required else pytest.skip)(f"no SLURM here: {', '.join(reasons)}")
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="slurm-", dir=directory)))
    try:
        cluster.start()
        with pytest.MonkeyPatch.context() as patch:
            for key in foreign_variables():
                patch.delenv(key)
            for key, value in cluster.env.items():
                patch.setenv(key, value)
            yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def slurm(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with no jobs and every node up, before and after."""
    cluster.clear()
    yield cluster
    cluster.clear()
