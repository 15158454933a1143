"""How much memory a cohort takes at its peak, before it trains, and how many runs fit a device.

What a cohort holds all the time are its teacher's weights and, for each student, weights, gradients
and the two moments of AdamW. Students make their steps one after the other, so that what a forward
pass keeps for its backward pass is there once: for the student that keeps most. But students whose
updates are recorded (`kdlab.training.step_graphs`) make them side by side, and each keeps its own.
The peak is the largest of five moments (`Phases`).

On a GPU the number is that of `torch.cuda.max_memory_allocated`, the bytes of tensors, which a
record calls `peak_memory`; on a CPU that of the whole process. Rows are taken to be as long as they
get. tests/benchmarks/memory.py compares predictions with measured peaks.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from kdlab.errors import BadInput
from kdlab.run import Run
from sweeps.launchers.choice import Launcher
from sweeps.plan import student_memory
from sweeps.plan.student_memory import Student

GIGABYTE = 1e9
SHARE = 0.8  # of a device's memory that a cohort may be predicted to take
# Of a process on a CPU, as tests/benchmarks/memory.py measured them: bytes of Python with torch and
# transformers, and what its heap takes for each byte of tensors, as it leaves gaps.
PROCESS, HEAP = 0.7e9, 1.15
COPIES = 2  # of a checkpoint's bytes, while its digest is put at their end
# Bytes of cuBLAS, as kdlab.device sets it, on a GPU: for forward and for backward passes, which
# are made by two threads, and again for each student whose updates are recorded.
WORKSPACE = 2 * 8 * 4096 * 1024
Fits = Callable[[Sequence[Run]], bool]
Sizes = dict[Hashable, Student]  # by `student_memory.shape`


@dataclass(frozen=True)
class Phases:
    """The bytes of a cohort at the moments at which its peak may be.

    Attributes:
        asking: the teacher goes over rows, before the training.
        teaching: its forward pass in a step.
        step: forward and backward pass of the student that keeps most, and of those recorded.
        scoring: a student is scored, or its best weights are kept.
        saving: a checkpoint is written; a GPU has no part in it.
    """

    asking: float
    teaching: float
    step: float
    scoring: float
    saving: float

    @property
    def tensors(self) -> float:
        """The most that tensors take."""
        return max(self.asking, self.teaching, self.step, self.scoring)

    @property
    def peak(self) -> float:
        """The most that anything takes."""
        return max(self.tensors, self.saving)


@dataclass(frozen=True)
class Largest:
    """The cohort that takes most.

    Attributes:
        cohort: its runs.
        bytes_on_gpu: that it takes on a GPU; None where it is told to use none.
        bytes_on_cpu: that its process takes on a CPU; None where it is told to use a GPU.
    """

    cohort: Sequence[Run]
    bytes_on_gpu: float | None
    bytes_on_cpu: float | None


def phases(
    cohort: Sequence[Run], on_gpu: bool, sizes: Sizes | None = None, graphs: bool = True
) -> Phases:
    """What a cohort takes.

    Args:
        cohort: runs that share batches and a teacher, at least one.
        on_gpu: whether it trains on a GPU.
        sizes: of students of the same kind of device, by shape: others are added to them.
        graphs: whether a GPU replays recorded updates.
    """
    return _phases(_students(cohort, on_gpu, {} if sizes is None else sizes), on_gpu, graphs)


def peak(
    cohort: Sequence[Run], on_gpu: bool, sizes: Sizes | None = None, graphs: bool = True
) -> float:
    """The bytes that a cohort takes at its peak: as a record has them in `peak_memory`.

    Arguments as those of `phases`.
    """
    taken = phases(cohort, on_gpu, sizes, graphs).peak
    return taken if on_gpu else PROCESS + HEAP * taken


def _phases(students: Sequence[Student], on_gpu: bool, graphs: bool) -> Phases:
    fixed = float(WORKSPACE if on_gpu else 0)
    asking = teaching = shown = 0.0
    if teacher := next((s.teacher for s in students if s.teacher), None):
        fixed += teacher.weights
        asking = teacher.asking
        if not on_gpu:  # what it said of all rows: a GPU is given the rows of a batch
            said: dict[str, float] = {}
            for student in students:
                said |= student.said
            fixed += sum(said.values())
        if traced := [student for student in students if student.depth is not None]:
            layers = frozenset[int]().union(*(student.layers for student in traced))
            depth = max(student.depth or 0 for student in traced)
            shown = (depth + 1) * teacher.state + len(layers) * teacher.heads
            teaching = teacher.passing
    held = fixed + sum(student.held for student in students)
    return Phases(
        asking=fixed + sum(student.weights for student in students) + asking,
        teaching=held + shown + teaching,
        step=held + shown + _steps(students, graphs),
        scoring=held + max(student.scoring for student in students),
        saving=0.0 if on_gpu else held + COPIES * max(student.checkpoint for student in students),
    )


def _steps(students: Sequence[Student], graphs: bool) -> float:
    """What steps take beside what is held: before they are recorded, every student's once."""
    recorded = [student.step + WORKSPACE for student in students if graphs and student.is_recorded]
    return sum(recorded) + max(student.step for student in students)


