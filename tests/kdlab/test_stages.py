"""Runs whose init is a run, teachers of teachers, cross-fitted and early-stopped teachers."""

import signal

import killed
import numpy as np
import pytest
import torch
from composed import compose

import kdlab
from kdlab.config.identity import batch_key
from kdlab.data import splits
from kdlab.data.task_data import task_data
from kdlab.data.tokens import batch
from kdlab.errors import BadInput
from kdlab.models import saved_files
from kdlab.models.student import build_student
from kdlab.models.teacher import load_teachers
from kdlab.models.trace import Trace, trace
from kdlab.run import parents, teacher_runs
from kdlab.storage import ledger
from kdlab.training import loop, scoring, teaching

HIDDEN = "init.run=['knowledge=hidden_mse','hard.weight=0','train.lr=1e-3','train.epochs=1']"
STAGES = ("init=run", HIDDEN, "knowledge=logits_kl")
TWO = "[l2_h32_a2,l2_h32_a2]"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def staged(small):
    return compose(*small, "threads=1", "seed=4", *STAGES)


@pytest.fixture(scope="module")
def fitted(small):
    knowledge = "knowledge=[logits_kl,hidden_mse,value_relation]"
    return compose(*small, "threads=1", knowledge, "teacher.folds=3", "matching=last")


def encoder(model):
    return model.base_model.state_dict()


def head(model):
    return {k: v for k, v in model.state_dict().items() if not k.startswith("bert.")}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_a_stage_shares_what_it_does_not_say_with_its_student(staged):
    before = staged.init.stage
    assert (before.seed, before.student) == (4, staged.student)
    assert before.teacher.uid == staged.teacher.uid
    assert [term.name for term in before.terms] == ["hidden_mse"]
    assert before.hard_weight == 0
    assert (before.task, before.source, before.data) == (staged.task, staged.source, staged.data)
    assert (before.train.epochs, before.train.batch_size) == (1, 32)  # its own, not the student's
    assert parents(staged) == [staged.teacher, before]


@pytest.mark.parametrize(
    ("own", "same"),
    [
        ("data.rows=40", ("seed", "student", "task", "teacher")),
        ("seed=9", ("data", "student", "task", "teacher")),
        ("teacher.seed=3", ("seed", "data", "student", "task")),
        ("teacher=none", ("seed", "data", "student", "task")),
        ("matching=last", ("seed", "data", "student", "task", "teacher")),
    ],
)
def test_what_a_stage_says_itself_is_its_own(small, own, same):
    knowledge = "none" if own == "teacher=none" else "hidden_mse"
    stage = f"init.run=['knowledge={knowledge}','{own}']"
    run = compose(*small, "init=run", stage, "knowledge=hidden_mse", "data.rows=50", "seed=4")
    assert own in run.init.stage.overrides
    for name in ("seed", "data", "student", "task", "teacher"):
        if name != "teacher" or knowledge != "none":
            ours, theirs = getattr(run, name), getattr(run.init.stage, name)
            assert (ours == theirs) == (name in same or own == "matching=last")


def test_every_ancestor_is_composed_again_by_its_own_overrides(small):
    run = compose(
        *small,
        "init=run",
        "init.run=['init=run','init.run=[\\'knowledge=hidden_mse\\']','knowledge=logits_kl']",
        f"teacher.assistants={TWO}",
        "teacher.folds=2",
        "teacher.overrides=['init=random','train.weight_decay=0']",
        "knowledge=logits_kl",
        "task.words=7",
        "data.rows=200",
    )
    seen = {}

    def visit(one):
        seen[one.uid] = one
        for parent in parents(one):
            visit(parent)

    visit(run)
    # Three stages, and per fold two assistants and a teacher.
    assert len(seen) == 3 + 2 * 3
    for uid, one in seen.items():
        assert compose(*one.overrides).uid == uid
    assert {one.source.knobs["words"] for one in seen.values()} == {7}


