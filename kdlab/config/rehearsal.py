"""One evaluation of a term on random tensors of the real widths, before any work."""

from dataclasses import replace
from functools import lru_cache

import torch

from kdlab.architecture import Architecture
from kdlab.errors import BadInput, Misfit
from kdlab.models.trace import Heads, Trace
from kdlab.objective.term_loss import Moment, TermLoss
from kdlab.options.memo import by_content
from kdlab.run import Term

ROWS, TOKENS = 2, 4
HEADS = ("query", "key", "value")
VOCABULARY = 30_000  # of a language model, about: its tokenizer may not be made yet


def rehearse(
    term: Term,
    student: Architecture,
    teacher: Architecture,
    classes: int | None,
    is_frozen: bool,
) -> None:
    """Evaluate a term once.

    Args:
        term: what is compared.
        student, teacher: the dimensions of both.
        classes: of the task; None of masked-LM.
        is_frozen: the student's encoder learns nothing.

    Raises:
        Misfit: the loss cannot compare these two, or they would learn nothing from it.
        BadInput: the option or its function cannot be right anywhere.
    """
    # What changes no shape is taken out, so that the memo of `_compare` serves thousands of runs:
    # weights and rates, and all pairs but one where each is compared by itself.
    matching, projection = term.matching, term.projection
    if matching and not (matching.is_mixed or matching.stacked):
        matching = replace(matching, pairs=matching.pairs[:1])
    if projection:
        projection = replace(projection, lr=None)
    alike = replace(term, matching=matching, projection=projection, weight=1.0, schedules={})
    _compare(alike, student, teacher, classes, is_frozen)


@by_content
def _compare(
    term: Term,
    student: Architecture,
    teacher: Architecture,
    classes: int | None,
    is_frozen: bool,
) -> None:
    ours, theirs = _learning(_trace(student, classes), is_frozen), _trace(teacher, classes)
    comparison = TermLoss(term, student, teacher, seed=0).requires_grad_(False)
    if term.projection_rule != "none":
        layer = term.matching.pairs[0][:1] if term.matching else ()
        _check_projected(term, comparison.view(ours, *layer)[0], student)
    moment = Moment(step=0, epoch=0, progress=0.0)
    loss = comparison(ours, theirs, moment, task_loss=torch.sum)
    if not isinstance(loss, torch.Tensor) or loss.shape != () or not torch.isfinite(loss):
        raise BadInput(f"{term.loss.target} gives {loss!r:.80}: a loss is one finite number")
    if not loss.requires_grad and is_frozen:
        raise Misfit("it teaches the encoder, which train.freeze_encoder=true keeps as it is")
    if not loss.requires_grad:
        raise BadInput(f"{term.loss.target} does not depend on the student: nothing is taught")


def _check_projected(term: Term, view: torch.Tensor, student: Architecture) -> None:
    if view.shape[-1] != student.hidden:
        raise BadInput(f"projection: {term.projection_rule} is for hidden states")
    if term.projection_rule == "classes" and view.ndim != 2:
        raise BadInput(
            "projection: classes is for one state a row, such as view: kdlab.objective.views.cls"
        )


def _learning(trace: Trace, is_frozen: bool) -> Trace:
    """A student's trace, whose gradient reaches what learns: outputs, and states if they do."""
    logits = trace.logits.detach().requires_grad_()
    if is_frozen:
        return replace(trace, logits=logits)
    hidden = tuple(states.detach().requires_grad_() for states in trace.hidden)
    heads = {}
    for layer, own in trace.heads.items():
        parts = {key: getattr(own, key).detach().requires_grad_() for key in HEADS}
        heads[layer] = replace(own, **parts)
    return replace(trace, logits=logits, hidden=hidden, heads=heads)


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
