"""An archive gives a study back: what tables, `why` and failures say of it is the same."""

import shutil
from pathlib import Path

import edges
import pandas as pd
import pytest

import analysis
from analysis.archive import archive, restore
from analysis.tables import formats, papers
from kdlab.errors import BadInput
from kdlab.storage.durable import Damaged
from sweeps.study import launched, reading

PLACES = ["file", "start", "end", "outputs"]  # where a record lies: elsewhere after a restoration


@pytest.fixture(scope="module")
def room(edge_study, tmp_path_factory) -> Path:
    """A copy of the study with every edge, as if it had been launched."""
    copy = shutil.copytree(edge_study, tmp_path_factory.mktemp("room") / "edges")
    launch(copy, "threads=1")
    return copy


def launch(room: Path, *overrides: str) -> None:
    with edges.inside(room):
        study = reading.load(f"{edges.NAME}.yaml")
        launched.save(study, overrides, Path(edges.ROOT, "studies", edges.NAME))


@pytest.fixture(scope="module")
def folder(room, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("archives") / edges.NAME
    with edges.inside(room):
        archive(edges.NAME, edges.ROOT, target)
    return target


def test_tables_are_the_same_bytes(room, folder, tmp_path):
    with edges.inside(tmp_path):
        assert restore(folder, edges.ROOT) == edges.NAME
    frames, texts = [], []
    for place in (room, tmp_path):  # notes name commands, with a root that is the same from here
        with edges.inside(place):
            runs = analysis.load(edges.NAME, edges.ROOT)
            tables = papers.of_study(runs[runs["table"] != "systems"])
        frames.append(runs.drop(columns=PLACES))
        texts.append([form(table) for table in tables for form in formats.FORMATS.values()])
    pd.testing.assert_frame_equal(*frames)
    assert texts[0] == texts[1]


def test_no_account_is_published(room, tmp_path):
    copy = shutil.copytree(room, tmp_path / "edges")
    launch(copy, "launcher=slurm", "launcher.account=mine", "threads=1")
    with edges.inside(copy):
        archive(edges.NAME, edges.ROOT, tmp_path / "out")
    assert launched.read(tmp_path / "out")[1] == ("threads=1",)
    assert b"mine" not in (tmp_path / "out" / "study.yaml").read_bytes()


def test_what_is_no_whole_archive_is_refused(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / edges.NAME)
    rows = pd.read_parquet(copy / "runs.parquet")
    first = rows["outputs_report"].first_valid_index()
    rows.loc[first, "outputs_report"] = bytes(len(rows.loc[first, "outputs_report"]))
    rows.to_parquet(copy / "runs.parquet")
    with pytest.raises(Damaged, match="outputs of run .* on report are damaged"):
        restore(copy, tmp_path / "root")
    (copy / "runs.parquet").unlink()
    with pytest.raises(BadInput, match=r"no archive of a study: runs.parquet is missing"):
        restore(copy, tmp_path / "root")
    restore(folder, tmp_path / "other")
    with pytest.raises(BadInput, match="is there already"):
        restore(folder, tmp_path / "other")
