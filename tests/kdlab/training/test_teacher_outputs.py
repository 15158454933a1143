"""What teachers say of rows: computed once, the same as live, checked when it is read."""

import shutil
from pathlib import Path

import at_once
import numpy as np
import pytest
import torch
from composed import compose
from flips import flipped

import kdlab
from kdlab import device
from kdlab.config.compose import execution
from kdlab.data.task_data import task_data
from kdlab.data.tokens import batch
from kdlab.models import saved_files
from kdlab.models.heads import load_with_head
from kdlab.models.trace import trace
from kdlab.objective import views
from kdlab.options.callables import function
from kdlab.run import Run, teacher_runs
from kdlab.storage import teacher_files
from kdlab.storage.teacher_files import FOLDER
from kdlab.training import stopping, teacher_outputs, teaching

CPU = torch.device("cpu")
LOGITS, CLS, MEAN = (f"kdlab.objective.views.{name}" for name in ("logits", "cls", "mean_tokens"))
ARMS = {
    "logits": ("knowledge=logits_kl",),
    "states": ("knowledge=[logits_kl,cls_pkd,mean_pkd]", "matching=skip"),
    "classifiers": ("knowledge=layer_logits_kl", "matching=alp_kd"),
    "tokens beside": ("knowledge=[logits_kl,hidden_mse]", "matching=first"),
    "batch relations": ("knowledge=[pkt,rkd_distance]",),
}


def files(root: str) -> list[Path]:
    return sorted(Path(root, FOLDER).glob("*/*.npy"))


def with_teacher(root: str) -> str:
    """A new root beside another one, with the teacher alone."""
    new = f"{root}-{len(list(Path(root).parent.iterdir()))}"
    shutil.copytree(Path(root).with_name("teacher"), new)
    return new


@pytest.fixture(scope="module")
def arms(small) -> dict[str, Run]:
    return {name: compose(*small, "threads=1", *arm) for name, arm in ARMS.items()}


@pytest.fixture(scope="module")
def taught(arms, tmp_path_factory):
    """A root with the teacher, its outputs and every arm, and the results by arm."""
    folder = tmp_path_factory.mktemp("taught")
    teacher = arms["logits"].teacher
    kdlab.distill(teacher, root=str(folder / "teacher"), threads=1, save=True)
    root = with_teacher(str(folder / "root"))
    records = kdlab.distill(list(arms.values()), root=root, threads=1)
    return root, dict(zip(arms, (record.result for record in records), strict=True))


def teachers_of(run: Run, root: str, **where) -> teaching.Teachers:
    task = task_data(run, False)
    at = execution("threads=1", f"root={root}", *(f"{key}={value}" for key, value in where.items()))
    return teaching.Teachers(run, task, at, CPU, device.Clock(CPU))


def test_a_row_has_what_its_forward_pass_alone_gives(arms, taught):
    run, root = arms["states"], taught[0]
    teachers = teachers_of(run, root)
    wanted = [(LOGITS, None), (CLS, 1), (CLS, 3), (MEAN, 2)]
    outputs = teaching.row_outputs(teachers, wanted)
    model = load_with_head(run.task, saved_files.folder(root, run.teacher.uid)).eval()
    rows = np.array([250, 3, 97])
    said = outputs.at(rows, wanted, CPU)
    for place, row in enumerate(rows):
        with torch.no_grad():
            alone = trace(model, batch(teachers.task.training, np.array([row]), CPU), frozenset())
        expected = {
            (LOGITS, None): alone.logits,
            (CLS, 1): alone.hidden[1][:, 0],
            (CLS, 3): alone.hidden[3][:, 0],
            (MEAN, 2): views.mean_tokens(alone, 2)[0],
        }
        for view, value in expected.items():
            assert torch.allclose(said[view][place], value[0], atol=1e-5)


@pytest.mark.parametrize("name", ARMS)
def test_a_result_is_the_same_whether_the_store_was_there_or_not(arms, taught, name):
    root, results = taught
    empty = with_teacher(root)
    again = kdlab.distill(arms[name], root=empty, threads=1, teacher_outputs_gb=0)
    assert again.result == results[name]
    assert not files(empty)


@pytest.mark.parametrize("name", ARMS)
def test_training_beside_a_live_teacher_ends_where_the_store_does(arms, taught, name, monkeypatch):
    root, results = taught
    monkeypatch.setattr("kdlab.cohort.row_views", lambda run: frozenset())
    live = with_teacher(root)
    result = kdlab.distill(arms[name], root=live, threads=1).result
    assert len(files(live)) == 2  # the logits on select and report
    for key, losses in results[name]["curves"].items():
        assert result["curves"][key] == pytest.approx(losses, rel=1e-3, abs=1e-5)


def test_what_is_kept_is_not_computed_again(arms, taught, monkeypatch):
    root, results = taught
    kept = with_teacher(root)
    shutil.copytree(Path(root, FOLDER), Path(kept, FOLDER))
    monkeypatch.setattr(teaching, "load_teachers", lambda *_: pytest.fail("loaded the teacher"))
    record = kdlab.distill(arms["states"], root=kept, threads=1)
    assert record.result == results["states"]
    assert record.cost["teacher_seconds"] == 0


