"""A guideline that several tests read."""

import pytest
from guidelines import planted, written
from simulated import AXES, study

from analysis.guideline import Guideline


@pytest.fixture(scope="session")
def found() -> Guideline:
    return written(study(AXES, planted, spread=0.5, tasks=["rte", "mrpc"]))
