"""A study of several tasks, sizes and kinds of knowledge, with records made by hand."""

from pathlib import Path
from zlib import crc32

import edges
from made import leave_run

from kdlab.run import Run, teacher_runs
from sweeps.plan import plan
from sweeps.study import reading
from sweeps.study.cells import Cell

NAME, ROOT = "wide", "runs"
STUDY = """
question: Which knowledge helps which size of student, over tasks?
base: [teacher=scratch, init=random]
seeds: [1, 2, 3, 4]
blocks:
  - table: knowledge
    control: none
    base: [matching=skip]
    grid: {task: [mrpc, rte, qnli], size: [l2_h64_a4, l3_h64_a4]}
    cases:
      none: [knowledge=none]
      logits: [knowledge=logits_kl]
      hidden: [knowledge=hidden_mse]
      unlucky: [knowledge=cls_pkd]
"""
COLUMNS = {
    "MRPC": ["sentence1", "sentence2"],
    "RTE": ["sentence1", "sentence2"],
    "QNLI": ["question", "sentence"],
}
# Right answers of 2,000: what a task, a size and a kind of knowledge are worth.
TASKS = {"mrpc": 1300, "rte": 1100, "qnli": 1400}
GAINS = {"none": 0, "logits": 70, "hidden": 12, "unlucky": -30}
HEADROOM = {"mrpc": 240, "rte": 6, "qnli": 180}
DEEPER = 40  # the larger student's


def make(folder: Path) -> None:
    """Plan the study and leave its records under the folder's `runs`; some runs are missing."""
    (folder / "glue").mkdir()
    for name, columns in COLUMNS.items():
        edges.rows(folder / "glue" / name, ["train", "dev"], columns, 2)
    with edges.inside(folder):
        path = Path(f"{NAME}.yaml")
        path.write_text(STUDY)
        loaded = reading.load(str(path))
        cells = plan.plan(loaded)
        plan.write(cells, {}, NAME, loaded, ROOT)
        recorded: set[str] = set()
        for entry in cells:
            if entry.run and not _is_missing(entry.cell, entry.run):
                task = entry.run.task.name
                leave(entry.run, right(entry.cell, entry.run), recorded)
                for teacher in teacher_runs(entry.run):
                    leave(teacher, TASKS[task] + DEEPER + HEADROOM[task], recorded)


def _is_missing(cell: Cell, run: Run) -> bool:
    return cell.row.startswith("unlucky") and run.task.name == "qnli" and run.seed > 1


def right(cell: Cell, run: Run) -> int:
    """Rows that a run gets right: of its task, size, knowledge and seed."""
    row, task = cell.row.partition(", size")[0], run.task.name
    noise = crc32(f"{cell.row} {task} {run.seed}".encode()) % 31 - 15
    gain = GAINS[row] if task != "rte" else -GAINS[row] // 3
    return TASKS[task] + DEEPER * (run.student.layers == 3) + gain + noise + 5 * (run.seed % 3)


def leave(run: Run, right: int, recorded: set[str]) -> None:
    if run.uid not in recorded:
        recorded.add(run.uid)
        leave_run(ROOT, run, right)
