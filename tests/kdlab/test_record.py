"""Records survive what happens to processes and disks."""

import json

import numpy as np
import pytest

from kdlab import record
from kdlab.record import Record


def make(uid: str, accuracy: float = 0.5, **artifacts) -> Record:
    return Record(
        uid, {"task": "x"}, ["seed=1"], {"status": "done", "accuracy": accuracy}, {}, artifacts
    )


def test_a_torn_last_line_is_passed_over(tmp_path):
    record.append(tmp_path, make("a"))
    (path,) = (tmp_path / "records").glob("*.jsonl")
    whole = path.read_bytes()
    for cut in range(1, len(whole)):
        path.write_bytes(whole + whole[:cut])
        if not whole[:cut].endswith(b"\n"):
            assert set(record.records(tmp_path)) == {"a"}
    assert record.records(tmp_path)["a"] == make("a")


def test_a_line_torn_by_a_full_disk_costs_no_other(tmp_path):
    record.append(tmp_path, make("a"))
    (path,) = (tmp_path / "records").glob("*.jsonl")
    path.write_bytes(path.read_bytes() + b'{"uid": "torn')
    record.append(tmp_path, make("b"))
    assert set(record.records(tmp_path)) == {"a", "b"}


def test_equal_repeats_count_once_and_unequal_ones_are_an_error(tmp_path):
    record.append(tmp_path, make("a"))
    record.append(tmp_path, make("a"))
    assert len(record.records(tmp_path)) == 1
    record.append(tmp_path, make("a", accuracy=0.6))
    with pytest.raises(ValueError, match="two unequal results of run a"):
        record.records(tmp_path)


def test_outputs_come_back_by_split(tmp_path):
    first = {"select": np.arange(6.0).reshape(3, 2), "report": np.ones((2, 2))}
    second = {"report": np.full((4, 3), 7.0)}
    one = make("a", outputs=record.write_outputs(tmp_path, first))
    two = make("b", outputs=record.write_outputs(tmp_path, second))
    assert record.read_outputs(tmp_path, one, "select").tolist() == first["select"].tolist()
    assert record.read_outputs(tmp_path, one, "report").tolist() == first["report"].tolist()
    assert record.read_outputs(tmp_path, two, "report").tolist() == second["report"].tolist()


def test_examples_are_kept_once(tmp_path):
    ids, labels = np.array([3, 5]), np.array([0.0, 1.0])
    digest = record.write_examples(tmp_path, ids, labels)
    assert record.write_examples(tmp_path, ids, labels) == digest
    assert len(list((tmp_path / "examples").iterdir())) == 1
    run = Record("a", {}, [], {"examples": {"report": digest}}, {}, {})
    found = record.read_examples(tmp_path, run, "report")
    assert found[0].tolist() == [3, 5]
    assert found[1].tolist() == [0, 1]


def test_files_are_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "file"
    record.write_whole(path, b"old")
    monkeypatch.setattr(record.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        record.write_whole(path, b"new and longer")
    assert path.read_bytes() == b"old"


def test_a_record_is_plain_json():
    assert json.loads(json.dumps(make("a").__dict__))["uid"] == "a"


def test_the_index_says_what_the_records_say(tmp_path):
    for uid in ("a", "b", "c"):
        record.append(tmp_path, make(uid))
    (index,) = (tmp_path / "records").glob("*.index")
    (whole,) = (tmp_path / "records").glob("*.jsonl")
    lines = index.read_text().splitlines(keepends=True)
    # As it was left; without the middle line; without the last; torn; lost.
    for text in ("".join(lines), lines[0] + lines[2], lines[0] + lines[1], lines[0] + "b do", ""):
        index.write_text(text)
        found = record.index(tmp_path)
        assert list(found) == ["a", "b", "c"]
        for uid, entry in found.items():
            assert (entry.status, entry.seconds) == ("done", 0.0)
            assert record.read(tmp_path, entry) == record.records(tmp_path)[uid]
    with open(whole, "ab") as file:
        file.write(b'\n{"uid":"d","torn')
    assert list(record.index(tmp_path)) == ["a", "b", "c"]
    record.append(tmp_path, make("e"))
    assert list(record.index(tmp_path)) == ["a", "b", "c", "e"]