def test_a_bit_anywhere_is_seen_and_the_file_made_again(arms, taught):
    root, _ = taught
    teachers, wanted = teachers_of(arms["states"], root), [(LOGITS, None), (CLS, 2)]
    rows = np.arange(len(teachers.task.training.labels))
    before = teaching.row_outputs(teachers, wanted).at(rows, wanted, CPU)
    block = next(path for path in files(root) if ".cls-" in path.name)
    written = block.read_bytes()
    for _ in flipped(block, times=12):
        after = teaching.row_outputs(teachers, wanted).at(rows, wanted, CPU)
        assert all(torch.equal(before[view], after[view]) for view in wanted)
        assert block.read_bytes() == written


def test_who_changes_a_view_has_the_teacher_asked_anew(arms, taught, monkeypatch):
    def cls(trace, layer):
        return -trace.hidden[layer][:, 0], trace.mask.any(-1)

    teachers, wanted = teachers_of(arms["states"], with_teacher(taught[0])), [(CLS, 1)]
    before = teaching.row_outputs(teachers, wanted).at(np.arange(9), wanted, CPU)[CLS, 1]
    monkeypatch.setattr(views, "cls", cls)
    caches = function.cache_clear, teacher_outputs._code.cache_clear
    for clear in caches:
        clear()
    after = teaching.row_outputs(teachers, wanted).at(np.arange(9), wanted, CPU)[CLS, 1]
    for clear in caches:
        clear()
    assert torch.equal(after, -before)


def test_fewer_rows_are_in_the_same_blocks(small, arms, taught, monkeypatch):
    root = with_teacher(taught[0])
    monkeypatch.setattr(teacher_outputs, "BLOCK", 32)
    teachers = teachers_of(arms["logits"], root)
    everything = teaching.row_outputs(teachers, [(LOGITS, None)])
    count = len(files(root))
    few = compose(*small, "threads=1", "knowledge=logits_kl", "data.rows=100", "teacher.rows=null")
    assert few.teacher == arms["logits"].teacher
    outputs = teaching.row_outputs(teachers_of(few, root), [(LOGITS, None)])
    assert len(files(root)) == count + 1  # the last, which has 4 rows
    one, other = (o.at(np.arange(96), [(LOGITS, None)], CPU) for o in (everything, outputs))
    assert torch.equal(one[LOGITS, None], other[LOGITS, None])


def test_each_fold_has_its_own_teacher(small, tmp_path):
    run = compose(*small, "threads=1", "knowledge=logits_kl", "teacher.folds=3")
    root = str(tmp_path)
    for teacher in teacher_runs(run):
        kdlab.distill(teacher, root=root, threads=1, save=True)
    teachers = teachers_of(run, root)
    said = teaching.row_outputs(teachers, [(LOGITS, None)])
    rows = np.arange(12)
    of_rows = said.at(rows, [(LOGITS, None)], CPU)[LOGITS, None]
    with torch.no_grad():
        live = teaching.teacher_forward(
            teachers.models, batch(teachers.task.training, rows, CPU), rows, frozenset(), None, None
        )
    assert torch.allclose(of_rows, live.logits, atol=1e-5)


def fill(root: str, *overrides: str) -> None:
    """Ask for outputs in a process of its own; note how many rows it computed."""
    teacher_outputs.BLOCK = 16
    teachers = teachers_of(compose(*overrides), root)
    rows: list[int] = []
    computed = teacher_outputs._computed

    def counted(source, data, of_block, *rest):
        rows.append(len(of_block))
        return computed(source, data, of_block, *rest)

    teacher_outputs._computed = counted
    teaching.row_outputs(teachers, [(LOGITS, None)])
    Path(root, f"rows-{id(rows)}-{len(rows)}").write_text(str(sum(rows)))


def test_processes_fill_it_together(small, arms, taught):
    root = with_teacher(taught[0])
    overrides = (*small, "threads=1", *ARMS["logits"])
    processes = [at_once.start(fill, root, *overrides) for _ in range(3)]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    rows = len(task_data(arms["logits"], False).training.labels)
    assert sum(int(path.read_text()) for path in Path(root).glob("rows-*")) == rows


def test_it_stops_between_two_batches_and_keeps_what_is_done(arms, taught, monkeypatch):
    root = with_teacher(taught[0])
    monkeypatch.setattr(teacher_outputs, "BLOCK", 64)
    keep = teacher_files.keep
    monkeypatch.setattr(teacher_files, "keep", lambda *_: (keep(*_), stopping.stop.set()))
    with pytest.raises(stopping.Stopped):
        teaching.row_outputs(teachers_of(arms["logits"], root), [(LOGITS, None)])
    stopping.stop.clear()
    assert len(files(root)) == 1


def test_a_trial_that_sees_few_rows_asks_its_teacher_of_those_alone(small, taught):
    root = with_teacher(taught[0])
    run = compose(*small, "threads=1", "knowledge=logits_kl", "train.stop=0.1", "teacher.stop=1")
    kdlab.distill(run, root=root, threads=1)
    assert len(files(root)) == 2  # the logits on select and report


def test_a_full_store_is_said_and_grows_no_more(arms, taught, capsys):
    root = with_teacher(taught[0])
    teachers = teachers_of(arms["logits"], root, teacher_outputs_gb=1e-6)
    teaching.row_outputs(teachers, [(LOGITS, None), (CLS, 1)])
    assert teacher_files.stored_bytes(root) <= 1000
    assert "is full (teacher_outputs_gb=1e-06)" in capsys.readouterr().err
