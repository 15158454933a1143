"""One evaluation of a term on random tensors of the real widths, before any work."""

from functools import lru_cache

import torch

from kdlab.architecture import Architecture
from kdlab.build import Call, function
from kdlab.remembered import by_content
from kdlab.run import Term
from kdlab.trace import Heads, Trace

ROWS, TOKENS = 2, 4
VOCABULARY = 30_000  # of a language model, about: its tokenizer may not be made yet


def rehearse(term: Term, student: Architecture, teacher: Architecture, classes: int | None) -> None:
    """Raise ValueError where the loss cannot compare these two; without classes, of masked-LM."""
    pair = term.pairs[0] if term.pairs else ()
    _compare(term.loss, term.view, term.projection, pair, student, teacher, classes)


@by_content  # without a term's weight, which thousands of runs may have of their own
def _compare(
    call: Call,
    view: str,
    projection: str,
    pair: tuple[int, ...],
    student: Architecture,
    teacher: Architecture,
    classes: int | None,
) -> None:
    look = function(view)
    ours, mask = look(_trace(student, classes), *pair[:1])
    theirs, _ = look(_trace(teacher, classes), *pair[1:])
    if projection == "auto" and ours.shape[-1] != student.hidden:
        raise ValueError("projection: auto is for hidden states")
    if projection == "auto" and ours.shape[-1] != theirs.shape[-1]:
        ours = theirs
    loss = call.bind()(ours, theirs, mask)
    if loss.shape != () or not torch.isfinite(loss):
        raise ValueError(f"{call.target} does not give one finite number")


@lru_cache(maxsize=256)
def _trace(model: Architecture, classes: int | None) -> Trace:
    generator = torch.Generator().manual_seed(model.hidden)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    hidden = tuple(random(ROWS, TOKENS, model.hidden) for _ in range(model.layers + 1))
    shape = (ROWS, model.heads, TOKENS, model.hidden // model.heads)
    heads = Heads(random(*shape), random(*shape), random(*shape), 1.0)
    return Trace(
        random(ROWS, classes or VOCABULARY),
        hidden,
        dict.fromkeys(range(1, model.layers + 1), heads),
        torch.ones(ROWS, TOKENS, dtype=torch.bool),
        None if classes else torch.ones(ROWS, dtype=torch.bool),
    )
