"""One bit of any file may change: no result is silently another, and the ordinary path mends it."""

import contextlib
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from composed import compose
from flips import flip, flipped

import kdlab
from kdlab import record
from kdlab.errors import BadInput
from kdlab.models import saved_files
from kdlab.storage import example_outputs, ledger
from kdlab.storage.durable import Damaged
from kdlab.training import loop, resume, stopping

FEW = ("task.train_rows=64", "train.epochs=1", "teacher.epochs=1", "threads=1", "seed=1")


@pytest.fixture(scope="module")
def run(small):
    return compose(*small, *FEW, "knowledge=logits_kl", "init=teacher_first",
                   "init.weights=finetuned")  # fmt: skip


@pytest.fixture(scope="module")
def done(run, tmp_path_factory):
    """A root in which the run is done, and its record."""
    root = tmp_path_factory.mktemp("done")
    return root, kdlab.distill(run, root=str(root), threads=1)


@pytest.fixture
def root(done, tmp_path):
    shutil.copytree(done[0], tmp_path / "runs")
    return tmp_path / "runs"


def forget_records(root: Path, *uids: str) -> None:
    """As if the runs of these uids had never been recorded."""
    left = [each for uid, each in ledger.records(root).items() if uid not in uids]
    shutil.rmtree(root / "records")
    for each in left:
        ledger.append(root, each)


@pytest.mark.parametrize("seed", range(2))
def test_a_checkpoint_that_lost_a_bit_is_named_and_not_used(run, done, root, seed, capsys):
    forget_records(root, run.uid)
    stopping.stop.set()
    try:
        with pytest.raises(stopping.Stopped):
            kdlab.distill(run, root=str(root), threads=1)
    finally:
        stopping.stop.clear()
    path = resume.checkpoint_path(root, run.uid)
    flip(path, seed)
    assert kdlab.distill(run, root=str(root), threads=1).result == done[1].result
    assert f"{path} is damaged: run {run.uid} starts anew" in capsys.readouterr().err
    assert not path.exists()


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", saved_files.DIGESTS, "tokenizer.json"]
)
def test_a_teacher_that_lost_a_bit_is_named_and_trained_again(run, done, root, name, capsys):
    room = saved_files.folder(root, run.teacher.uid)
    whole = (room / name).read_bytes()
    flip(room / name, 1)
    with pytest.raises(BadInput, match=rf"{room}.*; distill run {run.teacher.uid} with save=True"):
        kdlab.load(run.teacher, root=str(root))
    forget_records(root, run.uid)
    assert kdlab.distill(run, root=str(root), threads=1).result == done[1].result
    assert f"run {run.teacher.uid}: {room}" in capsys.readouterr().err
    assert (room / name).read_bytes() == whole
    assert len(ledger.entries(root)[run.teacher.uid]) == 1  # an equal repeat is no second record


def test_a_bit_anywhere_in_any_file_makes_no_other_result(run, done, root):
    uids = (run.uid, run.teacher.uid)
    before = ledger.records(root)

    def read_all() -> list[object]:
        """All that is kept of the run and its teacher; None for what is damaged."""
        after = ledger.records(root)
        kept: list[object] = [after.get(uid) for uid in uids]
        for read in (
            example_outputs.read_outputs,
            lambda *of: np.stack(example_outputs.read_examples(*of)),
        ):
            try:
                kept.append(read(root, before[run.uid], "report").tobytes())
            except Damaged:
                kept.append(None)
        return [*kept, saved_files.is_whole(root, run.teacher.uid) or None]

    whole = read_all()
    assert None not in whole
    kept_files = [path for path in root.rglob("*") if path.is_file()]
    of_a_run = {"records", "outputs", "examples", "models"}
    kept_files = [path for path in kept_files if path.relative_to(root).parts[0] in of_a_run]
    assert {path.relative_to(root).parts[0] for path in kept_files} == of_a_run
    for path in kept_files:
        for _ in flipped(path):
            assert all(now in (None, then) for now, then in zip(read_all(), whole, strict=True))
    assert read_all() == whole


