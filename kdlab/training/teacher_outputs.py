"""What a teacher says of rows, computed once and kept for all runs that learn from it.

A view that is one vector a row, such as logits or the [CLS] state after a layer
(`kdlab.objective.views.of_rows`), follows from the teacher and the row: neither seeds nor students
change it. Therefore a teacher goes over the training rows once, and not in every epoch of every
cohort. What it said is kept under

    teacher_outputs/<teacher>/<block>.<view>.npy

where `<teacher>` is a digest of the teacher's weights and of what else its numbers depend on
(precision, device, threads, versions), `<block>` one of the tokens of up to 2,048 rows, and
`<view>` the function's name with a digest of its code. So an entry can be neither stale nor another
task's; a smaller `data.rows` shares the blocks that lie within it. Several processes fill the store
together, each the blocks that no other one is at.

A file has a digest at its end, which is checked at a process's first read; a damaged one is
computed anew. The folder may be deleted at any time.

A row's outputs depend in their last bits on the rows that it is computed beside, as sums are added
in another order for another shape. Runs whose terms all compare such views therefore always take
them as computed here, block by block, kept or not: a result is the same bit for bit whether the
store was there before.
"""

import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import Timeout
from torch import Tensor
from tqdm import tqdm

from kdlab.data.tokens import Encoded, batch, scoring_batches
from kdlab.device import Clock, moved
from kdlab.models.trace import Trace, trace
from kdlab.objective.term_loss import RowView
from kdlab.options.callables import function
from kdlab.storage import durable, locks, teacher_files
from kdlab.training.stopping import Stopped, stop

BLOCK = 2048  # rows of a file
ROWS = 64  # of a forward pass

Arrays = dict[str, np.ndarray]  # by view: [n, d], or [n, layers, d]


@dataclass(frozen=True)
class Source:
    """A teacher as the store knows it.

    Attributes:
        load: gives its model, which need not be loaded where all is kept already.
        digest: of its weights, and of what else its outputs depend on.
        device: where it computes.
        precision: `fp32` or `bf16`, of its forward pass and of what is kept.
        root: the folder that has the store.
        budget: bytes that the store may have, of all teachers together.
        clock: the seconds that it computed.
    """

    load: Callable[[], Any]
    digest: str
    device: torch.device
    precision: str
    root: str
    budget: float
    clock: Clock


@dataclass(frozen=True)
class RowOutputs:
    """Views of teachers at the rows of a split.

    Attributes:
        blocks: views by their names, block by block; files that are mapped into memory, or arrays.
        block, offset: [rows], the block of each row, and where in it.
    """

    blocks: Sequence[Arrays]
    block: np.ndarray
    offset: np.ndarray

    def at(
        self, rows: np.ndarray, views: Collection[RowView], device: torch.device
    ) -> dict[RowView, Tensor]:
        """Some views of the rows at some positions, [b, d] each."""
        return {view: moved(self._gathered(rows, *view), device) for view in views}

    def _gathered(self, rows: np.ndarray, name: str, layer: int | None) -> Tensor:
        blocks, offsets = self.block[rows], self.offset[rows]
        like = self.blocks[0][name]
        values = np.empty((len(rows), like.shape[-1]), dtype=like.dtype)
        for number in np.unique(blocks):
            here = blocks == number
            at = (offsets[here],) if layer is None else (offsets[here], layer - 1)
            values[here] = self.blocks[number][name][at]
        tensor = torch.from_numpy(values)
        return tensor.view(torch.bfloat16) if values.dtype == np.int16 else tensor


def row_outputs(
    sources: Sequence[Source], data: Encoded, views: Collection[RowView], folds: bool
) -> list[RowOutputs]:
    """Views of teachers at rows, read from the store; what it lacks is computed and kept.

    Args:
        sources: the teachers, in order of their folds.
        data: the rows.
        views: that are needed; of a view with layers all layers are kept.
        folds: whether each row is shown to the teacher of its fold alone; else to all teachers.

    Returns:
        With folds one item for all teachers, else one for each.
    """
    rows = np.arange(len(data.labels))
    if not folds:
        return [_located(len(rows), [(rows, source)], data, views) for source in sources]
    parts = [(rows[fold :: len(sources)], source) for fold, source in enumerate(sources)]
    return [_located(len(rows), parts, data, views)]


def _located(
    rows: int,
    parts: Sequence[tuple[np.ndarray, Source]],
    data: Encoded,
    views: Collection[RowView],
) -> RowOutputs:
    blocks: list[Arrays] = []
    block, offset = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    for positions, source in parts:
        for start in range(0, len(positions), BLOCK):
            within = positions[start : start + BLOCK]
            block[within] = len(blocks) + start // BLOCK
            offset[within] = np.arange(len(within))
        blocks += _blocks(source, data, positions, views)
    return RowOutputs(blocks, block, offset)


