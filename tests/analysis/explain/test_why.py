"""What `why` says of cells and runs, and that its commands do what they say."""

import re
import shlex
import shutil
from dataclasses import replace

import edges
import pytest

from analysis.explain.lookup import find
from analysis.explain.why import sparkline, why
from analysis.read.run_history import histories
from kdlab.config.compose import compose
from kdlab.errors import BadInput
from kdlab.storage import ledger
from sweeps.journal import events
from sweeps.submit import reconcile


@pytest.fixture
def root(edge_study):
    with edges.inside(edge_study):
        yield edges.ROOT


def commands(text: str) -> list[list[str]]:
    return [shlex.split(command) for command in re.findall(r"`([^`]*)`", text)]


def test_a_cell_has_its_runs_with_scores_curves_shares_and_cost(root):
    text = why("edges/main/strong/mrpc", root)
    first = text.splitlines()[0]
    assert first == "edges/main/strong/mrpc: 5 runs, 5 done"
    assert text.count("\nmrpc, seed ") == 5
    part = text.split("\n\n")[1]
    for said in (
        "report f1 67.38, report accuracy 75.50, select f1 67.38",
        "300 steps, scored at 200; 9.5 s, cohort of 5, 2 threads, a processor, host node1",
        "code 0123456789ab, torch 2.9.0",
        "hard         █▃▁  0.7 0.5 0.4",
        "select       ▁▄█  0.5† 0.6 0.755\n",
        "† one prediction for every row: counts 0 where weights are chosen",
        "shares of the gradient at 10, 90 %: hard 1.00 0.25, logits_kl 0.00 0.75",
        "agreement with the teacher on report: top1 0.9, kl 0.125",
    ):
        assert said in part, said
    taught = [line for line in text.splitlines() if line.startswith("  teacher ")]
    assert len(taught) == 1
    assert "report f1 79.22, report accuracy 85.00" in taught[0]


def test_the_command_of_a_recorded_run_repeats_it_elsewhere(root):
    target = find("edges/main/strong/mrpc", root)
    repeat, compare = commands(why(target.name, root).split("\n\n")[1])
    assert repeat[:3] == ["python", "-m", "kdlab"]
    assert repeat[-2:] == ["threads=2", "root=/tmp/again"]
    assert compose(*repeat[3:]).uid == target.runs[0].uid
    assert compare[3:] == [
        "diff",
        *[target.runs[0].uid] * 2,
        *("--root", root),
        "--other",
        repeat[-1][5:],
    ]


def test_a_missing_run_has_the_command_that_fills_it(root):
    text = why("edges/gone/mrpc", root)
    assert text.startswith("edges/main/gone/mrpc: 5 runs, 5 missing")
    launch, own = commands(text.split("\n\n")[1])
    assert launch == ["python", "-m", "sweeps", "launch", "edges", "--wait", f"root={root}"]
    assert own[-1] == f"root={root}"
    assert compose(*own[3:]).uid == find("edges/gone/mrpc", root).runs[0].uid


def test_a_failed_run_has_its_trouble_its_traceback_and_the_retry(root):
    text = why("edges/failed `it`/mnli", root)
    first = find("edges/failed `it`/mnli", root).runs[0]
    assert f"mnli, seed 1: failed (code_error)  {first.uid}" in text
    assert "  code_error on node1: ValueError: a|b\n    one\n    two\n" in text
    assert f"python -m sweeps retry edges --uid {first.uid} --root runs" in text


def test_diverged_one_seed_and_left_out(root):
    assert "wild/mrpc: 5 runs, 2 diverged, 3 missing" in why("edges/wild/mrpc", root)
    assert "one seed/mrpc: 5 runs, 4 missing, 1 done" in why("edges/one seed/mrpc", root).replace(
        "1 done, 4 missing", "4 missing, 1 done"
    )
    text = why("edges/left out/mnli", root)
    assert "excluded (costly: three_times 100 % &)" in text
    assert commands(text) == []
    constant = why("edges/constant/mnli", root)
    assert "one prediction for every row of select, report_matched, report_mismatched" in constant


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("edges/strong/mrpc", "edges/main/strong/mrpc"),
        ("edges/main/strong/mrpc accuracy", "edges/main/strong/mrpc"),
        ("edges/main/strong/mnli-mismatched", "edges/main/strong/mnli"),
        ("edges/strong", "edges/main/strong"),
        ("edges/50", "edges/main/50 % & <b>more<b> #1"),
        ("edges/main/three classes/mnli", "edges/main/three classes/mnli"),
        ("edges/systems/teacher", "edges/systems/teacher/mnli"),
        ("edges/tuned_tune/none, train.lr=0.001", "edges/tuned_tune/none, train.lr=0.001/mrpc"),
    ],
)
def test_cells_are_found_by_parts_and_beginnings(root, text, name):
    found = find(text, root)
    assert found.name == name
    assert find(name, root) == found  # by which it may be asked for again


