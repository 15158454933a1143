"""Studies from texts."""

import pytest

from sweeps.study import reading


@pytest.fixture
def read(tmp_path):
    """The study of a text."""

    def reader(text: str):
        path = tmp_path / "example.yaml"
        path.write_text(text)
        return reading.load(str(path))

    return reader
