"""What runs will take: by the records of like runs, else by their floating-point operations.

Estimates only decide how many runs a task is given and what a budget allows: no result depends on
them.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from kdlab.encoders.architecture import Architecture
from kdlab.errors import BadInput
from kdlab.models.origins import teacher_architecture
from kdlab.options.callables import Call
from kdlab.options.memo import by_content
from kdlab.options.schema import Data, Protocol, Task
from kdlab.run import Run, Term
from kdlab.storage.ledger import Entry

TRAINING_STEP = 3.0  # operations of a step in forward passes: the backward pass takes two
FILLED = 0.5  # how much of the longest row a row has on average, of data that is not below
START = 10.0  # seconds to load what a process needs
RECORD_BYTES = 6_000  # of a record without per-example outputs
PARAMETER_BYTES = 4
VOCABULARY = 30_522  # of BERT, for the size of a model
GLUE = "nyu-mll/glue"  # on the hub
# Rows of train there, by subset (Wang et al. 2019, arXiv 1804.07461): for plans without the data.
GLUE_ROWS = {
    **{"cola": 8551, "mnli": 392_702, "mrpc": 3668, "qnli": 104_743, "qqp": 363_846},
    **{"rte": 2490, "sst2": 67_349, "stsb": 5749, "wnli": 635},
}
# Tokens of a row there, by subset, as it is padded in a batch of like rows: the mean over 3,000
# rows of train (WNLI has 635), with BERT's tokenizer.
GLUE_TOKENS = {
    **{"cola": 18, "mnli": 47, "mrpc": 61, "qnli": 57, "qqp": 39},
    **{"rte": 73, "sst2": 22, "stsb": 36, "wnli": 44},
}


def seconds(
    runs: Sequence[Run], done: Mapping[str, Entry], gflops: float, cohort: int
) -> tuple[dict[str, float], float]:
    """Seconds that each run takes in its process, by uid, and operations that it does in one.

    A cell is a run but for its seed. A run of a cell with records takes their mean; the others
    what their operations need, at the median speed of the recorded runs.

    Args:
        runs: to be estimated, recorded or not.
        done: the index of the records.
        gflops: the speed while there is no record, in 10⁹ operations a second.
        cohort: how many runs share a teacher.
    """
    # A seed does not change how long a run takes: one record tells of its whole cell.
    measured: dict[str, list[float]] = {}
    speeds: list[float] = []
    operations: dict[str, float] = {}
    cells: dict[str, str] = {}
    for run in runs:
        cells[run.uid] = cell = _cell(run)
        if cell not in operations:
            operations[cell] = training_flops(run, cohort)
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
    return {uid: taken[cell] for uid, cell in cells.items()}, speed


def measured_cells(runs: Sequence[Run], done: Mapping[str, Entry]) -> tuple[int, int]:
    """How many cells have a record, and how many there are."""
    cells = {_cell(run) for run in runs}
    return len({_cell(run) for run in runs if run.uid in done}), len(cells)


def _cell(run: Run) -> str:
    """What a run's time depends on: all but its seed and the values of its losses' options."""
    terms = [(term.name, term.matching and term.matching.pairs) for term in run.terms]
    size = teacher_architecture(run) if terms else None
    return repr((run.student, run.task.name, run.data, run.train, run.protocol, terms, size))


def training_flops(run: Run, cohort: int) -> float:
    """Operations of a whole training: the student's steps, and its share of the teacher's in them.

    What a teacher is asked before the training is counted in `sweeps.plan.teachers`.
    """
    flops = TRAINING_STEP * _forward_flops(run, run.student)
    teacher = teacher_architecture(run)
    if teacher and len(row_terms(run)) < len(run.terms):
        flops += _forward_flops(run, teacher) / cohort
    return flops * _rows_in_batches(run)


def teacher_flops(run: Run) -> float:
    """Operations of the teacher's forward passes over the training rows, once each."""
    teacher = teacher_architecture(run)
    return _forward_flops(run, teacher) * training_rows(run) if teacher else 0.0


def steps_per_row(run: Run) -> float:
    """In how many batches a training row is, on average."""
    return _rows_in_batches(run) / training_rows(run)


def _rows_in_batches(run: Run) -> float:
    """Rows in all batches of a training: a transfer set shares the steps of the labelled rows."""
    labelled, _ = _rows(run.task, run.source, run.protocol, run.data)[0]
    return labelled * run.train.epochs * run.train.stop


def _forward_flops(run: Run, model: Architecture) -> float:
    """Operations of a forward pass over one row, as long as the task's rows are on average."""
    from kdlab.models.costs import inference_flops

    return inference_flops(model, _tokens(run))


def _tokens(run: Run) -> int:
    """About how many tokens a row has in its batch."""
    known = GLUE_TOKENS.get(str(run.source.knobs.get("subset")))
    return min(known or max(1, int(FILLED * run.task.max_length)), run.task.max_length)


def row_terms(run: Run) -> list[Term]:
    """The terms whose teacher is asked before the training, not in each step of it."""
    from kdlab.objective.objective import row_views

    # A trial that sees fewer rows than there are asks of those alone, in its steps.
    if steps_per_row(run) < 1:
        return []
    views = {view for view, _ in row_views(run)}
    return [term for term in run.terms if term.view in views]


def training_rows(run: Run) -> int:
    """Rows that a run trains on, those without a label included.

    Raises:
        BadInput: if the data does not have as many as the run asks for.
    """
    return sum(_rows(run.task, run.source, run.protocol, run.data)[0])


def uncounted(runs: Iterable[Run]) -> list[str]:
    """The tasks whose rows are not on this machine, so that published counts stand for them."""
    names = {r.task.name for r in runs if not _rows(r.task, r.source, r.protocol, r.data)[1]}
    return sorted(names)


@by_content  # reading a split takes seconds, and thousands of runs share it
def _rows(task: Task, source: Call, protocol: Protocol, data: Data) -> tuple[tuple[int, int], bool]:
    """Training rows with and without labels, and whether they were counted."""
    from kdlab.data import splits

    try:
        _, labelled, unlabelled = splits.everything(task, source.bind()(), protocol, data)
    except BadInput:
        published = GLUE_ROWS.get(str(source.knobs.get("subset")))
        if published is None or source.knobs.get("path") != GLUE:
            raise
        return _rows_of(published, protocol, data), False
    return (len(labelled), len(unlabelled)), True


def _rows_of(train: int, protocol: Protocol, data: Data) -> tuple[int, int]:
    """Training rows of a train split, but for the few that are in select or report as well."""
    held_out = protocol.select_on == "held_out"
    fit = train - (min(int(protocol.select * train), protocol.select_max) if held_out else 0)
    labelled = min(data.rows or fit, fit)
    rest = fit - labelled
    if data.fold:
        labelled, rest = (rows * (data.fold[1] - 1) // data.fold[1] for rows in (labelled, rest))
    return labelled, 0 if data.transfer == "same" else data.extra_rows or rest


def model_bytes(run: Run) -> int:
    """About how many bytes a student's weights take: its layers and its word embeddings."""
    student = run.student
    # Attention has four matrices of hidden x hidden, the feed-forward part two.
    layer = 4 * student.hidden**2 + 2 * student.hidden * student.intermediate
    return PARAMETER_BYTES * (student.layers * layer + VOCABULARY * student.hidden)
