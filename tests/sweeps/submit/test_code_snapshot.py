"""The copy of the code that tasks run is what its name says, or is not run."""

import random

import pytest
from flips import flipped

from kdlab.storage.durable import Damaged
from kdlab.tracking import provenance
from sweeps.submit import code_snapshot
from sweeps.task import code_check


@pytest.fixture
def copy(tmp_path):
    return code_snapshot.snapshot(tmp_path)


def test_a_copy_is_named_by_its_content_and_made_once(copy, tmp_path, capsys):
    times = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    assert code_snapshot.snapshot(tmp_path) == copy
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == times
    assert capsys.readouterr().out == ""
    code_check.check(copy)
    code_check.check()  # a checkout is whatever it is


def test_a_bit_of_the_commit_is_refused_and_mended_too(copy, tmp_path, capsys):
    path = copy / "kdlab" / provenance.COMMIT
    whole = path.read_bytes()
    for _ in flipped(path):
        with pytest.raises(Damaged, match=f"{path} is damaged; the next launch mends it"):
            provenance.copied_commit(copy / "kdlab")
        assert not code_check.has_commit(copy)
    path.unlink()
    with pytest.raises(Damaged, match=f"{copy} is damaged; the next launch mends it"):
        code_check.check(copy)
    code_snapshot.snapshot(tmp_path)
    assert capsys.readouterr().out == f"sweeps: the commit of {copy} is damaged and mended\n"
    assert path.read_bytes() == whole
    code_check.check(copy)


@pytest.mark.parametrize("seed", range(3))
def test_a_bit_anywhere_in_a_copy_is_refused_by_a_task_and_mended_by_a_launch(
    copy, tmp_path, seed, capsys
):
    draw = random.Random(seed)
    path = draw.choice(
        sorted(path for path in copy.rglob("*") if path.suffix in code_check.SUFFIXES)
    )
    whole = path.read_bytes()
    place = draw.randrange(len(whole)) if whole else 0
    path.write_bytes(whole[:place] + bytes([(whole or b"\0")[place] ^ 4]) + whole[place + 1 :])
    with pytest.raises(Damaged, match=f"{copy} is damaged; the next launch mends it"):
        code_check.check(copy)
    assert code_snapshot.snapshot(tmp_path) == copy
    assert capsys.readouterr().out == f"sweeps: {path} is damaged and mended\n"
    assert path.read_bytes() == whole
    code_check.check(copy)


def test_files_that_came_or_went_are_mended_too(copy, tmp_path):
    (copy / "kdlab" / "record.py").unlink()
    (copy / "sweeps" / "strange.py").write_text("raise SystemExit")
    with pytest.raises(Damaged):
        code_check.check(copy)
    code_snapshot.snapshot(tmp_path)
    code_check.check(copy)