def _blocks(
    source: Source, data: Encoded, positions: np.ndarray, views: Collection[RowView]
) -> list[Arrays]:
    """The views of rows, block by block."""
    rows = [positions[start : start + BLOCK] for start in range(0, len(positions), BLOCK)]
    names = [_block_digest(data, of_block) for of_block in rows]
    blocks = [_read(source, name, views) for name in names]
    missing = [number for number, block in enumerate(blocks) if block is None]
    with _progress_bar(sum(len(rows[number]) for number in missing)) as bar:
        # At first only blocks that no other process is at; those it has done when their turn comes.
        for patience in (0, -1):
            for number in [n for n in missing if blocks[n] is None]:
                lock = locks.lock(source.root, f"{source.digest}-{names[number]}")
                with suppress(Timeout), lock.acquire(timeout=patience):
                    blocks[number] = _read(source, names[number], views) or _computed(
                        source, data, rows[number], names[number], views
                    )
                    bar.update(len(rows[number]))
    return [block for block in blocks if block is not None]


def _computed(
    source: Source, data: Encoded, rows: np.ndarray, name: str, views: Collection[RowView]
) -> Arrays:
    """The views of a block's rows, which are kept if there is room for them."""
    model = source.load()
    parts: dict[str, list[Tensor]] = {}
    order = scoring_batches(tuple(data.lengths[rows].tolist()), ROWS)
    with source.clock.running():
        for within in order:
            if stop.is_set():  # soon enough for a task that is preempted; earlier blocks are kept
                raise Stopped("stopped while the teacher was asked of the training rows")
            for view, values in _of_batch(source, model, data, rows[within], views):
                parts.setdefault(view, []).append(values)
    back = np.argsort(np.concatenate(order))
    arrays = {view: torch.cat(values).numpy()[back] for view, values in parts.items()}
    for view, array in arrays.items():
        teacher_files.keep(source.root, _path(source, name, view), array, source.budget)
    return arrays


def _of_batch(
    source: Source, model: Any, data: Encoded, rows: np.ndarray, views: Collection[RowView]
) -> Iterator[tuple[str, Tensor]]:
    """The views of a few rows, by name, as they are kept."""
    is_bf16 = source.precision == "bf16"
    with torch.no_grad():
        with torch.autocast(source.device.type, torch.bfloat16, enabled=is_bf16):
            outputs = trace(model, batch(data, rows, source.device), frozenset())
        for view, has_layers in _names(views).items():
            values = _all_layers(view, outputs) if has_layers else function(view)(outputs)[0]
            # NumPy has no bfloat16: its bits are kept as integers.
            kept = values.bfloat16().view(torch.int16) if is_bf16 else values.float()
            yield view, kept.cpu()


def _all_layers(view: str, outputs: Trace) -> Tensor:
    """A view of every layer [b, layers, d]: what one run takes, another takes of other layers."""
    layers = range(1, len(outputs.hidden))
    return torch.stack([function(view)(outputs, layer)[0] for layer in layers], dim=1)


def _names(views: Collection[RowView]) -> dict[str, bool]:
    """The views by name, and whether they have layers."""
    return {name: layer is not None for name, layer in sorted(views, key=str)}


def _read(source: Source, block: str, views: Collection[RowView]) -> Arrays | None:
    """The views of a block as they were kept; None if one of them is not there, or damaged."""
    arrays = {}
    for view in _names(views):
        array = teacher_files.read(_path(source, block, view))
        if array is None:
            return None
        arrays[view] = array
    return arrays


def _path(source: Source, block: str, view: str) -> Path:
    name = f"{block}.{view}-{_code(view)}.npy"
    return Path(source.root) / teacher_files.FOLDER / source.digest / name


@cache
def _code(view: str) -> str:
    """A digest of a view's function: who changes it has the teacher asked anew."""
    return durable.short_digest(inspect.getsource(function(view)).encode())[:8]


def _block_digest(data: Encoded, rows: np.ndarray) -> str:
    """A digest of rows' tokens, in their order."""
    columns = [
        np.concatenate([data.row(name, row) for row in rows]).astype("<i4")
        for name in sorted(data.features)
    ]
    content = [data.lengths[rows].astype("<i4"), *columns]
    return durable.short_digest(b"".join(array.tobytes() for array in content))


def _progress_bar(rows: int) -> Any:
    return tqdm(total=rows, unit="row", desc="teacher outputs", leave=False, disable=rows < BLOCK)
