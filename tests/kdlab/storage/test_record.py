"""Records survive what happens to processes and disks."""

import json
import os
import random

import numpy as np
import pytest

from kdlab.record import Record
from kdlab.storage import durable, example_outputs, ledger, repeats
from kdlab.storage.durable import Damaged


def make(uid: str, accuracy: float = 0.5, cost: dict | None = None, **artifacts) -> Record:
    result = {"status": "done", "scores": {"select": {"accuracy": accuracy}}}
    return Record(uid, {"task": "x"}, ["seed=1"], result, cost or {}, artifacts)


def test_a_torn_last_line_is_passed_over(tmp_path):
    ledger.append(tmp_path, make("a"))
    (path,) = (tmp_path / "records").glob("*.jsonl")
    whole = path.read_bytes()
    for cut in range(1, len(whole)):
        path.write_bytes(whole + whole[:cut])
        if not whole[:cut].endswith(b"\n"):
            assert set(ledger.records(tmp_path)) == {"a"}
    assert ledger.records(tmp_path)["a"] == make("a")


def test_a_line_torn_by_a_full_disk_costs_no_other(tmp_path):
    ledger.append(tmp_path, make("a"))
    (path,) = (tmp_path / "records").glob("*.jsonl")
    path.write_bytes(path.read_bytes() + b'{"uid": "torn')
    ledger.append(tmp_path, make("b"))
    assert set(ledger.records(tmp_path)) == {"a", "b"}


CPU = {key: "one" for key in repeats.PROMISED} | {"accelerator": "cpu"}
GPU = CPU | {"accelerator": "cuda"}


def test_repeats_are_all_kept_and_read_once(tmp_path):
    for accuracy in (0.5, 0.5, 0.51):
        ledger.append(tmp_path, make("a", accuracy, GPU))
    assert ledger.records(tmp_path) == {"a": make("a", 0.5, GPU)}
    assert len(ledger.entries(tmp_path)["a"]) == 3
    assert repeats.notes(tmp_path) == [f"1 runs {repeats.SAID['close']}: a"]
    ledger.append(tmp_path, make("a", 0.6, GPU))
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
    one = make("a", outputs=example_outputs.write_outputs(tmp_path, first))
    two = make("b", outputs=example_outputs.write_outputs(tmp_path, second))
    assert (
        example_outputs.read_outputs(tmp_path, one, "select").tolist() == first["select"].tolist()
    )
    assert (
        example_outputs.read_outputs(tmp_path, one, "report").tolist() == first["report"].tolist()
    )
    assert (
        example_outputs.read_outputs(tmp_path, two, "report").tolist() == second["report"].tolist()
    )


def test_examples_are_kept_once(tmp_path):
    ids, labels = np.array([3, 5]), np.array([0.0, 1.0])
    digest = example_outputs.write_examples(tmp_path, ids, labels)
    assert example_outputs.write_examples(tmp_path, ids, labels) == digest
    assert len(list((tmp_path / "examples").iterdir())) == 1
    run = Record("a", {}, [], {"examples": {"report": digest}}, {}, {})
    found = example_outputs.read_examples(tmp_path, run, "report")
    assert found[0].tolist() == [3, 5]
    assert found[1].tolist() == [0, 1]


