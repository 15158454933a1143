"""The study of `wide`, read and arranged once for all tests of a file."""

import edges
import pytest
import wide

import analysis
from analysis.tables import papers


@pytest.fixture(scope="module")
def runs(wide_study):
    with edges.inside(wide_study):
        yield analysis.load(wide.NAME, wide.ROOT)


@pytest.fixture(scope="module")
def tables(runs):
    return papers.of_study(runs)
