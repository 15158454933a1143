"""The zip for GLUE's server: who is chosen, what is written, and what a check finds."""

import shutil
import sys
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np
import pytest

import analysis
from analysis.__main__ import main
from analysis.glue import submission
from analysis.glue.zip_format import SHEETS, check
from kdlab.errors import BadInput
from kdlab.record import Record
from kdlab.storage import example_outputs, ledger
from sweeps.plan import plan
from sweeps.study import reading

STUDY = """
question: Which is sent?
seeds: [1, 2, 3]
base: [teacher=scratch, task.path=nyu-mll/glue]
blocks:
  - table: main
    control: none
    grid: {task: [rte, mnli, stsb, wnli, qqp, qnli, sst2, mrpc, cola]}
    cases:
      none: [knowledge=none]
      sent: [knowledge=logits]
"""
BY_FILE = {sheet.file: sheet for sheet in SHEETS}
BEST = 2  # the seed that is best on select, and worst on report
METRICS = {"stsb": ("pearson", "spearman"), "mrpc": ("f1", "accuracy"), "qqp": ("f1", "accuracy"),
           "cola": ("matthews",)}  # fmt: skip


def outputs(sheet, seed: int) -> np.ndarray:
    """What a run of a seed puts out on a test set, in the official order."""
    random = np.random.default_rng([seed, sheet.rows])
    if not sheet.words:
        return random.uniform(-1, 6, size=(sheet.rows, 1)).astype(np.float32)
    return random.normal(size=(sheet.rows, len(sheet.words))).astype(np.float32)


def leave(root, run, seed: int, tests: bool, degenerate=()) -> None:
    """A run that is better on select with BEST, and elsewhere worse; its rows in any order."""
    name, metrics = run.task.name, METRICS.get(run.task.name, ("accuracy",))
    score = {1: 0.6, BEST: 0.7, 3: 0.65}[seed]
    scores = {"select": dict.fromkeys(metrics, score)}
    scores |= {split: dict.fromkeys(metrics, 1 - score) for split in run.task.report}
    found = {split: np.zeros((2, 2)) for split in scores}
    artifacts = {}
    if tests:
        for sheet in SHEETS:
            if sheet.task == name:
                order = np.random.default_rng(seed).permutation(sheet.rows)
                found[sheet.split] = outputs(sheet, seed)[order]
                digest = example_outputs.write_examples(root, order, np.full(sheet.rows, np.nan))
                artifacts.setdefault("examples", {})[sheet.split] = digest
    artifacts["outputs"] = example_outputs.write_outputs(
        root, found, exact=artifacts.get("examples", ())
    )
    result = {"status": "done", "scores": scores, "degenerate": list(degenerate), "examples": {}}
    ledger.append(root, Record(run.uid, dict(run.choices), [f"task={name}"], result, {}, artifacts))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """All nine tasks: `sent` has test outputs, `none` has not; teachers are not recorded."""
    room = tmp_path_factory.mktemp("made")
    (room / "glue_made.yaml").write_text(STUDY)
    loaded = reading.load(str(room / "glue_made.yaml"))
    planned = plan.plan(loaded)
    plan.write(planned, {}, "glue_made", loaded, str(room))
    runs = {(e.cell.row, e.run.task.name, e.cell.seed): e.run for e in planned if e.run}
    for (row, task, seed), run in runs.items():
        # A constant prediction, however good it looks, is not chosen.
        constant = ["select"] if (task, seed) == ("wnli", BEST) else []
        if row == "sent" or seed == 1:
            leave(room, run, seed, tests=row == "sent", degenerate=constant)
    return str(room), runs


@pytest.fixture(scope="module")
def whole(made, tmp_path_factory) -> tuple[Path, list[str]]:
    frame = analysis.load("glue_made", root=made[0])
    path = tmp_path_factory.mktemp("zips") / "whole.zip"
    return path, submission.submission(frame, submission.best_on_select(frame, "sent"), path)


def content(path) -> dict[str, list[str]]:
    with ZipFile(path) as archive:
        return {name: archive.read(name).decode().split("\n") for name in archive.namelist()}