def test_files_are_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "file"
    durable.write_whole(path, b"old")
    monkeypatch.setattr(durable.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        durable.write_whole(path, b"new and longer")
    assert path.read_bytes() == b"old"


def test_a_record_is_plain_json():
    assert json.loads(json.dumps(make("a").__dict__))["uid"] == "a"


def test_the_index_says_what_the_records_say(tmp_path):
    for uid in ("a", "b", "c"):
        ledger.append(tmp_path, make(uid))
    (index,) = (tmp_path / "records").glob("*.index")
    (whole,) = (tmp_path / "records").glob("*.jsonl")
    lines = index.read_text().splitlines(keepends=True)
    # As it was left; without the middle line; without the last; torn; lost.
    for text in ("".join(lines), lines[0] + lines[2], lines[0] + lines[1], lines[0] + "b do", ""):
        index.write_text(text)
        found = ledger.index(tmp_path)
        assert list(found) == ["a", "b", "c"]
        for uid, entry in found.items():
            assert (entry.status, entry.seconds) == ("done", 0.0)
            assert ledger.read(tmp_path, entry) == ledger.records(tmp_path)[uid]
    with open(whole, "ab") as file:
        file.write(b'\n{"uid":"d","torn')
    assert list(ledger.index(tmp_path)) == ["a", "b", "c"]
    ledger.append(tmp_path, make("e"))
    assert list(ledger.index(tmp_path)) == ["a", "b", "c", "e"]


def flipped(path, place: int, bit: int = 0) -> None:
    """One bit of a file is another, and neither its size nor its time tells."""
    state, content = path.stat(), bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    ledger._cached.clear()  # as in another process


def test_a_bit_anywhere_in_a_ledger_costs_its_record_and_no_other(tmp_path):
    wanted = {uid: make(uid) for uid in ("a", "b", "c")}
    for each in wanted.values():
        ledger.append(tmp_path, each)
    (jsonl,) = (tmp_path / "records").glob("*.jsonl")
    size, draw = jsonl.stat().st_size, random.Random(0)
    for place, bit in [(draw.randrange(size), draw.randrange(8)) for _ in range(20)]:
        flipped(jsonl, place, bit)
        ledger.heal(tmp_path)  # as launch does: time and size do not tell
        left = ledger.records(tmp_path)
        assert len(left) >= 2 - (place > 0 and jsonl.read_bytes()[place - 1 : place] == b"\n")
        assert all(wanted[uid] == each for uid, each in left.items())
        assert ledger.index(tmp_path).keys() == left.keys()
        assert all(ledger.read(tmp_path, e) == wanted[u] for u, e in ledger.index(tmp_path).items())
        assert len(ledger.damaged(tmp_path)) > 0 or len(left) == 3  # a blank line is none
        flipped(jsonl, place, bit)
        ledger.heal(tmp_path)
        jsonl.with_suffix(".index").unlink()
        ledger._cached.clear()
        assert ledger.records(tmp_path) == wanted


def test_a_bit_anywhere_in_an_index_changes_nothing(tmp_path):
    for uid in ("a", "b", "c"):
        ledger.append(tmp_path, make(uid))
    (index,) = (tmp_path / "records").glob("*.index")
    whole, content = ledger.entries(tmp_path), index.read_bytes()
    for place in range(0, len(content), 5):
        flipped(index, place, place % 7)
        assert ledger.entries(tmp_path) == whole
        index.write_bytes(content)
    for garbage in (b"", b"\n", b"null\n", b"\xff" * 9, content + b"a done 0 0 9 0 0\n"):
        index.write_bytes(garbage)
        ledger._cached.clear()
        assert ledger.entries(tmp_path) == whole


def test_a_damaged_record_is_named_and_its_run_can_be_recorded_again(tmp_path):
    for uid in ("a", "b"):
        ledger.append(tmp_path, make(uid))
    (jsonl,) = (tmp_path / "records").glob("*.jsonl")
    entry = ledger.index(tmp_path)["a"]
    flipped(jsonl, entry.start + 40)
    with pytest.raises(Damaged, match=rf"{jsonl.name}: damaged at byte {entry.start}; launch"):
        ledger.read(tmp_path, entry)
    ledger.heal(tmp_path, ["b"])
    assert set(ledger.index(tmp_path)) == {"a", "b"}  # nobody looked
    ledger.heal(tmp_path, ["a"])
    assert set(ledger.index(tmp_path)) == {"b"}
    where = f"bytes {entry.start} to {entry.end}"
    assert ledger.damaged(tmp_path) == [
        f"records/{jsonl.name}: no record in {where}: torn or damaged"
    ]
    ledger.append(tmp_path, make("a"))
    assert set(ledger.index(tmp_path)) == set(ledger.records(tmp_path)) == {"a", "b"}


@pytest.mark.parametrize(
    "line", [b'{"a":1}', b"[1]", b"null", b"garbage", b"\xff", durable.line({"a": 1})]
)
def test_a_foreign_line_in_a_ledger_is_passed_over_and_named(tmp_path, line):
    ledger.append(tmp_path, make("a"))
    (jsonl,) = (tmp_path / "records").glob("*.jsonl")
    with jsonl.open("ab") as file:
        file.write(line)
    ledger.append(tmp_path, make("b"))
    assert list(ledger.records(tmp_path)) == list(ledger.index(tmp_path)) == ["a", "b"]
    assert len(ledger.damaged(tmp_path)) == 1