def test_a_stage_starts_from_the_whole_encoder_and_keeps_the_classifier_if_told(
    small, staged, tmp_path
):
    keeps = compose(*small, "threads=1", "seed=4", *STAGES, "init.head=keep")
    assert keeps.init.stage.uid == staged.init.stage.uid
    fresh = compose(*small, "threads=1", "seed=4", "knowledge=none")
    root = str(tmp_path)
    found = kdlab.distill([staged, keeps], root=root, threads=1)
    assert set(ledger.index(root)) == {r.uid for r in (staged, keeps, *parents(staged))}
    assert found[0].result["weights"] != found[1].result["weights"]
    tokenizer = task_data(staged, False).tokenizer
    saved = kdlab.load(staged.init.stage, root)
    at_zero = {run.uid: build_student(run, tokenizer, root) for run in (staged, keeps)}
    for model in at_zero.values():
        assert equal(encoder(model), encoder(saved))
    assert equal(head(at_zero[keeps.uid]), head(saved))
    assert not equal(head(at_zero[staged.uid]), head(saved))
    assert equal(head(at_zero[staged.uid]), head(build_student(fresh, tokenizer, root)))
    # The result does not depend on the company, nor on who trained the parents.
    alone = kdlab.distill(staged, root=str(tmp_path / "alone"), threads=1)
    assert alone.result == found[0].result


@pytest.mark.minilm
def test_a_classifier_of_another_task_is_not_kept(small, glue, tmp_path):
    task = ["task=rte", f"task.path={glue}", "teacher=none", "knowledge=none"]
    stage = f"init.run=['task=mrpc','task.path={glue}','knowledge=none']"
    tokens = ["teacher=minilm_l6", "size=l2_h32_a2"]
    run = compose(task[0], task[1], *tokens, "knowledge=none", "init=run", stage)
    assert run.init.stage.task.name == "mrpc"
    with pytest.raises(BadInput, match=r"init.head=keep: .* for task mrpc, not rte"):
        compose(task[0], task[1], *tokens, "knowledge=none", "init=run", stage, "init.head=keep")


def test_assistants_are_a_chain_from_the_teacher_to_the_student(small):
    plain = compose(*small, "knowledge=logits_kl")
    run = compose(*small, "knowledge=logits_kl", f"teacher.assistants={TWO}")
    last, first = run.teacher, run.teacher.teacher
    assert first.teacher.uid == plain.teacher.uid
    assert [one.student.layers for one in (first, last)] == [2, 2]
    assert [[t.name for t in one.terms] for one in (first, last)] == [["logits_kl"]] * 2
    assert len({one.seed for one in (plain.teacher, first, last)}) == 3
    for one in (first, last):
        assert (one.train.lr, one.train.epochs) == (plain.teacher.train.lr, 1)
    shorter = compose(*small, "knowledge=logits_kl", "teacher.assistants=[l2_h32_a2]")
    assert shorter.teacher.uid == first.uid
    own = "teacher.assistant_overrides=['knowledge=hidden_mse','train.lr=7e-4']"
    other = compose(*small, "knowledge=logits_kl", f"teacher.assistants={TWO}", own).teacher
    for one in (other, other.teacher):
        assert [term.name for term in one.terms] == ["hidden_mse"]
        assert one.train.lr == 7e-4
    assert other.teacher.teacher.uid == plain.teacher.uid


def test_assistants_follow_a_finished_teacher(small, tmp_path):
    first = compose(*small, "threads=1", "knowledge=none", "size=l3_h32_a2")
    kdlab.distill(first, root=str(tmp_path), threads=1, save=True)
    folder = saved_files.folder(tmp_path, first.uid)
    finished = ["teacher=checkpoint", f"teacher.checkpoint='{folder}'"]
    base = [text for text in small if not text.startswith("teacher.")] + finished
    run = compose(*base, "teacher.assistants=[l2_h32_a2]", "knowledge=logits_kl")
    assert run.teacher_checkpoint is None
    assert run.teacher.teacher_checkpoint == str(folder)
    with pytest.raises(BadInput, match="teacher.stop: teacher=checkpoint is finished"):
        compose(*base, "teacher.stop=0.5", "knowledge=logits_kl")
    with pytest.raises(BadInput, match="teacher.folds: teacher=checkpoint is finished"):
        compose(*base, "teacher.folds=2", "knowledge=logits_kl")


