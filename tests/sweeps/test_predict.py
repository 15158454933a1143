"""A study that is asked for outputs on test splits, at once or when it is done."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kdlab
from kdlab.config.compose import execution
from kdlab.data import test_splits
from kdlab.errors import BadInput
from kdlab.storage import example_outputs, ledger
from sweeps import commands
from sweeps.journal import events
from sweeps.launchers import choice
from sweeps.plan import estimate, packing, plan
from sweeps.plan.survey import Demand, survey
from sweeps.study import reading

TEXT = """
question: What is predicted?
base: [task=table, "task.path={data}", "task.text=[sentence]", task.classes=2, task.max_length=8,
  task.test=test, size=l1_h16_a2, teacher.size=l2_h16_a2, train.epochs=1, teacher.epochs=1,
  threads=1]
seeds: [1, 2]
blocks:
  - table: t
    control: none
    cases:
      none: [knowledge=none]
      logits: [knowledge=logits_kl]
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    root = tmp_path_factory.mktemp("data")
    for seed, (name, rows) in enumerate({"train": 90, "validation": 20, "test": 30}.items()):
        draw = np.random.default_rng(seed).integers(9, size=(rows, 5))
        texts = [" ".join(f"w{word}" for word in row) for row in draw]
        frame = pd.DataFrame({"sentence": texts, "label": draw[:, 0] % 2, "idx": np.arange(rows)})
        frame.to_parquet(root / f"{name}.parquet")
    return str(root)


@pytest.fixture
def asked(data, tmp_path):
    """The study with overrides, under a root of its own."""
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT.format(data=data))
    loaded = reading.load(str(path))
    return lambda *more: commands.Request("mine", loaded, (f"root={tmp_path / 'runs'}", *more))


def runs(request):
    return plan.unique(plan.plan(request.study, request.extra))


def lines(root) -> int:
    return sum(map(len, ledger.entries(root).values()))


def submissions(root) -> int:
    return len(events.fold(root).intents)


@pytest.mark.long
def test_a_study_keeps_the_test_outputs_of_its_own_runs(asked, tmp_path):
    root, request = str(tmp_path / "runs"), asked("predict_test=true")
    assert commands.run_launch(request, None, wait=True) == 0
    found = ledger.records(root)
    for run in runs(request):
        assert example_outputs.read_outputs(root, found[run.uid], "test").shape == (30, 2)
        for teacher in [run.teacher] if run.teacher else []:
            assert "test" not in found[teacher.uid].artifacts["outputs"]
    assert commands.run_launch(request, None, wait=True) == 0
    assert (lines(root), submissions(root)) == (5, 2)


@pytest.mark.long
def test_a_study_that_is_done_is_predicted_with_saved_models_and_trained_where_there_are_none(
    asked, tmp_path, capsys
):
    root, request = str(tmp_path / "runs"), asked("predict_test=true")
    assert commands.run_launch(asked("save=true"), None, wait=True) == 0
    before, own = ledger.records(root), [run.uid for run in runs(request)]
    lost, *kept = own
    shutil.rmtree(Path(root, "models", lost))
    # Whoever predicts with saved models needs no teacher.
    (teacher,) = before.keys() - set(own)
    shutil.rmtree(Path(root, "models", teacher))
    capsys.readouterr()
    commands.plan_only(request, None)
    said = capsys.readouterr().out
    assert (
        "4 recorded runs lack test outputs: 3 get them from their saved models, 1 are trained "
        "again, for theirs were not saved"
    ) in said
    assert commands.run_launch(request, None, wait=True) == 0
    assert test_splits.lacking(runs(request), root) == set()
    after = ledger.records(root)
    assert {uid: x.result for uid, x in after.items()} == {u: x.result for u, x in before.items()}
    for uid in kept:
        assert after[uid].cost == before[uid].cost
    assert after[lost].cost != before[lost].cost
    assert lines(root) == 5 + 4
    # `none` alone was trained again, and it has no teacher.
    assert {e.cell.row for e in plan.plan(request.study, request.extra) if e.run.uid == lost} == {
        "none"
    }
    assert not Path(root, "models", teacher).exists()
    before = submissions(root)
    assert commands.run_launch(request, None, wait=True) == 0
    assert submissions(root) == before


def test_a_study_of_saved_models_alone_is_planned_by_what_loading_takes(asked, tmp_path):
    root, request = str(tmp_path / "runs"), asked("predict_test=true")
    own = runs(request)
    for run in own:
        kdlab.distill(run, root=root, threads=1, save=True)
    chosen = choice.launcher(execution(*request.extra, "task=rte", "task.path=nyu-mll/glue"))
    lacking = test_splits.lacking(own, root)
    work = survey(own, root, chosen, Demand(unpredicted=lacking))
    assert {run.uid for run in work.due} == {run.uid for run in own} == lacking
    assert {work.seconds[uid] for uid in lacking} == {estimate.START}
    assert work.predicted == (4, 0)
    assert sum(len(cohort) for task in work.levels[0] for cohort in task) == 4
    nothing = packing.pack([[run] for run in own], dict.fromkeys(lacking, 0.0), 60.0)
    assert nothing == [[[run] for run in own]]


def test_a_missing_test_split_stops_a_launch_before_anything_is_submitted(asked, tmp_path):
    request = asked("predict_test=true", "task.test=nowhere")
    with pytest.raises(BadInput, match="predict_test=true: task: no file for split nowh"):
        commands.run_launch(request, None, wait=True)
    assert submissions(tmp_path / "runs") == 0
    with pytest.raises(BadInput, match="predict_test=true: task table names no test split"):
        commands.run_launch(asked("predict_test=true", "task.test=null"), None, wait=True)
