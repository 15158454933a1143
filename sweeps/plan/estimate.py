"""What runs will take: by the records of like runs, else by their floating-point operations.

Estimates only decide how many runs a task is given and what a budget allows: no result depends on
them.
"""

import statistics
from collections.abc import Mapping, Sequence

from kdlab.models.origins import teacher_architecture
from kdlab.options.callables import Call
from kdlab.options.memo import by_content
from kdlab.options.schema import Data, Protocol, Task
from kdlab.run import Run
from kdlab.storage.ledger import Entry

TRAINING_STEP = 3.0  # operations of a step in forward passes: the backward pass takes two
FILLED = 0.5  # how much of the longest row a row has on average
START = 10.0  # seconds to load what a process needs
RECORD_BYTES = 6_000  # of a record without per-example outputs
PARAMETER_BYTES = 4
VOCABULARY = 30_522  # of BERT, for the size of a model


def seconds(runs: Sequence[Run], done: Mapping[str, Entry], gflops: float) -> dict[str, float]:
    """Seconds that each run takes in its process, by uid.

    A cell is a run but for its seed. A run of a cell with records takes their mean; the others
    what their operations need, at the median speed of the recorded runs.

    Args:
        runs: to be estimated, recorded or not.
        done: the index of the records.
        gflops: the speed while there is no record, in 10⁹ operations a second.
    """
    # A seed does not change how long a run takes: one record tells of its whole cell.
    measured: dict[str, list[float]] = {}
    speeds: list[float] = []
    operations: dict[str, float] = {}
    cells: dict[str, str] = {}
    for run in runs:
        cells[run.uid] = cell = _cell(run)
        if cell not in operations:
            operations[cell] = training_flops(run)
        entry = done.get(run.uid)
        if entry and entry.status == "done" and entry.seconds > 0:
            measured.setdefault(cell, []).append(entry.seconds)
            speeds.append(operations[cell] / entry.seconds)
    # The median: a run that waited for a disk or shared its GPU says nothing of the speed.
    speed = statistics.median(speeds) if speeds else gflops * 1e9
    taken = {
        cell: statistics.mean(measured[cell]) if cell in measured else flops / speed
        for cell, flops in operations.items()
    }
    return {uid: taken[cell] for uid, cell in cells.items()}


def measured_cells(runs: Sequence[Run], done: Mapping[str, Entry]) -> tuple[int, int]:
    """How many cells have a record, and how many there are."""
    cells = {_cell(run) for run in runs}
    return len({_cell(run) for run in runs if run.uid in done}), len(cells)


def _cell(run: Run) -> str:
    """What a run's time depends on: all but its seed and the values of its losses' options."""
    terms = [(term.name, term.matching and term.matching.pairs) for term in run.terms]
    size = teacher_architecture(run) if terms else None
    return repr((run.student, run.task.name, run.data, run.train, run.protocol, terms, size))


def training_flops(run: Run) -> float:
    """Operations of a whole training: the student's steps, and the teacher's forward passes."""
    from kdlab.models.costs import inference_flops

    tokens = max(1, int(FILLED * run.task.max_length))
    flops = TRAINING_STEP * inference_flops(run.student, tokens)
    dimensions = teacher_architecture(run)
    if run.terms and dimensions:
        flops += inference_flops(dimensions, tokens)
    return flops * training_rows(run) * run.train.epochs * run.train.stop


def training_rows(run: Run) -> int:
    """Rows that a run sees in an epoch, those without a label included.

    Raises:
        BadInput: if the data does not have as many as the run asks for.
    """
    return _rows(run.task, run.source, run.protocol, run.data)


@by_content  # reading a split takes seconds, and thousands of runs share it
def _rows(task: Task, source: Call, protocol: Protocol, data: Data) -> int:
    from kdlab.data import splits

    _, labelled, unlabelled = splits.everything(task, source.bind()(), protocol, data)
    return len(labelled) + len(unlabelled)


def model_bytes(run: Run) -> int:
    """About how many bytes a student's weights take: its layers and its word embeddings."""
    student = run.student
    # Attention has four matrices of hidden x hidden, the feed-forward part two.
    layer = 4 * student.hidden**2 + 2 * student.hidden * student.intermediate
    return PARAMETER_BYTES * (student.layers * layer + VOCABULARY * student.hidden)