def test_a_teacher_that_stops_early_is_the_whole_ones_at_that_step(small, tmp_path, monkeypatch):
    whole = compose(*small, "threads=1", "knowledge=none", "train.warmup=0.6")
    stopped = compose(*small, "threads=1", "knowledge=none", "train.warmup=0.6", "train.stop=0.5")
    assert batch_key(whole) != batch_key(stopped)
    taught = compose(*small, "knowledge=logits_kl", "teacher.stop=0.5")
    assert (taught.train.stop, taught.teacher.train.stop) == (1, 0.5)
    found = kdlab.distill(stopped, root=str(tmp_path / "stopped"), threads=1, save=True).result
    assert found["steps"] == 17
    assert set(found["shares"]) == {"0.1", "0.5", "0.9"}
    assert len(found["curves"]["select"]) == 5
    kept, original = {}, loop.student_state.update

    def update(learner, *arguments):
        original(learner, *arguments)
        if learner.step == 17:
            kept.update({k: v.clone() for k, v in learner.model.state_dict().items()})

    monkeypatch.setattr(loop.student_state, "update", update)
    assert kdlab.distill(whole, root=str(tmp_path / "whole"), threads=1).result["steps"] == 34
    assert equal(kept, kdlab.load(stopped, str(tmp_path / "stopped")).state_dict())


def training_ids(run):
    _, labelled, hidden = splits.everything(run.task, run.source.bind()(), run.protocol, run.data)
    return [*labelled.ids.tolist(), *hidden.ids.tolist()]


@pytest.mark.parametrize("more", [(), ("data.rows=50", "seed=3"), ("teacher.rows=90",)])
def test_a_fold_is_the_same_rows_in_every_subset_and_seed(small, more):
    run = compose(*small, "knowledge=logits_kl", "teacher.folds=3", *more)
    ids = training_ids(run)
    for fold, teacher in enumerate(teacher_runs(run)):
        seen = set(training_ids(teacher))
        assert not seen & {id_ for row, id_ in enumerate(ids) if row % 3 == fold}
        others = [id_ for row, id_ in enumerate(ids) if row % 3 != fold]
        assert set(others[:50]) <= seen
    everyone = set().union(*(training_ids(teacher) for teacher in teacher_runs(run)))
    whole = compose(*small, "knowledge=logits_kl", *more).teacher
    assert everyone == set(training_ids(whole))


def test_rows_without_a_label_are_left_out_by_the_same_folds(small):
    more = ("data=unlabelled", "data.rows=50", "data.extra_rows=60", "teacher.rows=150")
    run = compose(*small, "knowledge=logits_kl", "teacher.folds=4", *more)
    ids = training_ids(run)
    assert len(ids) == 110
    for fold, teacher in enumerate(teacher_runs(run)):
        assert not set(training_ids(teacher)) & set(ids[fold::4])
    own = compose(*small, "knowledge=logits_kl", "data.fold=[1,4]", *more)
    rows = training_ids(compose(*small, "knowledge=logits_kl", *more[:2], "data.extra_rows=200"))
    # A row's fold is its place in the fixed order, with a label or without.
    assert training_ids(own)[:37] == [id_ for place, id_ in enumerate(rows[:50]) if place % 4 != 1]
    left = [id_ for place, id_ in enumerate(rows) if place % 4 != 1 and place >= 50]
    assert training_ids(own)[37:] == left[:60]


@pytest.fixture(scope="module")
def at_work(fitted, tmp_path_factory):
    root = str(tmp_path_factory.mktemp("folds"))
    found = kdlab.distill(fitted, root=root, threads=1)
    task = task_data(fitted, False)
    return found, task, load_teachers(fitted, task.tokenizer, None, root, CPU)


def test_every_row_is_shown_by_the_teacher_that_never_saw_it(at_work):
    _, task, three = at_work
    rows = task.batches[3]
    inputs, wanted = batch(task.training, rows, CPU), frozenset({2})
    with torch.no_grad():
        found = teaching.teacher_forward(three, inputs, rows, wanted, None, None)
        alone = [trace(teacher, inputs, wanted) for teacher in three]
    assert len(set((rows % 3).tolist())) == 3
    for place, row in enumerate(rows.tolist()):
        own: Trace = alone[row % 3]
        for one, other in zip(tensors(found), tensors(own), strict=True):
            assert torch.allclose(one[place], other[place], atol=1e-5)
        assert not torch.allclose(found.logits[place], alone[(row + 1) % 3].logits[place])
    assert found.heads[2].scaling == alone[0].heads[2].scaling


