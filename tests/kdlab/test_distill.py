"""One cohort from end to end, on the synthetic task."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import at_once
import killed
import numpy as np
import pytest
import torch
from composed import compose
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForSequenceClassification

import kdlab
from kdlab.cohort import missing
from kdlab.config.compose import execution
from kdlab.errors import BadInput
from kdlab.models import saved_files
from kdlab.storage import example_outputs, ledger, repeats
from kdlab.training import loop, resume
from kdlab.training.tallies import no_tallies

BERT_ADAM = ("train.bias_correction=false", "train.eps=1e-6", "train.clip_scope=tensor")
EIGHT = [
    ("knowledge=none",),
    ("knowledge=logits_kl",),
    ("knowledge=logits_mse", "train.lr=2e-3", *BERT_ADAM),
    ("knowledge=hidden_mse", "matching=last"),
    ("knowledge=[logits_kl,cls_pkd]", "matching=pkd_skip"),
    ("knowledge=attention_kl", "matching=random"),
    ("knowledge=value_relation", "init=teacher_skip", "init.weights=finetuned"),
    ("knowledge=hidden_mse", "size=l1_h48_a3", "matching=last1"),
]


@pytest.fixture(scope="module")
def cohort(small):
    return [compose(*small, "threads=1", "seed=1", *arm) for arm in EIGHT]


def test_a_cohort_of_eight_gives_the_results_of_eight_cohorts_of_one(cohort, tmp_path):
    together = kdlab.distill(cohort, root=str(tmp_path / "a"), threads=1)
    alone = [kdlab.distill(run, root=str(tmp_path / "b"), threads=1) for run in reversed(cohort)]
    for one, other in zip(together, reversed(alone), strict=True):
        assert one.uid == other.uid
        assert one.result == other.result
    assert len({one.result["weights"] for one in together}) == 8
    assert [one.cost["cohort"] for one in together] == [8] * 8


def test_a_record_says_what_the_design_promises(cohort, tmp_path):
    run = cohort[4]
    found = kdlab.distill(run, root=str(tmp_path), threads=1)
    result, cost = found.result, found.cost
    assert result["status"] == "done"
    assert set(result["scores"]) == {"select", "report"}
    assert len(result["curves"]["select"]) == len(result["curves"]["hard"]) == 5
    assert len(result["select_degenerate"]) == 5
    assert set(result["shares"]) == {"0.1", "0.5", "0.9"}
    for shares in result["shares"].values():
        assert set(shares) == {"hard", "logits_kl", "cls_pkd"}
        assert sum(shares.values()) == pytest.approx(1.0)
        assert min(shares.values()) > 0
    assert 0 <= result["agreement"]["report"]["top1"] <= 1
    assert result["agreement"]["report"]["kl"] > 0
    assert cost["parameters"]["total"] > cost["parameters"]["transformer"] > 0
    assert cost["flops"] > 0
    assert cost["seconds"] > 0
    assert cost["peak_memory"] > 0
    assert cost["threads"] == 1
    outputs = example_outputs.read_outputs(tmp_path, found, "report")
    ids, labels = example_outputs.read_examples(tmp_path, found, "report")
    assert outputs.shape == (60, 2)
    assert ids.tolist() == list(range(60))
    accuracy = (outputs.argmax(1) == labels).mean()
    assert accuracy == pytest.approx(result["scores"]["report"]["accuracy"])


def test_a_teacher_is_a_run_trained_once_and_found_again(small, tmp_path):
    runs = [compose(*small, "threads=1", f"seed={seed}", "knowledge=logits_kl") for seed in (1, 2)]
    assert runs[0].teacher.uid == runs[1].teacher.uid
    where = replace(execution(), root=str(tmp_path), threads=1)
    kdlab.distill(runs[0], where)
    saved = saved_files.folder(tmp_path, runs[0].teacher.uid) / "model.safetensors"
    before = saved.stat().st_mtime_ns
    assert missing([runs[0].teacher], replace(where, save=True)) == []
    kdlab.distill(runs[1], where)
    assert saved.stat().st_mtime_ns == before
    assert len(ledger.records(tmp_path)) == 3


def test_students_are_hugging_face_models(cohort, tmp_path):
    run = cohort[7]  # narrower than its teacher: its objective has a projection
    found = kdlab.distill(run, root=str(tmp_path), save=True, threads=1)
    folder = saved_files.folder(tmp_path, run.uid)
    stock = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert set(load_file(folder / "model.safetensors")) == set(stock.state_dict())
    assert "kdlab" not in (folder / "config.json").read_text()
    ids = torch.arange(5, 9).view(1, 4)
    with torch.no_grad():
        assert torch.equal(stock(ids).logits, kdlab.load(run, root=str(tmp_path))(ids).logits)
    outputs = example_outputs.read_outputs(tmp_path, found, "report")
    from kdlab.data import splits, tokens
    from kdlab.training.scoring import predict

    rows = splits.split(run.task, run.source.bind()(), run.protocol)["report"]
    tokenizer = tokens.pretrained(str(folder))
    again = predict(stock, tokens.encode(rows, tokenizer, 32, 2), torch.device("cpu"))
    assert np.array_equal(again.astype(np.float16), outputs)
    with pytest.raises(BadInput, match="no saved model of run nope"):
        kdlab.load("nope", root=str(tmp_path))


def test_a_run_that_is_done_is_not_repeated(cohort, tmp_path, monkeypatch):
    first = kdlab.distill(cohort[0], root=str(tmp_path), threads=1)
    monkeypatch.setattr("kdlab.cohort._distill", lambda *_: pytest.fail("ran again"))
    assert kdlab.distill(cohort[0], root=str(tmp_path), threads=1) == first


def test_a_lost_model_comes_back_and_an_unequal_repeat_is_kept_and_named(
    cohort, tmp_path, monkeypatch, capsys
):
    first = kdlab.distill(cohort[0], root=str(tmp_path), threads=1)
    again = kdlab.distill(cohort[0], root=str(tmp_path), threads=1, save=True)
    assert again == first
    assert saved_files.folder(tmp_path, cohort[0].uid).is_dir()
    for path in (tmp_path / "models").glob("*/*"):
        path.unlink()
    saved_files.folder(tmp_path, cohort[0].uid).rmdir()
    monkeypatch.setattr("kdlab.models.saving.digest", lambda _: "another")
    kdlab.distill(cohort[0], root=str(tmp_path), threads=1, save=True)
    assert ledger.records(tmp_path)[cohort[0].uid] == first  # as its outputs are there
    one, other = ledger.read_all(tmp_path, ledger.entries(tmp_path)[cohort[0].uid])
    assert (one, other.result) == (first, first.result | {"weights": "another"})
    assert repeats.SAID["apart"] in capsys.readouterr().err
    assert len(repeats.notes(tmp_path)) == 1


def test_best_select_keeps_the_best_evaluation(small, tmp_path):
    run = compose(
        *small, "task.train_rows=2000", "task.length=4", "train.lr=3e-3", "seed=2", "threads=1",
        "train.schedule=constant_with_warmup", "knowledge=none", "protocol.checkpoint=best_select",
    )  # fmt: skip
    result = kdlab.distill(run, root=str(tmp_path), threads=1).result
    curve = result["curves"]["select"]
    best = int(np.argmax(curve))
    assert best < 4, "the last is the best: this would not tell best_select from last"
    assert result["scored_step"] == round(result["steps"] * (best + 1) / 5)
    assert result["scores"]["select"]["accuracy"] == max(curve) > 0.5


def test_a_constant_prediction_has_its_score_and_never_wins_a_selection():
    run = SimpleNamespace(protocol=SimpleNamespace(checkpoint="best_select"))
    tallies = no_tallies(1, torch.device("cpu"))
    learner = SimpleNamespace(
        run=run,
        model=nn.Linear(1, 1),
        losses=["hard"],
        tallies=tallies,
        history={},
        degenerate=[],
        best=None,
    )
    # All-positive predictions score 0.8; the best of the others is the second.
    found = iter([(0.8, True), (0.6, False), (0.5, False), (0.9, True)])
    events = []
    for learner.step in (10, 20, 30, 40):
        events.append(loop._evaluated(learner, [10, 20, 30, 40], lambda _: next(found)))
    assert learner.history["select"] == [0.8, 0.6, 0.5, 0.9]
    assert learner.degenerate == [True, False, False, True]
    assert learner.best["step"] == 20
    assert [event["select_degenerate"] for event in events] == [1.0, 0.0, 0.0, 1.0]


def test_divergence_is_a_result_and_leaves_the_neighbours_alone(small, tmp_path):
    wild = compose(*small, "threads=1", "knowledge=none", "train.lr=1e30", "train.clip=1e30")
    tame = compose(*small, "threads=1", "knowledge=none")
    found = kdlab.distill([wild, tame], root=str(tmp_path / "a"), threads=1)
    alone = kdlab.distill(tame, root=str(tmp_path / "b"), threads=1)
    assert found[0].result["status"] == "diverged"
    assert found[1].result == alone.result


def test_a_term_that_teaches_nothing_stops_the_run(small, tmp_path):
    # The student is its own teacher, without dropout there is nothing to learn from it.
    run = compose(
        *small,
        "threads=1",
        "size=l3_h32_a2",
        "init=teacher_first",
        "init.weights=finetuned",
        "knowledge=hidden_mse",
        "matching=first",
        "hard.weight=0",
        "train.weight_decay=0",
    )
    from kdlab import cohort as page

    original = page.build_student

    def without_dropout(*arguments):
        model = original(*arguments)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        return model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "build_student", without_dropout)
        with pytest.raises(
            RuntimeError, match="knowledge.hidden_mse: value and gradient were exactly 0"
        ):
            kdlab.distill(run, root=str(tmp_path), threads=1)


def test_runs_that_cannot_share_are_refused(small, tmp_path):
    runs = [compose(*small, f"seed={seed}", "knowledge=none") for seed in (1, 2)]
    with pytest.raises(BadInput, match="must share task, data, seed"):
        kdlab.distill(runs, root=str(tmp_path))
    runs = [compose(*small, f"teacher.seed={seed}", "knowledge=logits_kl") for seed in (1, 2)]
    with pytest.raises(BadInput, match="one teacher"):
        kdlab.distill(runs, root=str(tmp_path))


def test_unlabelled_rows_teach_through_the_teacher_only(small, tmp_path):
    run = compose(
        *small,
        "threads=1",
        "data=unlabelled",
        "data.rows=100",
        "data.extra_rows=100",
        "knowledge=logits_kl",
        "teacher.rows=200",
    )
    result = kdlab.distill(run, root=str(tmp_path), threads=1).result
    assert result["steps"] == 2 * 7
    assert result["curves"]["logits_kl"][-1] > 0


BEST = ("protocol.checkpoint=best_select", "train.precision=bf16")


@pytest.mark.long
@pytest.mark.parametrize("extra", [(), (*BEST, *BERT_ADAM)])
def test_a_killed_cohort_ends_in_the_result_it_would_have_had(small, tmp_path, extra):
    overrides = (*small, "threads=1", "seed=2", *extra)
    arms = ["knowledge=none", "knowledge=logits_kl", "knowledge=hidden_mse size=l2_h48_a3"]
    runs = [compose(*overrides, *arm.split()) for arm in arms]
    whole = kdlab.distill(runs, root=str(tmp_path / "whole"), threads=1)
    root = str(tmp_path / "killed")
    # The teacher has 34 updates; after it, three students take turns.
    for at in (20, 25, 41, 10):
        assert killed.after(at, runs, root) == -signal.SIGKILL
    assert list((tmp_path / "killed" / "checkpoints").iterdir())
    # Resumed in another company: one by one.
    resumed = [kdlab.distill(run, root=root, threads=1, checkpoint_seconds=0) for run in runs]
    assert [r.result for r in resumed] == [r.result for r in whole]
    assert not list((tmp_path / "killed" / "checkpoints").iterdir())


def test_killed_at_any_moment(small, tmp_path):
    """Not between steps only: whenever the clock says."""
    run = compose(*small, "threads=1", "knowledge=logits_kl", "seed=3")
    whole = kdlab.distill(run, root=str(tmp_path / "whole"), threads=1)
    root = str(tmp_path / "killed")
    ends = []
    for seconds in (0.01, 0.02, 0.05, 0.07, 0.1):
        process = at_once.start(_train, run, root)
        saved = _saved(root)
        while process.is_alive() and _saved(root) <= saved:
            time.sleep(0.001)
        time.sleep(seconds)
        process.kill()
        process.join()
        ends.append(process.exitcode)
    assert ends[0] == -signal.SIGKILL
    assert kdlab.distill(run, root=root, threads=1).result == whole.result


def _train(run, root):
    kdlab.distill(run, root=root, threads=1, checkpoint_seconds=0)


def _saved(root):
    """When something was last saved: checkpoints are renamed into their folder."""
    with suppress(FileNotFoundError):
        return Path(root, "checkpoints").stat().st_mtime_ns
    return 0


def test_a_checkpoint_holds_no_pickled_code(small, tmp_path):
    run = compose(*small, "threads=1", "knowledge=none")
    kept = []
    original = resume.save
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            resume,
            "save",
            lambda *a: (
                original(*a),
                kept.append(
                    torch.load(resume.checkpoint_path(a[1], a[0].run.uid), weights_only=True)
                ),
            ),
        )
        kdlab.distill(run, root=str(tmp_path), threads=1, checkpoint_seconds=0)
    assert kept[3]["step"] == 4
    assert os.listdir(tmp_path / "checkpoints") == []
