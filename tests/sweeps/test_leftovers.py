"""What is swept, and what never is."""

import os
import subprocess
import sys
import time

import pytest
from filelock import FileLock

from kdlab.record import Record
from kdlab.storage import ledger
from sweeps import leftovers

OLD = {
    "checkpoints/done.pt": True,
    "checkpoints/open.pt": False,
    "checkpoints/held.pt": False,
    "checkpoints/open.pt.host-1-a.partial": True,
    "checkpoints/held.pt.host-1-a.partial": False,
    "models/open.partial/model.safetensors": True,
    "models/done/model.safetensors": False,
    "code/abc.partial/kdlab/x.py.host-1-a.partial": True,
    "studies/mine/plan.parquet.host-1-a.partial": True,
    "studies/mine/plan.parquet": False,
    "outputs/host-1-a.f16": False,
    "life/host-1-a.json": True,
    "locks/done.lock": True,
    "locks/held.lock": False,
    "locks/launch.lock": False,
    "logs/x/0.log": False,
}


@pytest.fixture
def root(tmp_path):
    for name in (*OLD, "checkpoints/new.pt.host-1-a.partial", "locks/new.lock"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12")
    for path in tmp_path.rglob("*"):
        if "new" not in path.name:
            os.utime(path, (time.time() - 2 * leftovers.DAY,) * 2)
    result = {"status": "done"}
    for uid in ("done", "held"):
        ledger.append(tmp_path, Record(uid, {}, [], result, {}, {}))
    return tmp_path


def files(root):
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_leftovers_go_and_nothing_else_does(root):
    before = files(root)
    with FileLock(root / "locks" / "held.lock"):
        said = leftovers.remove(root, 30, dry=True)
        assert files(root) == before
        gone = leftovers.remove(root, 30, dry=False)
    assert said == gone
    assert before - files(root) == {name for name, goes in OLD.items() if goes}
    assert sum(size for _, size in gone) == 2 * len([goes for goes in OLD.values() if goes])
    # A process that held a lock and died holds it no more.
    rest = [path.name for path, _ in leftovers.remove(root, 30, dry=False)]
    assert rest == ["held.pt", "held.pt.host-1-a.partial", "held.lock"]


def test_a_checkpoint_that_nobody_goes_on_with_goes_after_some_days(root):
    names = [path.name for path, _ in leftovers.remove(root, 1.5, dry=True)]
    assert "open.pt" in names
    assert "open.pt" not in [path.name for path, _ in leftovers.remove(root, 3, dry=True)]


def test_the_command_says_what_goes(root):
    command = [sys.executable, "-m", "sweeps", "clean", "--root", str(root), "--dry-run"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.endswith("10 would be removed, 20 bytes\n")