def largest(cohorts: Iterable[Sequence[Run]], device: str, graphs: bool = True) -> Largest | None:
    """The cohort that takes most at its peak; None of no cohorts.

    Args:
        cohorts: of a plan.
        device: `auto`, `cpu` or `cuda`, as `Execution.device`; of `auto` a GPU counts.
        graphs: whether a GPU replays recorded updates.
    """
    # A seed changes no size: most cohorts have the shapes of another.
    distinct = list(
        {tuple(map(student_memory.shape, cohort)): cohort for cohort in cohorts}.values()
    )
    if not distinct:
        return None
    on_gpu = device != "cpu"
    sizes: Sizes = {}
    most = max(distinct, key=lambda cohort: peak(cohort, on_gpu, sizes, graphs))
    return Largest(
        cohort=most,
        bytes_on_gpu=peak(most, on_gpu, sizes, graphs) if on_gpu else None,
        bytes_on_cpu=peak(most, on_gpu=False) if device != "cuda" else None,
    )


def limit(launcher: Launcher) -> Fits | None:
    """Whether a cohort fits the device of a launcher's tasks; None where its memory is not known.

    A launcher's `device_memory_gb` is of its GPU; with `device=cpu` of what a process may take.
    """
    room, on_gpu = launcher.keys.device_memory_gb, launcher.device != "cpu"
    if room is None:
        return None
    most = SHARE * room * GIGABYTE
    sizes: Sizes = {}

    def fits(cohort: Sequence[Run]) -> bool:
        taken = peak(cohort, on_gpu, sizes, launcher.cuda_graphs)
        if taken > most and len(cohort) == 1:
            raise BadInput(_too_large(cohort[0], taken, room))
        return taken <= most

    return fits


def _too_large(run: Run, taken: float, room: float) -> str:
    return (
        f"launcher.device_memory_gb={room:g}: run {run.uid[:6]} ({named(run)}) takes about "
        f"{taken / GIGABYTE:.2g} GB by itself, and plans fill {SHARE:.0%} of a device: allow it a "
        "larger one, a smaller train.batch_size or task.max_length, or cuda_graphs=false"
    )


def named(run: Run) -> str:
    """A run by what its memory depends on most."""
    model = run.student
    return (
        f"{model.family} l{model.layers}_h{model.hidden}_a{model.heads} on {run.task.name}, "
        f"batches of {run.train.batch_size}"
    )


def _students(cohort: Sequence[Run], on_gpu: bool, sizes: Sizes) -> list[Student]:
    """The students of a cohort; `sizes` has those whose shape was met before."""
    students = []
    for run in cohort:
        key = student_memory.shape(run)
        if key not in sizes:
            sizes[key] = student_memory.student(run, on_gpu)
        students.append(sizes[key])
    return students
