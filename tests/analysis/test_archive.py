"""An archive gives a study back: what tables, `why` and failures say of it is the same."""

import json
import platform
import shutil
from dataclasses import replace
from pathlib import Path

import edges
import pandas as pd
import pytest

import analysis
from analysis.archive import archive, restore
from analysis.tables import formats, papers
from kdlab.errors import BadInput
from kdlab.storage import ledger
from kdlab.storage.durable import Damaged
from sweeps.study import launched, reading

# Where a record lies, elsewhere after a restoration, and what is not published.
PLACES = ["file", "start", "end", "outputs", "host"]


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


def test_nothing_of_the_machine_and_no_account_is_published(room, tmp_path):
    """In no cell of any file; overrides stand in the plan and in records as well."""
    copy = shutil.copytree(room, tmp_path / "edges")
    own = ["launcher=slurm", "launcher.account=mine", "root=/scratch/alice"]
    launch(copy, *own, "threads=1")
    with edges.inside(copy):
        path = Path(edges.ROOT, "studies", edges.NAME, "plan.parquet")
        plan = pd.read_parquet(path)
        longer = plan["overrides"].map(lambda text: json.dumps(json.loads(text) + own))
        plan.assign(overrides=longer).to_parquet(path)
        launch(copy, *own, "threads=1")
        uid = next(iter(ledger.index(edges.ROOT)))
        record = ledger.read(edges.ROOT, ledger.index(edges.ROOT)[uid])
        cost = record.cost | {"host": "login7.cluster"}
        ledger.append(edges.ROOT, replace(record, overrides=[*record.overrides, *own], cost=cost))
        archive(edges.NAME, edges.ROOT, tmp_path / "out")
    out = tmp_path / "out"
    assert launched.read(out)[1] == ("threads=1",)
    texts = [path.read_text() for path in out.iterdir() if path.suffix != ".parquet"]
    for path in out.glob("*.parquet"):
        texts += map(str, pd.read_parquet(path).to_numpy().ravel())
    everything = "\n".join(texts)
    for private in ("mine", "alice", "login7", "node1", platform.node() + "-", "launcher=slurm"):
        assert private not in everything, private
    assert "ValueError" not in everything  # what the failed runs' errors say


def test_what_is_no_whole_archive_is_refused(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / edges.NAME)
    rows = pd.read_parquet(copy / "runs.parquet")
    first = rows["outputs_report"].first_valid_index()
    rows.loc[first, "outputs_report"] = bytes(len(rows.loc[first, "outputs_report"]))
    rows.to_parquet(copy / "runs.parquet")
    with pytest.raises(Damaged, match="outputs of run .* on report are damaged"):
        restore(copy, tmp_path / "root")
    assert not (tmp_path / "root").exists()
    (copy / "runs.parquet").unlink()
    with pytest.raises(BadInput, match=r"no archive of a study: runs.parquet is missing"):
        restore(copy, tmp_path / "root")
    restore(folder, tmp_path / "other")
    with pytest.raises(BadInput, match="is there already"):
        restore(folder, tmp_path / "other")
