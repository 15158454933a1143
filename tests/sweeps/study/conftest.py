"""A study file of two tables."""

import pytest
from study_texts import TEXT


@pytest.fixture
def example(tmp_path):
    path = tmp_path / "example.yaml"
    path.write_text(TEXT)
    return path
