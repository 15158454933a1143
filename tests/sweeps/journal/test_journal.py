"""Events are read once, in any order of clocks, whatever else stands in their files."""

import json
import os
import random
import shutil

import pytest

from kdlab.storage import durable
from kdlab.storage.durable import append_line
from sweeps.journal import event_files, events, failures, run_states

FOREIGN = [
    b'{"a":1}',
    b"[1]",
    b"null",
    b"7",
    b'"end"',
    b"\xff\xfe\x00",
    b'{"event":"end"',
    b"[" * 100_000,
    b'{"event":"end","time":1,"uids":["b"]}',  # without the digest that each line ends in
    *(
        durable.line(page)[:-1]
        for page in (
            {"a": 1},
            {"event": "comet", "time": 1},
            {"event": ["end"], "time": 1},
            {"event": "end", "time": 1},
            {"event": "end", "time": "now", "uids": ["a"]},
            {"event": "end", "time": float("nan"), "uids": ["a"]},
            {"event": "end", "time": 1, "uids": ["a"], "n": "first"},
            {"event": "exit", "time": 1, "why": None},
            {"event": "trouble", "time": 1, "uids": [1], "class": "crashed"},
            {"event": "trouble", "time": 1, "uids": ["a"], "class": ["crashed"]},
            {"event": "worker", "time": 1, "intent": "i", "index": -1},
            {"event": "submitted", "time": 1, "intent": "nobody", "job": "7"},
            {"event": "retry", "time": 1, "uids": {"a": 2}},
            {"event": "intent", "time": 1, "intent": "j", "study": "s", "shards": [],
             "launcher": "local", "uids": [["a"]]},
        )
    ),
]  # fmt: skip


@pytest.fixture
def told(tmp_path):
    """Writes events as so many processes: (process, kind, fields), in causal order."""
    counts = {}

    def tell(process, kind, clock=0.0, **fields):
        number = counts[process] = counts.get(process, -1) + 1
        event = {"event": kind, "time": clock, "file": process, "n": number} | fields
        append_line(tmp_path / "events" / f"{process}.jsonl", event)

    return tell


STORY = [
    ("launch", "intent", {"intent": "i", "study": "s", "launcher": "local",
                          "shards": ["x", "y"], "uids": [["a", "b"], ["c"]]}),
    ("launch", "submitted", {"intent": "i", "job": "7"}),
    ("launch", "intent", {"intent": "j", "study": "s", "launcher": "local",
                          "shards": ["z"], "uids": [["d"]]}),
    ("late", "refused", {"intent": "j", "why": "no such job"}),
    ("one", "worker", {"intent": "i", "index": 0}),
    ("one", "start", {"uids": ["a", "b"]}),
    ("one", "trouble", {"uids": ["a", "b"], "class": "crashed"}),
    ("one", "start", {"uids": ["a", "b"]}),
    ("two", "trouble", {"uids": ["a", "b"], "class": "lost", "of": "one", "at": 3}),
    ("two", "worker", {"intent": "i", "index": 0, "restart": 1, "before": 1}),
    ("two", "start", {"uids": ["a"]}),
    ("two", "trouble", {"uids": ["a"], "class": "code_error"}),
    ("launch", "retry", {"uids": ["a"], "trouble": {"two": [3]}}),
    ("two", "start", {"uids": ["a"]}),
    ("two", "end", {"uids": ["a"]}),
    ("two", "start", {"uids": ["b"]}),
    ("three", "worker", {"intent": "i", "index": 1}),
    ("three", "start", {"uids": ["c"]}),
    ("three", "stopped", {"uids": ["c"]}),
    ("three", "exit", {"why": events.ASKED_TO_STOP}),
    ("later", "submitted", {"intent": "j", "job": "8"}),
]  # fmt: skip


def summary(state):
    """What follows from a state, without its clocks."""

    def named(held):
        return {uid: {events.event_id(e) for e in those} for uid, those in held.items()}

    live = {("i", 0): "RUNNING", ("i", 1): "PENDING", ("j", 0): "PENDING"}
    uids = dict.fromkeys("abcd", ())
    return {
        "states": run_states.states(uids, {}, state, live),
        "jobs": {intent: event["job"] for intent, event in state.intents.items()},
        "refused": state.refused,
        "last": {task: those[-1]["file"] for task, those in state.workers.items()},
        "running": {file: event["uids"] for file, event in state.running.items()},
        "trouble": named(state.trouble),
        "forgiven": named(state.forgiven),
        "exits": state.exits,
        "ends": [event["uids"] for event in state.ends],
    }


@pytest.mark.parametrize("seed", range(12))
def test_no_clock_changes_what_events_add_up_to(told, tmp_path, seed):
    clock = random.Random(seed)
    for process, kind, fields in STORY:
        told(process, kind, clock.choice([-1e9, 0, clock.random(), 1e10]), **fields)
    assert summary(events.fold(tmp_path)) == {
        "states": {"a": "queued", "b": "running", "c": "queued", "d": "queued"},
        "jobs": {"i": "7", "j": "8"},
        "refused": {},
        "last": {("i", 0): "two", ("i", 1): "three"},
        "running": {"two": ["b"]},
        "trouble": {"a": {("one", 2), ("two", 0)}, "b": {("one", 2), ("two", 0)}},
        "forgiven": {"a": {("two", 3)}},
        "exits": {"three": events.ASKED_TO_STOP},
        "ends": [["a"]],
    }
    assert events.fold(tmp_path).skipped == []


