"""What `diff` says of two cells or runs."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import edges
import pandas as pd
import pytest

from analysis.explain.diff import data, diff
from analysis.explain.lookup import find
from kdlab.storage import ledger


@pytest.fixture
def root(edge_study):
    with edges.inside(edge_study):
        yield edges.ROOT


@pytest.fixture
def again(root, tmp_path):
    """A root with the same records, of a place of its own."""
    shutil.copytree(root, tmp_path / "again")
    return str(tmp_path / "again")


def test_options_overrides_and_scores_of_two_cells(root):
    text = diff("edges/main/strong/mrpc", "edges/main/none/mrpc", root, root)
    assert "  knowledge: logits_kl | none\n" in text
    assert "  only A: knowledge=logits_kl\n  only B: knowledge=none\n" in text
    assert "code, versions and machines: the same" in text
    assert "no recorded run is the same in both" in text
    golden = pd.read_csv(Path(__file__).parents[1] / "tables" / "golden" / "main.csv")
    cell = golden.set_index(["row", "column"]).loc[("strong", "mrpc accuracy")]
    found = re.search(r"mrpc accuracy: .*A − B (\S+) over 5 shared seeds \[(\S+), (\S+)\]", text)
    shown = [float(part) for part in found.groups()]
    assert shown == [round(cell[name], 2) for name in ("difference", "low", "high")]


def test_keys_that_only_one_cell_has_are_told(root):
    text = diff("edges/main/strong/mrpc", "edges/main/weak/mrpc", root, root)
    assert "  knowledge.logits_kl.weight: 1 | 3\n" in text
    assert "  only B: knowledge.logits_kl.weight=3\n" in text


def test_cells_of_several_columns_are_compared_column_by_column(root):
    text = diff("edges/main/strong", "edges/main/none", root, root)
    for column in ("mrpc f1", "mrpc accuracy", "mnli-matched accuracy", "mnli-mismatched accuracy"):
        assert f"  {column}: A " in text


def test_equal_runs_in_two_roots_are_equal_bit_for_bit(root, again):
    text = diff("edges/main/strong/mrpc", "edges/main/strong/mrpc", root, again)
    assert "options and keys: the same" in text
    assert "overrides: the same but for seeds" in text
    assert "A − B +0.00 over 5 shared seeds [0.00, 0.00]" in text
    assert text.endswith("5 of 5 runs that both have are equal bit for bit")


def test_an_unequal_run_is_named_with_what_it_was_computed_with(root, again):
    run = find("edges/main/strong/mrpc", root).runs[0]
    for path in (Path(again) / "records").iterdir():
        path.unlink()
    result = run.record.result | {"weights": "1" * 32, "steps": 301}
    other = replace(run.record, result=result, cost=run.record.cost | {"threads": 1})
    ledger.append(again, other)
    text = diff(run.uid, run.uid, root, again)
    assert "  threads: 2 | 1\n" in text
    assert "0 of 1 runs that both have are equal bit for bit" in text
    assert (
        f"unequal: {run.uid}\n    steps: 300 | 301\n    weights: {'0' * 32} | {'1' * 32}\n" in text
    )
    assert text.endswith("threads: 2 | 1")


def test_a_run_in_one_root_is_one_record(root):
    run = find("edges/main/strong/mrpc", root).runs[0]
    text = diff("edges/main/strong/mrpc", run.uid, root, root)
    assert text.endswith("1 run is the same in both; 0 recorded more than once")


def test_unequal_records_of_a_run_are_compared(again):
    run = find("edges/main/strong/mrpc", again).runs[0]
    ledger.append(again, replace(run.record, result=run.record.result | {"steps": 301}))
    text = diff(run.uid, run.uid, again, again)
    assert "1 run is the same in both; 1 recorded more than once\n" in text
    assert f"  records 1 | 2 of {run.uid}: apart\n  unequal: {run.uid}\n    steps: " in text


def test_runs_of_other_seeds_are_not_paired(root):
    first, second = (run.uid for run in find("edges/main/strong/mrpc", root).runs[:2])
    text = diff(first, second, root, root)
    assert (
        "mrpc accuracy: A 75.50 (1), B 75.60 (1); A − B -0.10, no seed in common: not paired"
        in text
    )


def test_runs_that_were_scored_on_other_rows_are_not_compared(root, again):
    run = find("edges/main/strong/mrpc", root).runs[0]
    for path in (Path(again) / "records").iterdir():
        path.unlink()
    result = run.record.result | {"examples": {"select": "x", "report": "y"}}
    ledger.append(again, replace(run.record, result=result))
    assert "not comparable: scored on other rows" in diff(run.uid, run.uid, root, again)


def test_without_outputs_there_is_no_interval(root, again):
    shutil.rmtree(Path(again) / "outputs")
    text = diff("edges/main/strong/mrpc", "edges/main/none/mrpc", root, again)
    assert "over 5 shared seeds, no interval: outputs are gone" in text


def test_cells_without_records_say_so(root):
    text = diff("edges/main/gone/mrpc", "edges/main/strong/mrpc", root, root)
    assert "no column that both have scores in" in text
    assert "code, versions and machines: not recorded of both" in text


def test_as_data_it_says_the_same(root):
    asked = ("edges/main/strong/mrpc", "edges/main/none/mrpc", root, root)
    text, told = diff(*asked), json.loads(json.dumps(data(*asked), allow_nan=False))
    assert text.startswith(f"A: {told['a']['name']} ({told['a']['states']}; {root})")
    assert told["options"]["knowledge"] == ["logits_kl", "none"]
    assert told["overrides"] == {"a": ["knowledge=logits_kl"], "b": ["knowledge=none"]}
    assert told["computed_with"] == {}
    assert (told["same_runs"], told["unequal"]) == (0, {})
    assert f"{len(told['scores'])} columns" == f"{text.count('A − B')} columns"
    for score in told["scores"]:
        a, b, gap = score["a"], score["b"], score["difference"]
        assert (
            f"{score['column']}: A {a['mean']:.2f} ± {a['spread']:.2f} ({a['runs']}), "
            f"B {b['mean']:.2f} ± {b['spread']:.2f} ({b['runs']}); A − B {gap['points']:+.2f} over "
            f"{gap['pairs']} shared seeds [{gap['low']:.2f}, {gap['high']:.2f}]"
        ) in text
        assert gap["why"] == ""


def test_as_data_it_names_what_is_unequal_and_why_there_is_no_interval(root, again):
    target = find("edges/main/strong/mrpc", again)
    record = target.runs[0].record
    changed = replace(record, result=record.result | {"steps": 299})
    path = next(Path(again, "records").glob("*.jsonl"))
    lines = [line for line in path.read_text().splitlines(True) if record.uid not in line]
    path.write_text("".join(lines))
    ledger.append(again, changed)
    told = data("edges/main/strong/mrpc", "edges/main/strong/mrpc", root, again)
    assert told["same_runs"] == 5
    assert told["unequal"] == {record.uid: {"steps": [300, 299]}}
    one = data("edges/main/one seed/mrpc", "edges/main/none/mrpc", root, root)["scores"][0]
    assert one["a"]["spread"] is None
    assert one["difference"]["low"] is None
    assert one["difference"]["why"] == "no interval: it needs 3 seeds"
