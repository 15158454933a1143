"""Records survive what happens to processes and disks."""

import json
import os
import random

import numpy as np
import pytest

from kdlab import durable, record, repeats
from kdlab.record import Damaged, Record


def make(uid: str, accuracy: float = 0.5, cost: dict | None = None, **artifacts) -> Record:
    result = {"status": "done", "scores": {"select": {"accuracy": accuracy}}}
    return Record(uid, {"task": "x"}, ["seed=1"], result, cost or {}, artifacts)


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


CPU = {key: "one" for key in repeats.PROMISED} | {"accelerator": "cpu"}
GPU = CPU | {"accelerator": "cuda"}


def test_repeats_are_all_kept_and_read_once(tmp_path):
    for accuracy in (0.5, 0.5, 0.51):
        record.append(tmp_path, make("a", accuracy, GPU))
    assert record.records(tmp_path) == {"a": make("a", 0.5, GPU)}
    assert len(record.entries(tmp_path)["a"]) == 3
    assert repeats.notes(tmp_path) == [f"1 runs {repeats.SAID['close']}: a"]
    record.append(tmp_path, make("a", 0.6, GPU))
    assert repeats.notes(tmp_path) == [f"1 runs {repeats.SAID['apart']}: a"]


@pytest.mark.parametrize(
    ("one", "other", "change", "kind"),
    [
        (CPU, CPU, {}, "equal"),
        (CPU, GPU, {}, "equal"),
        (CPU, CPU, {"accuracy": 0.51}, "apart"),  # promised, and not kept
        (CPU, CPU | {"threads": "two"}, {"accuracy": 0.51}, "close"),
        (CPU, CPU | {"torch": "two"}, {"accuracy": 0.51}, "close"),
        (CPU, GPU, {"accuracy": 0.51}, "close"),
        (GPU, GPU, {"accuracy": 0.485}, "close"),
        (GPU, GPU, {"accuracy": 0.47}, "apart"),
        (GPU, GPU, {"steps": 4}, "apart"),
        (GPU, GPU, {"status": "diverged"}, "apart"),
        (GPU, GPU, {"scores": {"select": {"f1": 0.5}}}, "apart"),
        (GPU, GPU, {"weights": "of others"}, "close"),
    ],
)
def test_what_equality_means_depends_on_where_results_were_computed(one, other, change, kind):
    first, second = make("a", 0.5, one), make("a", change.pop("accuracy", 0.5), other)
    second.result.update(change)
    assert repeats.kind(first, second) == repeats.kind(second, first) == kind


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
    monkeypatch.setattr(durable.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
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


def flipped(path, place: int, bit: int = 0) -> None:
    """One bit of a file is another, and neither its size nor its time tells."""
    state, content = path.stat(), bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    record._cached.clear()  # as in another process


def test_a_bit_anywhere_in_a_ledger_costs_its_record_and_no_other(tmp_path):
    wanted = {uid: make(uid) for uid in ("a", "b", "c")}
    for each in wanted.values():
        record.append(tmp_path, each)
    (ledger,) = (tmp_path / "records").glob("*.jsonl")
    size, draw = ledger.stat().st_size, random.Random(0)
    for place, bit in [(draw.randrange(size), draw.randrange(8)) for _ in range(20)]:
        flipped(ledger, place, bit)
        record.heal(tmp_path)  # as launch does: time and size do not tell
        left = record.records(tmp_path)
        assert len(left) >= 2 - (place > 0 and ledger.read_bytes()[place - 1 : place] == b"\n")
        assert all(wanted[uid] == each for uid, each in left.items())
        assert record.index(tmp_path).keys() == left.keys()
        assert all(record.read(tmp_path, e) == wanted[u] for u, e in record.index(tmp_path).items())
        assert len(record.damaged(tmp_path)) > 0 or len(left) == 3  # a blank line is none
        flipped(ledger, place, bit)
        record.heal(tmp_path)
        ledger.with_suffix(".index").unlink()
        record._cached.clear()
        assert record.records(tmp_path) == wanted


def test_a_bit_anywhere_in_an_index_changes_nothing(tmp_path):
    for uid in ("a", "b", "c"):
        record.append(tmp_path, make(uid))
    (index,) = (tmp_path / "records").glob("*.index")
    whole, content = record.entries(tmp_path), index.read_bytes()
    for place in range(0, len(content), 5):
        flipped(index, place, place % 7)
        assert record.entries(tmp_path) == whole
        index.write_bytes(content)
    for garbage in (b"", b"\n", b"null\n", b"\xff" * 9, content + b"a done 0 0 9 0 0\n"):
        index.write_bytes(garbage)
        record._cached.clear()
        assert record.entries(tmp_path) == whole


def test_a_damaged_record_is_named_and_its_run_can_be_recorded_again(tmp_path):
    for uid in ("a", "b"):
        record.append(tmp_path, make(uid))
    (ledger,) = (tmp_path / "records").glob("*.jsonl")
    entry = record.index(tmp_path)["a"]
    flipped(ledger, entry.start + 40)
    with pytest.raises(Damaged, match=rf"{ledger.name}: damaged at byte {entry.start}; launch"):
        record.read(tmp_path, entry)
    record.heal(tmp_path, ["b"])
    assert set(record.index(tmp_path)) == {"a", "b"}  # nobody looked
    record.heal(tmp_path, ["a"])
    assert set(record.index(tmp_path)) == {"b"}
    where = f"bytes {entry.start} to {entry.end}"
    assert record.damaged(tmp_path) == [
        f"records/{ledger.name}: no record in {where}: torn or damaged"
    ]
    record.append(tmp_path, make("a"))
    assert set(record.index(tmp_path)) == set(record.records(tmp_path)) == {"a", "b"}


@pytest.mark.parametrize(
    "line", [b'{"a":1}', b"[1]", b"null", b"garbage", b"\xff", durable.line({"a": 1})]
)
def test_a_foreign_line_in_a_ledger_is_passed_over_and_named(tmp_path, line):
    record.append(tmp_path, make("a"))
    (ledger,) = (tmp_path / "records").glob("*.jsonl")
    with ledger.open("ab") as file:
        file.write(line)
    record.append(tmp_path, make("b"))
    assert list(record.records(tmp_path)) == list(record.index(tmp_path)) == ["a", "b"]
    assert len(record.damaged(tmp_path)) == 1
