"""Updates recorded as CUDA graphs and replayed, the students of a cohort side by side.

An update of a small student is about a thousand operations, each of which a GPU does in a few
microseconds. To launch them one by one takes the CPU longer than that, so that the GPU idles most
of the time. A CUDA graph is a recording of such launches that is launched as a whole: the CPU is
free within some hundred microseconds, and hands the GPU the next student's update meanwhile, which
runs beside the first on the parts of the GPU that this leaves idle.

A recording holds addresses and numbers, not Python: what it reads must stay where it is, and what
Python decides must be the same at every replay. Therefore

- batches are padded to few lengths (`kdlab.data.tokens.PAD_TO`), and those of one shape are copied
  into the same tensors, with what teachers say of them;
- the first update of a shape is made as usual, the second is recorded, the others are replayed;
- updates at which something is read (an evaluation, gradient shares) are made as usual;
- students whose losses change with time, or are of a varying number of tokens, are not recorded
  (`kdlab.run.has_like_updates`); nor is one whose recording fails, because a loss reads values.

Operations, their order and their random numbers are those of the usual update.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kdlab.device import RandomState, running_together
from kdlab.ending import say
from kdlab.run import has_like_updates
from kdlab.training import student_state
from kdlab.training.student_state import Batch, StudentState

Replay = Callable[[], None]
Key = tuple[Any, ...]  # of batches of one shape for which the teacher's pass looks at the same


@dataclass
class Recorder:
    """Where one student's updates, or the teacher's passes, are recorded and replayed.

    Attributes:
        stream: of the GPU's work, beside those of others.
        pool: the memory of all its graphs, of which only one runs at a time.
        random: from which recorded operations draw; None: they draw nothing.
    """

    stream: Any
    pool: Any
    random: RandomState | None

    def record(self, body: Callable[[], None]) -> Replay:
        """Record what a function does on the GPU, where nothing is done yet."""
        graph = torch.cuda.CUDAGraph()
        if self.random and self.random.gpu:
            graph.register_generator_state(self.random.gpu)
        self.stream.wait_stream(torch.cuda.current_stream())
        # Not `torch.cuda.graph`, which collects garbage and empties PyTorch's cache of memory every
        # time: that takes longer than the recording.
        with torch.cuda.stream(self.stream):
            graph.capture_begin(pool=self.pool)
            try:
                body()
            except BaseException:
                with suppress(RuntimeError):  # the recording has been given up already
                    graph.capture_end()
                raise
            graph.capture_end()

        def replay() -> None:
            with torch.cuda.stream(self.stream):
                graph.replay()

        return replay

    def follow(self) -> None:
        """Let this stream wait for what the current one has been given."""
        self.stream.wait_stream(torch.cuda.current_stream())

    def join(self) -> None:
        """Let the current stream wait for what this one has been given."""
        torch.cuda.current_stream().wait_stream(self.stream)


def cuda_recorder(device: torch.device, random: RandomState | None) -> Recorder:
    """A recorder with a stream and memory of its own on a GPU."""
    # cuBLAS has a workspace for each stream: two graphs of one stream that ran at the same time
    # would write into the same one. And graphs of one pool reuse each other's memory.
    return Recorder(torch.cuda.Stream(device), torch.cuda.graph_pool_handle(), random)


@dataclass
class StepGraphs:
    """What is recorded of a cohort.

    Attributes:
        recorders: of each student that can be recorded, by uid.
        of_teacher: of the teacher's passes.
        batches: by key, the tensors that updates of that key read.
        passes: by key, the replay of the teacher's pass.
        updates: by uid and key, the replay of a student's update.
    """

    recorders: dict[str, Any]
    of_teacher: Any
    batches: dict[Key, Batch] = field(default_factory=dict)
    passes: dict[Key, Replay] = field(default_factory=dict)
    updates: dict[tuple[str, Key], Replay] = field(default_factory=dict)


def step_graphs(
    students: Sequence[StudentState],
    teachers: int,
    recorder: Callable[[torch.device, RandomState | None], Any] = cuda_recorder,
) -> StepGraphs | None:
    """Nothing recorded yet; None of a cohort of which nothing can be recorded.

    Args:
        students: of one cohort.
        teachers: how many; a batch that is split among several is split differently every time.
        recorder: makes what records.
    """
    chosen = [s for s in students if teachers < 2 and has_like_updates(s.run)]
    if not chosen:
        return None
    return StepGraphs(
        {s.run.uid: recorder(s.device, s.random) for s in chosen},
        recorder(students[0].device, None),
    )


def kept(graphs: StepGraphs, key: Key, batch: Batch) -> Batch:
    """A batch in the tensors that updates of its key read; of a new key those that it has."""
    if key not in graphs.batches:
        graphs.batches[key] = batch
        return batch
    there = graphs.batches[key]
    # Copied behind what was queued before: every replay of the last update was waited for.
    for target, source in zip(_tensors(there), _tensors(batch), strict=True):
        target.copy_(source)
    there.is_known = True
    return there


def _tensors(batch: Batch) -> list[Tensor]:
    of_names: list[Mapping[Any, Tensor]] = [batch.inputs, batch.teacher_rows]
    return [batch.labels, *(tensor for each in of_names for tensor in each.values())]


def ask_teacher(graphs: StepGraphs, key: Key, batch: Batch, ask: Callable[[], None]) -> None:
    """Fill in the teacher's pass over a batch with `ask`, or by the replay of what that did."""
    recorder = graphs.of_teacher
    if not batch.is_known or not graphs.recorders:
        ask()
        return
    if key not in graphs.passes:
        # The trace that `ask` puts into the batch while it is recorded is what replays fill anew.
        try:
            graphs.passes[key] = recorder.record(ask)
        except RuntimeError as error:
            graphs.recorders.clear()  # whose updates would read what is filled in anew each time
            say(f"no CUDA graphs, as the teacher cannot be recorded: {_first_line(error)}")
            ask()
            return
    recorder.follow()
    graphs.passes[key]()
    recorder.join()