def test_a_whole_submission_has_the_files_headers_and_rows_of_glue(whole):
    path, names = whole
    found = content(path)
    assert names == list(found) == [
        "CoLA.tsv", "SST-2.tsv", "MRPC.tsv", "STS-B.tsv", "QQP.tsv", "MNLI-m.tsv", "MNLI-mm.tsv",
        "QNLI.tsv", "RTE.tsv", "WNLI.tsv", "AX.tsv",
    ]  # fmt: skip
    rows = [1063, 1821, 1725, 1379, 390965, 9796, 9847, 5463, 3000, 146, 1104]
    assert [len(lines) - 2 for lines in found.values()] == rows
    assert {lines[0] for lines in found.values()} == {"index\tprediction"}
    assert {lines[-1] for lines in found.values()} == {""}
    assert check(path) == names
    words = {n: {x.split("\t")[1] for x in lines[1:-1]} for n, lines in found.items()}
    assert words["RTE.tsv"] == words["QNLI.tsv"] == {"entailment", "not_entailment"}
    for name in ("MNLI-m.tsv", "MNLI-mm.tsv", "AX.tsv"):
        assert words[name] == {"entailment", "neutral", "contradiction"}
    for name in ("CoLA.tsv", "SST-2.tsv", "MRPC.tsv", "QQP.tsv", "WNLI.tsv"):
        assert words[name] == {"0", "1"}


def test_every_line_is_the_chosen_runs_prediction_in_the_official_order(whole):
    labels = {
        "RTE.tsv": ["entailment", "not_entailment"],
        "AX.tsv": ["entailment", "neutral", "contradiction"],
        "QQP.tsv": ["0", "1"],
    }
    found = content(whole[0])
    for name, words in labels.items():
        best = outputs(BY_FILE[name], BEST)
        expected = [f"{i}\t{words[label]}" for i, label in enumerate(best.argmax(1))]
        assert found[name][1:-1] == expected
    scores = outputs(BY_FILE["STS-B.tsv"], BEST)[:, 0]
    assert scores.min() < 0 < 5 < scores.max()
    written = [float(line.split("\t")[1]) for line in found["STS-B.tsv"][1:-1]]
    assert np.abs(np.array(written) - np.clip(scores, 0, 5)).max() <= 0.0005001
    # Of WNLI the best is constant: the next is taken.
    wnli = outputs(BY_FILE["WNLI.tsv"], 3).argmax(1)
    assert found["WNLI.tsv"][1:-1] == [f"{i}\t{label}" for i, label in enumerate(wnli)]


