"""Checkpoints of unfinished runs: everything that an exact resume needs.

A resumed run gives the same result, bit for bit, as one that was never stopped.
"""

import io
import sys
from pathlib import Path

import torch

from kdlab.storage.durable import Damaged, read_sealed, write_sealed
from kdlab.training import optimizer
from kdlab.training.student_state import StudentState
from kdlab.training.tallies import Tallies

# Attributes of a StudentState that are plain data, and those that have a state dict.
PLAIN = (
    *("step", "status", "history", "degenerate"),
    *("gradient_shares", "best"),
)
STATEFUL = ("model", "objective", "optimizer", "scheduler", "random")
CONTENT = {*PLAIN, *STATEFUL, "tallies", "seconds"}


def checkpoint_path(root: str | Path, uid: str) -> Path:
    """Where an unfinished run is saved."""
    return Path(root) / "checkpoints" / f"{uid}.pt"


def save(student: StudentState, root: str) -> None:
    """Write a run's checkpoint, whole or not at all."""
    content = {name: getattr(student, name) for name in PLAIN}
    content |= {name: getattr(student, name).state_dict() for name in STATEFUL}
    content |= {"tallies": vars(student.tallies), "seconds": student.clock.seconds()}
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_sealed(checkpoint_path(root, student.run.uid), buffer.getvalue())


def restore(student: StudentState, root: str) -> None:
    """Continue from the run's checkpoint, if it has one; a damaged one is reported and ignored."""
    path = checkpoint_path(root, student.run.uid)
    if not path.exists():
        return
    try:
        packed = read_sealed(path)
    except Damaged as error:
        print(f"{error}: run {student.run.uid} starts anew", file=sys.stderr, flush=True)
        return
    # Data alone, as a pickle could run code. On the CPU first: load_state_dict copies to the device
    # where each tensor belongs, and random states have to be there.
    content = torch.load(io.BytesIO(packed), weights_only=True, map_location="cpu")
    if content.keys() != CONTENT:
        what = "is of another version of kdlab"
        print(f"{path}: {what}: run {student.run.uid} starts anew", file=sys.stderr, flush=True)
        return
    student.clock.earlier = content["seconds"]  # laps were of the process that stopped
    for name in STATEFUL:
        getattr(student, name).load_state_dict(content[name])
    optimizer.keep_rates_on_device(student.optimizer)  # what was read is on the CPU
    for name in PLAIN:
        setattr(student, name, content[name])
    tallies = {name: tensor.to(student.device) for name, tensor in content["tallies"].items()}
    student.tallies = Tallies(**tallies)


def forget(root: str, uid: str) -> None:
    """Remove a finished run's checkpoint, and the partial file that a killed process left."""
    path = checkpoint_path(root, uid)
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink(missing_ok=True)