def update_together(
    graphs: StepGraphs, key: Key, students: Sequence[StudentState], batch: Batch, is_read: bool
) -> list[StudentState]:
    """Update, side by side, all students that can be recorded; return the others.

    Args:
        graphs: of the cohort; what is recorded is added.
        key: of the batch.
        students: who has to make this update.
        batch: as `kept` returns it, with the teacher's pass.
        is_read: as in `student_state.update`.
    """
    # All are recorded before the first is replayed: while it records, the CPU would keep the GPU
    # waiting for the second student's replay.
    replays: dict[str, Replay] = {}
    for student in students:
        uid = student.run.uid
        is_plain = student_state.is_watched(student, is_read) or not batch.is_known
        if uid in graphs.recorders and not is_plain:
            replay = graphs.updates.get((uid, key)) or _recorded(graphs, key, student, batch)
            if replay:
                replays[uid] = replay
    together = [s for s in students if s.run.uid in replays]
    if together:
        with running_together([s.clock for s in together]):
            _replay(graphs, replays)
    for student in together:
        # What a graph does not do: it holds nothing of Python.
        student.step += 1
        student.scheduler.step()
    return [s for s in students if s.run.uid not in replays]


def _replay(graphs: StepGraphs, replays: Mapping[str, Replay]) -> None:
    for uid, replay in replays.items():
        graphs.recorders[uid].follow()
        replay()
    # Before anything else is done: the next batch takes the place of this one.
    for uid in replays:
        graphs.recorders[uid].join()


def _recorded(graphs: StepGraphs, key: Key, student: StudentState, batch: Batch) -> Replay | None:
    """The replay of a student's update, now recorded; None if it cannot be."""
    uid = student.run.uid

    def body() -> None:
        _, total = student_state.counted_losses(student, batch)
        student_state.descend(student, total, student.step + 1)

    groups = student.optimizer.param_groups
    # Should the recording fail, its generator would be left in the midst of it.
    spare = student.random.copy()
    try:
        # PyTorch wants to be told, and otherwise warns of what is told it.
        for group in groups:
            group["capturable"] = student.device.type == "cuda"
        graphs.updates[uid, key] = graphs.recorders[uid].record(body)
    except RuntimeError as error:
        del graphs.recorders[uid]
        student.random = spare
        say(f"run {uid} trains without CUDA graphs: {_first_line(error)}")
        return None
    finally:
        for group in groups:
            group["capturable"] = False
    return graphs.updates[uid, key]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