def tensors(seen):
    heads = seen.heads[2]
    return [seen.logits, *seen.hidden, heads.query, heads.key, heads.value, seen.mask]


def test_a_batch_may_lack_a_fold(at_work):
    _, task, three = at_work
    rows = np.array([7, 1, 4, 3])  # none of fold 2
    inputs = batch(task.training, rows, CPU)
    with torch.no_grad():
        found = teaching.teacher_forward(three, inputs, rows, frozenset(), None, None)
        first = trace(three[1], inputs, frozenset())
    assert torch.allclose(found.logits[:3], first.logits[:3], atol=1e-5)


def test_scored_splits_meet_the_mean_of_the_teachers(at_work):
    found, task, three = at_work
    data = task.scored["report"]
    each = [scoring.predict(teacher, data, CPU) for teacher in three]
    mean = np.mean([np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in each], axis=0)
    together = teaching.mean_logits(each)
    assert np.allclose(np.exp(together), mean, atol=1e-6)
    assert teaching.mean_logits(each[:1]).tolist() == each[0].tolist()
    assert found.result["agreement"]["report"]["kl"] > 0


def test_cross_fitted_teachers_of_a_regression(small, tmp_path):
    task = ["task.classes=1", "task.metrics=[pearson]", "task.select_by=[pearson]"]
    run = compose(*small, *task, "threads=1", "knowledge=logits", "teacher.folds=2")
    found = kdlab.distill(run, root=str(tmp_path), threads=1)
    assert found.result["agreement"]["report"]["mse"] >= 0
    data = task_data(run, False)
    two = load_teachers(run, data.tokenizer, None, str(tmp_path), CPU)
    each = [scoring.predict(teacher, data.scored["report"], CPU) for teacher in two]
    together = teaching.mean_logits(each)
    assert np.allclose(together, (each[0] + each[1]) / 2)


def test_a_cohort_shares_its_cross_fitted_teachers(small, fitted, at_work, tmp_path):
    other = compose(*small, "threads=1", "knowledge=logits_mse", "teacher.folds=3")
    root = str(tmp_path)
    found = kdlab.distill([other, fitted], root=root, threads=1)
    assert found[1].result == at_work[0].result
    assert [each.cost["cohort"] for each in found] == [2, 2]
    assert len(ledger.index(root)) == 2 + 3
    with pytest.raises(BadInput, match="one teacher"):
        kdlab.distill([fitted, compose(*small, "knowledge=logits_kl")], root=root)


def test_a_parent_that_diverged_is_said_to_be_no_parent(small, tmp_path):
    stage = "init.run=['knowledge=none','train.lr=1e30','train.clip=1e30']"
    run = compose(*small, "threads=1", "init=run", stage, "knowledge=none")
    with pytest.raises(RuntimeError, match=f"parent {run.init.stage.uid} diverged"):
        kdlab.distill(run, root=str(tmp_path), threads=1)


@pytest.mark.long
def test_a_chain_killed_in_each_of_its_runs_ends_in_the_same_result(small, tmp_path):
    more = ("teacher.assistants=[l2_h32_a2]", "teacher.folds=2", "teacher.stop=0.8")
    run = compose(*small, "threads=1", *STAGES, *more)
    whole = kdlab.distill(run, root=str(tmp_path / "whole"), threads=1)
    root = str(tmp_path / "killed")
    done = []
    # Two teachers of 4 updates, two assistants of 5, a stage of 9, a student of 34.
    for at in (2, 5, 6, 7, 9, 20):
        assert killed.after(at, [run], root) == -signal.SIGKILL
        done.append(len(ledger.index(root)))
    assert done[0] == 0
    assert done[-1] == 5
    assert kdlab.distill(run, root=root, threads=1).result == whole.result
    assert {k: r.result for k, r in kdlab.records(root).items()} == {
        k: r.result for k, r in kdlab.records(tmp_path / "whole").items()
    }