def test_crossed_teachers_are_told_apart(root):
    text = why("edges/crossed/hidden, matching=skip", root)
    assert "10 runs, 10 done" in text
    assert "mrpc, seed 1, teacher seed 6: done" in text
    taught = [line for line in text.splitlines() if line.startswith("  teacher of mrpc, seed 1, ")]
    assert len(taught) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("edge/strong", r"no plan of study 'edge' under runs \(there: edges\)"),
        (
            "edges",
            "no cell '' in study edges; there: 'edges/tuned_tune/.*'edges/main/none'.*: mrpc",
        ),
        ("edges/stronk", "no cell 'stronk' .*'edges/main/strong'"),
        ("edges/none", "edges/none is several: 'edges/main/none', 'edges/glue/none'"),
        ("edges/ours", None),
        ("0000000", "0000000 is no run under runs"),
    ],
)
def test_what_is_not_there_is_refused_with_what_there_is(root, text, message):
    if message is None:  # exact, although another row begins alike
        assert find(text, root).name == "edges/systems/ours/mnli"
        return
    with pytest.raises(BadInput, match=message):
        find(text, root)


def test_a_run_is_found_by_the_beginning_of_its_uid(root):
    run = find("edges/main/strong/mrpc", root).runs[0]
    found = find(run.uid[:10], root)
    assert (found.name, found.study, found.runs) == (run.uid, "edges", [run])
    assert "mrpc, seed 1: done" in why(run.uid, root)


def test_a_run_of_no_study_is_found_by_its_record(tmp_path, root):
    run = find("edges/main/strong/mrpc", root).runs[0]
    other = replace(run.record, uid="abc123" + "0" * 26)
    ledger.append(tmp_path, other)
    text = why("abc123", str(tmp_path))
    assert "mrpc, seed 1: done  abc123" in text
    assert "task=mrpc" in text


def test_logs_trouble_and_beginnings_are_read_from_events(tmp_path):
    one, two, three = ("1" * 32, "2" * 32, "3" * 32)
    task = {"intent": "x", "index": 1}
    tasks = {"uids": [[three], [one, two]], "shards": ["x", "y"]}
    events.append(tmp_path, "intent", intent="x", study="s", launcher="local", **tasks)
    for log in ("a.log", "a.log", "b.log"):
        events.append(tmp_path, "worker", **task, log=log)
    events.append(tmp_path, "start", **task, node="n", uids=[one, two])
    events.append(tmp_path, "end", **task, node="n", uids=[one])
    events.append(tmp_path, "trouble", **{"class": "gpu_oom"}, node="n", uids=[two])
    reconcile.forgive(tmp_path, [two])
    events.append(tmp_path, "start", **task, node="n", uids=[two])
    found = histories(str(tmp_path), [one, two, three])
    assert [found[uid].logs for uid in (one, two, three)] == [["a.log", "b.log"]] * 2 + [[]]
    assert [e["class"] for e in found[two].forgiven] == ["gpu_oom"]
    assert found[two].trouble == found[one].forgiven == []
    assert found[one].began is None
    assert found[two].began["event"] == "start"


def test_a_sparkline_goes_from_the_smallest_to_the_largest():
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert sparkline([3.0, 3.0]) == "▁▁"
    assert sparkline([]) == ""


def test_why_writes_nothing_but_the_kept_frame(root, tmp_path):
    again = tmp_path / "runs"
    shutil.copytree(root, again)
    before = set(again.rglob("*"))
    why("edges/main/strong/mrpc", str(again))
    assert set(again.rglob("*")) - before <= {again / "studies" / "edges" / "frame.sealed"}
