"""The published studies: their tables come out of their archives, byte for byte."""

from contextlib import chdir
from pathlib import Path

import pytest

import analysis
from analysis.__main__ import write
from analysis.archive import restore
from analysis.tables import papers

RECORDS = Path(analysis.__file__).parent / "results" / "records"
PUBLISHED = sorted(path.parent for path in RECORDS.glob("*/plan.parquet"))


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_tables_are_made_of_the_archive(folder, tmp_path, monkeypatch):
    """Under the root that the commands in their notes name; there is no GLUE to be read."""
    monkeypatch.delenv("KDLAB_GLUE", raising=False)
    with chdir(tmp_path):
        study = restore(folder, "runs")
        runs = analysis.load(study, "runs")
        for split in ("select", "report"):
            write(papers.of_study(runs, split=split), Path("tables"), split, ["md"])
    made, kept = tmp_path / "tables", folder / "tables"
    assert {path.name for path in made.iterdir()} == {path.name for path in kept.iterdir()}
    for path in kept.iterdir():
        assert path.read_bytes() == (made / path.name).read_bytes(), path.name