def test_a_bit_anywhere_in_a_file_of_examples_is_no_traceback(tmp_path):
    ids = np.arange(3)
    path = (
        tmp_path / "examples" / f"{example_outputs.write_examples(tmp_path, ids, np.zeros(3))}.npz"
    )
    run = record.Record("u", {}, [], {"examples": {"report": path.stem}}, {}, {})
    whole = path.read_bytes()
    for place in range(0, 8 * len(whole), 7):  # a bit of every byte, another of the next
        changed = bytearray(whole)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        with contextlib.suppress(Damaged):  # a zip has bytes that mean nothing
            assert np.array_equal(example_outputs.read_examples(tmp_path, run, "report")[0], ids)


def test_a_model_of_no_record_teaches_nobody(run, root):
    room = saved_files.folder(root, run.teacher.uid)
    saved_files.write_digests(room, "0" * 32)
    with pytest.raises(Damaged, match="is not the model of a record"):
        saved_files.checked(root, run.teacher.uid)
    assert not saved_files.is_whole(root, run.teacher.uid)


@pytest.mark.parametrize("folder", ["outputs", "examples"])
def test_outputs_and_examples_that_lost_a_bit_are_missing_until_the_run_is_repeated(
    run, done, root, folder
):
    before = done[1]
    where = before.artifacts["outputs"]["file"]
    for path in (root / folder).iterdir():
        content = bytearray(path.read_bytes())
        at = before.artifacts["outputs"]["report"][0] if path.name == where else len(content) // 2
        content[at + 3] ^= 16
        path.write_bytes(content)
    read = example_outputs.read_outputs if folder == "outputs" else example_outputs.read_examples
    with pytest.raises(Damaged, match=f"rerun {run.uid} --root {root} brings"):
        read(root, before, "report")
    assert ("report" in example_outputs.kept(root, before)) is (folder == "examples")
    after = kdlab.distill(run, root=str(root), threads=1, again=True)
    assert after.result == before.result
    ours, theirs = read(root, after, "report"), read(done[0], before, "report")
    assert np.array_equal(ours, theirs)


def test_stages_may_be_given_in_one_call(small, tmp_path):
    """A run waits for no lock that it holds itself, however long the chain."""
    own = "'train.epochs=1','train.batch_size=16','train.lr=1e-3'"
    first = "init.run=[\\'knowledge=none\\',\\'train.epochs=1\\',\\'train.batch_size=16\\']"
    last = compose(
        *small, *FEW, "init=run", f"init.run=['init=run','{first}','knowledge=logits_mse',{own}]",
        "knowledge=logits_kl",
    )  # fmt: skip
    stages = [last, last.init.stage, last.init.stage.init.stage]
    found: list[record.Record] = []
    given = [stages[0], stages[2]]
    work = threading.Thread(
        target=lambda: found.extend(kdlab.distill(given, root=str(tmp_path), threads=1)),
        daemon=True,
    )
    work.start()
    work.join(300)
    assert [each.uid for each in found] == [run.uid for run in given]
    every = kdlab.distill(stages, root=str(tmp_path), threads=1)
    assert [each.uid for each in every] == [run.uid for run in stages]
    assert len(ledger.index(tmp_path)) == 4  # with the teacher


def test_a_cohort_ends_when_all_have_diverged(small, tmp_path, monkeypatch):
    wild = [
        compose(*small, *FEW, "knowledge=none", f"train.lr={lr}", "train.clip=1e30")
        for lr in ("1e30", "1e29")
    ]
    seen = []
    examples = loop.examples
    monkeypatch.setattr(loop, "examples", lambda *a: (seen.append(1), examples(*a))[1])
    records = kdlab.distill(wild, root=str(tmp_path), threads=1)
    assert {each.result["status"] for each in records} == {"diverged"}
    assert len(seen) == max(each.result["steps"] for each in records) < 4
