"""Weights & Biases as a live view: it shows what is recorded and never decides anything."""

import os
import signal
import sys

import pytest

import kdlab
from kdlab.config.compose import compose, execution
from kdlab.errors import BadInput
from kdlab.options import callables
from kdlab.storage.ledger import records
from kdlab.tracking import wandb_runs
from kdlab.training import student_state

KEY = "marker0key0" * 4
SECRET = "marker0secret"
ARMS = ("knowledge=none", "knowledge=logits_kl")
WANDB = ("tracker=wandb", "tracker.mode=offline", "tracker.group=some")


@pytest.fixture
def cohort(small):
    return [compose(*small, "threads=1", "seed=1", arm) for arm in ARMS]


def watched(root, *knobs):
    return execution(*WANDB, *knobs, f"root={root}", "threads=1")


def test_a_cohort_is_shown_as_it_is_recorded(cohort, tmp_path, wandb_room, read_wandb):
    alone = kdlab.distill(cohort, root=str(tmp_path / "alone"), threads=1)
    root = tmp_path / "watched"
    found = kdlab.distill(cohort, watched(root, "tracker.tags=[a]"))
    assert [x.result for x in found] == [x.result for x in alone]
    assert not (tmp_path / "alone" / "wandb").exists()
    shown = {run["run_id"]: run for run in read_wandb(root / "wandb")}
    assert set(shown) == {*(run.uid for run in cohort), cohort[1].teacher.uid}
    for record in records(root).values():
        run, curves = shown[record.uid], record.result["curves"]
        assert (run["run_group"], run["project"], run["tags"]) == ("some", "kdlab", ["a"])
        assert run["config"]["task"] == "synthetic"
        for name in curves:
            assert [row[name] for row in run["history"]] == pytest.approx(curves[name])
        constant = record.result["select_degenerate"]
        assert [row["select_degenerate"] for row in run["history"]] == constant
        assert run["history"][-1]["_step"] == record.result["steps"]
        for split in ("select", "report"):
            accuracy = record.result["scores"][split]["accuracy"]
            assert run["summary"][f"{split}/accuracy"] == accuracy
        assert run["summary"]["status"] == "done"
        assert run["summary"]["parameters/total"] == record.cost["parameters"]["total"]
        assert run["exit"] == 0
    run = shown[cohort[1].uid]
    assert run["name"] == "synthetic, l2_h32_a2, logits_kl, seed 1"
    assert run["config"]["knowledge"] == "logits_kl"
    assert run["config"]["overrides"]["train/lr"] == "1e-3"
    assert run["summary"]["agreement/report/top1"] <= 1


def test_neither_key_nor_environment_is_left_anywhere(
    cohort, tmp_path, wandb_room, monkeypatch, capfd
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("SOME_PASSWORD", SECRET)
    root = tmp_path / "runs"
    kdlab.distill(cohort[0], watched(root))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if path.suffix == ".wandb"]
    for path in files:
        content = path.read_bytes()
        assert KEY.encode() not in content, path
        assert SECRET.encode() not in content, path
        assert path.is_relative_to(root) or path.is_relative_to(wandb_room)
    out, err = capfd.readouterr()
    assert out == ""
    assert "marker0" not in err
    assert list(callables.knobs("kdlab.tracking.wandb_runs.live")) == [
        "project",
        "entity",
        "group",
        "mode",
        "tags",
    ]


def test_an_account_that_is_refused_is_said_once_and_the_runs_go_on(
    cohort, tmp_path, wandb_room, monkeypatch, capfd
):
    monkeypatch.setenv("WANDB_API_KEY", "marker0short")
    found = kdlab.distill(cohort, watched(tmp_path, "tracker.mode=online"))
    assert [x.result["status"] for x in found] == ["done", "done"]
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("API key must have 40+ characters") == 1
    assert "the run goes on" in err
    assert "marker0short" not in err


def test_a_server_that_is_not_there_is_said_once_and_the_run_goes_on(
    cohort, tmp_path, wandb_room, monkeypatch, capfd
):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr(wandb_runs, "INIT_SECONDS", 1.0)
    found = kdlab.distill(cohort[0], watched(tmp_path, "tracker.mode=online"))
    assert found.result["status"] == "done"
    err = capfd.readouterr().err
    assert err.count("connection refused; the run goes on without this view") == 1
    assert "marker0" not in err


def test_wandb_killed_in_the_middle_changes_no_result(
    cohort, tmp_path, wandb_room, monkeypatch, capfd
):
    import wandb

    alone = kdlab.distill(cohort[0], root=str(tmp_path / "alone"), threads=1)
    original = student_state.update

    def update(student, *rest):
        original(student, *rest)
        if student.step == 10:
            process = wandb.setup()._connection._proc._process
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

    monkeypatch.setattr(student_state, "update", update)
    found = kdlab.distill(cohort[0], watched(tmp_path / "watched"))
    assert found.result == alone.result
    assert capfd.readouterr().err.count("the run goes on without this view") == 1


def test_a_run_cut_short_is_shown_so_and_goes_on_under_its_id(
    cohort, tmp_path, wandb_room, monkeypatch, read_wandb
):
    def update(student, *rest):
        if student.step == 10:
            raise KeyboardInterrupt
        original(student, *rest)

    original = student_state.update
    with monkeypatch.context() as patch:
        patch.setattr(student_state, "update", update)
        with pytest.raises(KeyboardInterrupt):
            kdlab.distill(cohort[0], watched(tmp_path))
    (cut,) = read_wandb(tmp_path)
    assert (cut["exit"], len(cut["history"]), "report/accuracy" in cut["summary"]) == (1, 1, False)
    kdlab.distill(cohort[0], watched(tmp_path))
    again = read_wandb(tmp_path)
    assert [run["run_id"] for run in again] == [cohort[0].uid] * 2
    assert sorted(run["exit"] for run in again) == [0, 1]


def test_a_tracker_that_is_not_installed_is_refused_before_any_work(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(BadInput, match="tracker=wandb: package wandb .*: pip install wandb"):
        compose(*small, "tracker=wandb")
    assert compose(*small, "tracker=none").uid


@pytest.mark.parametrize(
    ("knob", "names"),
    [
        ("+tracker.key=x", "tracker.key: unknown key"),
        ("tracker.mode=disabled", "tracker.mode='disabled'"),
        ("tracker.project=a/b", "tracker.project='a/b'"),
        ("tracker.tags=a", "tracker.tags='a'"),
    ],
)
def test_a_wrong_knob_is_refused_by_name(knob, names):
    with pytest.raises(BadInput) as error:
        compose("tracker=wandb", knob)
    assert names in str(error.value)


def test_who_watches_is_no_part_of_a_run(small):
    assert compose(*small, "tracker=wandb").uid == compose(*small).uid