@pytest.mark.parametrize("seed", range(4))
def test_lines_of_others_copies_and_repeats_are_named_and_change_nothing(told, tmp_path, seed):
    for process, kind, fields in STORY:
        told(process, kind, **fields)
    clean = summary(events.fold(tmp_path))
    path, chance = tmp_path / "events" / "two.jsonl", random.Random(seed)
    lines = [line for line in path.read_bytes().split(b"\n") if line]
    for line in [*FOREIGN, lines[2]]:
        lines.insert(chance.randrange(5, len(lines) + 1), line)
    path.write_bytes(b"\n".join(lines) + b'\n{"event":"tor')
    (tmp_path / "events" / "mine.jsonl").write_bytes(b"\n".join(FOREIGN) + b"\n")
    shutil.copy(tmp_path / "events" / "one.jsonl", tmp_path / "events" / "one (copy).jsonl")
    state = events.fold(tmp_path)
    assert summary(state) == clean
    assert len(state.skipped) == 2 * len(FOREIGN) + 1 + 4
    assert "events/mine.jsonl, line 1: torn, damaged or foreign" in state.skipped
    assert "events/mine.jsonl, line 11: no event of a known kind" in state.skipped
    assert any("events/two.jsonl, line" in line for line in state.skipped)


def test_what_was_passed_over_is_said_once_and_in_few_lines(capsys):
    failures.report_skipped([f"events/x.jsonl, line {n}: no JSON" for n in range(30)])
    failures.report_skipped(["events/x.jsonl, line 0: no JSON"])
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "sweeps: passed over: events/x.jsonl, line 0: no JSON"
    assert said[10:] == ["sweeps: passed over: 20 lines more"]


def test_a_file_is_read_on_from_where_it_was_read_before(told, tmp_path, monkeypatch):
    read = []
    real = events._checked
    monkeypatch.setattr(events, "_checked", lambda *said: read.append(said[2]) or real(*said))
    for number in range(60):
        told("one", "end", uids=[str(number)])
        assert len(events.fold(tmp_path).ends) == number + 1
    assert len(read) == 60  # each line once
    ((path, kept),) = event_files._JOURNALS.items()
    assert (path.name, len(kept.events), kept.end) == ("one.jsonl", 60, path.stat().st_size)
    assert len(kept.tail) <= event_files.TAIL
    line = durable.line({"event": "end", "time": 1, "uids": ["x"]})
    for part, ends in ((line[:20], 60), (line[20:], 61)):
        with path.open("ab") as file:
            file.write(part)
        assert len(events.fold(tmp_path).ends) == ends


@pytest.mark.parametrize("how", ["cut", "replaced", "rewritten", "gone"])
def test_a_file_that_is_no_longer_what_was_read_is_read_anew(told, tmp_path, how):
    for number in range(3):
        told("one", "end", uids=[str(number)])
    path = tmp_path / "events" / "one.jsonl"
    assert len(events.fold(tmp_path).ends) == 3
    other = durable.line({"event": "end", "time": 1, "uids": ["other"]})
    if how == "cut":
        os.truncate(path, 0)
        path.write_bytes(other)
    elif how == "replaced":
        new = path.with_suffix(".new")
        new.write_bytes(other * 2 + b" " * path.stat().st_size)
        new.replace(path)
    elif how == "rewritten":
        lines = path.read_bytes().splitlines(keepends=True)
        lines[-1] = durable.line(durable.page_of(lines[-1]) | {"uids": ["9"]})
        path.write_bytes(b"".join(lines) + other)
    else:
        path.unlink()
    ends = [uid for event in events.fold(tmp_path).ends for uid in event["uids"]]
    expected = {"cut": ["other"], "replaced": ["other"] * 2, "rewritten": ["0", "1", "9", "other"]}
    assert ends == expected.get(how, [])
    assert len(event_files._JOURNALS) == (how != "gone")


def test_a_lost_incarnation_that_goes_on_runs_what_it_began_since(told, tmp_path):
    told("one", "start", uids=["a"])
    told("two", "trouble", uids=["a"], of="one", at=0, **{"class": "lost"})
    assert events.fold(tmp_path).running == {}
    told("one", "start", uids=["b"])
    assert [event["uids"] for event in events.fold(tmp_path).running.values()] == [["b"]]


def test_events_name_themselves_and_trouble_by_number(tmp_path):
    events.append(tmp_path, "trouble", uids=["a"], **{"class": "lost"})
    (path,) = (tmp_path / "events").iterdir()
    (page,) = (json.loads(line) for line in path.read_text().split("\n") if line)
    assert page["file"] == path.stem
    assert events.numbers_by_file(events.read(tmp_path)) == {path.stem: [page["n"]]}
