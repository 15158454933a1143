"""One evaluation of a term on random tensors of the real widths, before any work."""

from dataclasses import replace
from functools import lru_cache

import torch

from kdlab.architecture import Architecture
from kdlab.comparison import Comparison, Moment
from kdlab.remembered import by_content
from kdlab.run import Term, layers_of
from kdlab.trace import Heads, Trace

ROWS, TOKENS = 3, 4  # angles need three rows
VOCABULARY = 30_000  # of a language model, about: its tokenizer may not be made yet


def rehearse(
    term: Term, student: Architecture, teacher: Architecture, classes: int | None, batch_size: int
) -> None:
    """Raise ValueError where the loss cannot compare these two; without classes, of masked-LM."""
    # One pair speaks for all, unless they meet; weights may differ in thousands of runs.
    together = term.weigh or term.mix == "features" or layers_of(term.view) == "layers"
    pairs = term.pairs if together or not term.pairs else term.pairs[:1]
    alike = replace(term, pairs=pairs, weight=1.0, schedules={}, projection_lr=None)
    found = _compare(alike, student, teacher, classes, ROWS)
    if batch_size < ROWS and found and not _compare(alike, student, teacher, classes, batch_size):
        raise ValueError(f"it compares rows: always zero with train.batch_size={batch_size}")


@by_content
def _compare(
    term: Term, student: Architecture, teacher: Architecture, classes: int | None, rows: int
) -> float:
    ours, theirs = _trace(student, classes, rows, 0), _trace(teacher, classes, rows, 1)
    comparison = Comparison(term, student, teacher, classes, seed=0)
    if term.projection != "none":
        view = comparison.view(ours, *(term.pairs or [()])[0][:1])[0]
        if view.shape[-1] != student.hidden:
            raise ValueError(f"projection: {term.projection} is for hidden states")
        if comparison.readouts and view.ndim != 2:  # the labels are of rows
            raise ValueError("projection: classes is for one state a row: kdlab.views.cls")
    with torch.no_grad():
        moment = Moment(step=0, epoch=0, progress=0.0)
        loss = comparison(ours, theirs, moment, taught=torch.sum)
    if loss.shape != () or not torch.isfinite(loss):
        raise ValueError(f"{term.loss.target} does not give one finite number")
    return loss.item()


@lru_cache(maxsize=256)
def _trace(model: Architecture, classes: int | None, rows: int, seed: int) -> Trace:
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    hidden = tuple(random(rows, TOKENS, model.hidden) for _ in range(model.layers + 1))
    shape = (rows, model.heads, TOKENS, model.hidden // model.heads)
    heads = Heads(random(*shape), random(*shape), random(*shape), 1.0)
    return Trace(
        random(rows, classes or VOCABULARY),
        hidden,
        dict.fromkeys(range(1, model.layers + 1), heads),
        torch.ones(rows, TOKENS, dtype=torch.bool),
        None if classes else torch.ones(rows, dtype=torch.bool),
    )
