"""One evaluation of a term on random tensors of the real widths, before any work."""

from dataclasses import replace
from functools import lru_cache

import torch

from kdlab.architecture import Architecture
from kdlab.comparison import Comparison, Moment
from kdlab.remembered import by_content
from kdlab.run import Term, layers_of
from kdlab.trace import Heads, Trace

ROWS, TOKENS = 2, 4


def rehearse(term: Term, student: Architecture, teacher: Architecture, classes: int) -> None:
    """Raise ValueError where the loss cannot compare these two architectures."""
    # One pair speaks for all, unless they meet; weights may differ in thousands of runs.
    together = term.weigh or term.mix == "features" or layers_of(term.view) == "layers"
    pairs = term.pairs if together or not term.pairs else term.pairs[:1]
    alike = replace(term, pairs=pairs, weight=1.0, schedules={}, projection_lr=None)
    _compare(alike, student, teacher, classes)


@by_content
def _compare(term: Term, student: Architecture, teacher: Architecture, classes: int) -> None:
    ours, theirs = _trace(student, classes), _trace(teacher, classes)
    comparison = Comparison(term, student, teacher, seed=0)
    if term.projection != "none":
        width = comparison.view(ours, *(term.pairs or [()])[0][:1])[0].shape[-1]
        if width != student.hidden:
            raise ValueError(f"projection: {term.projection} is for hidden states")
    with torch.no_grad():
        loss = comparison(ours, theirs, Moment(step=0, epoch=0, progress=0.0))
    if loss.shape != () or not torch.isfinite(loss):
        raise ValueError(f"{term.loss.target} does not give one finite number")


@lru_cache(maxsize=256)
def _trace(model: Architecture, classes: int) -> Trace:
    generator = torch.Generator().manual_seed(model.hidden)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    hidden = tuple(random(ROWS, TOKENS, model.hidden) for _ in range(model.layers + 1))
    shape = (ROWS, model.heads, TOKENS, model.hidden // model.heads)
    heads = Heads(random(*shape), random(*shape), random(*shape), 1.0)
    return Trace(
        random(ROWS, classes),
        hidden,
        dict.fromkeys(range(1, model.layers + 1), heads),
        torch.ones(ROWS, TOKENS, dtype=torch.bool),
    )