def test_the_same_records_are_the_same_bytes(made, whole, tmp_path):
    frame = analysis.load("glue_made", root=made[0])
    uids = {c.task: c.uid for c in submission.best_on_select(frame, "sent")}
    submission.submission(frame, uids, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == whole[0].read_bytes()


def test_the_best_seed_on_select_is_chosen_and_said(made):
    root, runs = made
    choices = submission.best_on_select(analysis.load("glue_made", root=root), "sent")
    for choice in choices:
        seed = 3 if choice.task == "wnli" else BEST
        assert (choice.seed, choice.uid) == (seed, runs["sent", choice.task, seed].uid)
    lines = submission.described(choices)
    assert lines[0] == "chosen for each task: the seed with the best mean of its metrics on select"
    assert (
        f"stsb: sent, seed 2, run {runs['sent', 'stsb', 2].uid}: 70.0 pearson/spearman on select "
        "(held out of train), the best of 3 runs"
    ) in lines
    frame = analysis.load("glue_made", root=root).assign(select_on="report", trials=4)
    (_, line, *_) = submission.described(submission.best_on_select(frame, "none"))
    assert line.endswith(
        "on select, WHICH IS THE DEV SET, the best of 1 runs (3 planned), "
        "settings tuned in 4 trials"
    )


def test_a_constant_prediction_counts_nothing_and_is_said(made):
    frame = analysis.load("glue_made", root=made[0])
    frame = frame[frame["task"] == "wnli"]
    best = frame["seed"] == BEST
    (choice,) = submission.best_on_select(frame[best], "sent")
    assert (choice.score, choice.is_constant) == (0.0, True)
    assert submission.described([choice])[1].endswith("of 1 runs, EVERY PREDICTION THE SAME")
    (choice,) = submission.best_on_select(frame, "sent")
    assert (choice.seed, choice.is_constant) == (3, False)


def test_rows_are_named_where_it_is_not_clear_which(made):
    frame = analysis.load("glue_made", root=made[0])
    with pytest.raises(BadInput, match="--row: which of none, sent rows"):
        submission.best_on_select(frame)
    with pytest.raises(BadInput, match="--row other: no such row .*; there: none, sent"):
        submission.best_on_select(frame, "other")
    only = frame[frame["row"] != "none"]
    assert submission.best_on_select(only) == submission.best_on_select(frame, "sent")
    twice = only.assign(table=np.where(only["seed"] == 1, "main", "more"))
    with pytest.raises(BadInput, match="--table: .* has other runs in each of main, more"):
        submission.best_on_select(twice, "sent")
    (first, *_) = submission.best_on_select(twice, "sent", table="main")
    assert (first.seed, first.planned) == (1, 1)


def test_what_is_missing_is_named_in_one_error_and_partial_writes_the_rest(made, tmp_path):
    root, runs = made
    frame, path = analysis.load("glue_made", root=root), tmp_path / "part.zip"
    uids = {"rte": runs["sent", "rte", 1].uid, "wnli": runs["none", "wnli", 1].uid}
    with pytest.raises(BadInput) as caught:
        submission.submission(frame, uids, path)
    assert str(caught.value) == (
        "not a whole submission: no run for CoLA.tsv, SST-2.tsv, MRPC.tsv, STS-B.tsv, QQP.tsv, "
        "MNLI-m.tsv, MNLI-mm.tsv, QNLI.tsv, AX.tsv; no test outputs for WNLI.tsv: "
        f"`python -m sweeps launch glue_made --wait root={root} predict_test=true`; "
        "--partial writes what there is"
    )
    assert not path.exists()
    assert submission.submission(frame, uids, path, partial=True) == ["RTE.tsv"]
    assert check(path, partial=True) == ["RTE.tsv"]
    with pytest.raises(BadInput, match=r"missing: CoLA\.tsv, .*, WNLI\.tsv, AX\.tsv"):
        check(path)
    with pytest.raises(BadInput, match="not a whole submission"):  # nothing at all
        submission.submission(frame, {"wnli": uids["wnli"]}, path, partial=True)
    with pytest.raises(BadInput, match="imdb: no task of GLUE"):
        submission.submission(frame, {"imdb": uids["rte"]}, path)


def test_outputs_that_are_not_of_the_official_test_set_are_refused(made, tmp_path):
    root, runs = made
    frame, path = analysis.load("glue_made", root=root), tmp_path / "wrong.zip"
    with pytest.raises(BadInput, match=r"WNLI.tsv: 3000 rows, the test set has 146"):
        submission.submission(frame, {"wnli": runs["sent", "rte", 1].uid}, path, partial=True)
    with pytest.raises(BadInput, match=r"RTE.tsv: run .* has 1 outputs a row: it is not of rte"):
        submission.submission(frame, {"rte": runs["sent", "stsb", 1].uid}, path, partial=True)
    assert not path.exists()


def test_no_near_tie_is_decided_by_rounding(made, tmp_path):
    """1 and 1.0001 are one number in float16, which would give the first class."""
    root, runs = str(tmp_path / "copy"), made[1]
    shutil.copytree(made[0], root, ignore=shutil.ignore_patterns("*.parquet.*", "frame.sealed"))
    found = np.tile(np.array([[1.0, 1.0001]], dtype=np.float32), (146, 1))
    assert (found.astype(np.float16).argmax(1) == 0).all()
    (records,) = Path(root, "records").glob("*.jsonl")
    left = ledger.records(root)[runs["sent", "wnli", 1].uid]
    records.unlink()
    records.with_suffix(".index").unlink()
    ids = {"test": example_outputs.write_examples(root, np.arange(146), np.full(146, np.nan))}
    address = example_outputs.write_outputs(root, {"test": found}, exact=["test"])
    artifacts = {"outputs": address, "examples": ids}
    ledger.append(root, Record(**(vars(left) | {"artifacts": artifacts})))
    frame = analysis.load("glue_made", root=root)
    submission.submission(frame, {"wnli": left.uid}, tmp_path / "tie.zip", partial=True)
    assert {line[-1] for line in content(tmp_path / "tie.zip")["WNLI.tsv"][1:-1]} == {"1"}


WNLI = ["index\tprediction", *(f"{i}\t{i % 2}" for i in range(146))]
STSB = ["index\tprediction", *(f"{i}\t{i % 6}" for i in range(1379))]


def zipped(path: Path, *files: tuple[str, str]) -> Path:
    with ZipFile(path, "w") as archive:
        for name, text in files:
            archive.writestr(ZipInfo(name), text)
    return path


def changed(lines: list[str], position: int, line: str) -> str:
    return "\n".join([*lines[:position], line, *lines[position + 1 :]])


@pytest.mark.parametrize(("text", "said"), [
    (changed(WNLI, 0, "id\tprediction"), "its header is 'id\\tprediction'"),
    (changed(WNLI, 0, "index,prediction"), "its header is 'index,prediction'"),
    ("", "its header is ''"),
    ("\n".join(WNLI[:-1]), "145 rows, the test set has 146"),
    ("\n".join([*WNLI, "146\t1"]), "147 rows, the test set has 146"),
    ("\n".join([*WNLI, "", ""]), "147 rows, the test set has 146"),
    (changed(WNLI, 5, "7\t1"), "row 4 has the index '7'"),
    (changed(WNLI, 1, "1\t1"), "row 0 has the index '1'"),
    (changed(WNLI, 9, "8\tentailment"), "row 8 says 'entailment', allowed: 0, 1"),
    (changed(WNLI, 9, "8\t1.0"), "row 8 says '1.0'"),
    (changed(WNLI, 9, "8\t1\r"), "row 8 says '1\\r'"),
    (changed(WNLI, 9, "8"), "row 8 says ''"),
])  # fmt: skip
def test_a_check_finds_what_is_wrong_with_a_file(tmp_path, text, said):
    path = zipped(tmp_path / "x.zip", ("WNLI.tsv", text), ("STS-B.tsv", "\n".join(STSB)))
    with pytest.raises(BadInput) as caught:
        check(path, partial=True)
    assert f"{path}: WNLI.tsv: {said}" in str(caught.value)


@pytest.mark.parametrize("score", ["5.01", "-0.1", "nan", "inf", "high"])
def test_a_score_is_from_0_to_5(tmp_path, score):
    path = zipped(tmp_path / "x.zip", ("STS-B.tsv", changed(STSB, 3, f"2\t{score}")))
    with pytest.raises(BadInput, match=f"row 2 says '{score}', allowed: a number from 0 to 5"):
        check(path, partial=True)


def test_a_check_finds_names_that_are_none_and_what_is_no_zip(tmp_path):
    text = "\n".join(WNLI)
    assert check(zipped(tmp_path / "good.zip", ("WNLI.tsv", text)), partial=True) == ["WNLI.tsv"]
    for name in ("wnli.tsv", "glue/WNLI.tsv", "diagnostic.tsv", "__MACOSX/._WNLI.tsv"):
        path = zipped(tmp_path / "bad.zip", ("WNLI.tsv", text), (name, text))
        with pytest.raises(BadInput, match=f"{name}: no file of a submission"):
            check(path, partial=True)
    with pytest.raises(BadInput, match="missing: CoLA.tsv"):
        check(zipped(tmp_path / "empty.zip"), partial=True)
    (tmp_path / "text.zip").write_text("no zip")
    for name in ("text.zip", "nowhere.zip"):
        with pytest.raises(BadInput, match=f"{name}: not a zip that can be read"):
            check(tmp_path / name)
    with pytest.warns(UserWarning, match="Duplicate"):
        path = zipped(tmp_path / "twice.zip", ("WNLI.tsv", text), ("WNLI.tsv", text))
    with pytest.raises(BadInput, match="twice.zip: WNLI.tsv: twice"):
        check(path, partial=True)


def test_the_command_says_who_was_chosen_writes_and_checks(made, tmp_path, monkeypatch, capsys):
    root, runs = made

    def told(*arguments) -> str:
        monkeypatch.setattr(sys, "argv", ["analysis", "submission", *map(str, arguments)])
        main()
        return capsys.readouterr().out

    path = tmp_path / "mine.zip"
    said = told("glue_made", "--root", root, "--row", "sent", "--out", path)
    assert f"rte: sent, seed 2, run {runs['sent', 'rte', 2].uid}: 70.0 accuracy" in said
    assert f"written to {path} and checked: CoLA.tsv" in said
    assert "GLUE scores no submission" not in said
    assert "as GLUE takes it: CoLA.tsv, SST-2.tsv" in told("--check", path)
    with pytest.raises(SystemExit) as ended:
        told("glue_made", "--root", root, "--row", "none")
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("analysis: not a whole submission: no test outputs")
    with pytest.raises(SystemExit):
        told()
    assert "either a STUDY, or --check FILE.zip" in capsys.readouterr().err
