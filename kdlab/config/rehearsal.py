"""One evaluation of a term on random tensors of the real widths, before any work.

What a loss can compare, the loss itself knows best. So it is asked, rather than described a second
time in rules: whatever raises here would have raised in the first step of training.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Literal

import torch

from kdlab.encoders.architecture import Architecture
from kdlab.errors import BadInput, Misfit
from kdlab.models.attention_heads import Heads
from kdlab.models.trace import Trace
from kdlab.objective.term_loss import Moment, TermLoss
from kdlab.options.memo import by_content
from kdlab.run import Run, Term

ROWS, TOKENS = 2, 4
Learns = Literal["all", "outputs", "nothing"]
VOCABULARY = 30_000  # of a language model, about: its tokenizer may not be made yet


def rehearse(term: Term, run: Run, teacher: Architecture) -> None:
    """Evaluate a term of a run once.

    Args:
        term: what is compared.
        run: whose student, task and training count.
        teacher: the teacher's dimensions.

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
    _compare(alike, run.student, teacher, run.task.classes, run.train.freeze_encoder)


@by_content
def _compare(
    term: Term,
    student: Architecture,
    teacher: Architecture,
    classes: int | None,
    is_frozen: bool,
) -> None:
    """Refuse a term whose loss is no number, or of which a student would learn nothing.

    Of a masked language model there are no `classes`; if `is_frozen`, the encoder learns nothing.
    """
    student_trace = _trace(student, classes, "outputs" if is_frozen else "all")
    teacher_trace = _trace(teacher, classes)
    # Without gradients of its own, so that a gradient of the loss can only come from the student.
    term_loss = TermLoss(term, student, teacher, seed=0).requires_grad_(False)
    if term.projection_rule != "none":
        layer = term.matching.pairs[0][:1] if term.matching else ()
        _check_projected(term, term_loss.view(student_trace, *layer)[0], student)
    moment = Moment(step=0, epoch=0, progress=0.0)
    loss = term_loss(student_trace, teacher_trace, moment, task_loss=torch.sum)
    if not isinstance(loss, torch.Tensor) or loss.shape != () or not torch.isfinite(loss):
        raise BadInput(f"{term.loss.target} gives {loss!r:.80}: a loss is one finite number")
    if not loss.requires_grad and is_frozen:
        raise Misfit("it teaches the encoder, which train.freeze_encoder=true keeps as it is")
    if not loss.requires_grad:
        raise BadInput(f"{term.loss.target} does not depend on the student: nothing is taught")


def _check_projected(term: Term, view: torch.Tensor, student: Architecture) -> None:
    """Refuse a projection of a view that is no hidden states of the student."""
    if view.shape[-1] != student.hidden:
        raise BadInput(f"projection: {term.projection_rule} is for hidden states")
    if term.projection_rule == "classes" and view.ndim != 2:
        raise BadInput(
            "projection: classes is for one state a row, such as view: kdlab.objective.views.cls"
        )


@lru_cache(maxsize=256)
def _trace(model: Architecture, classes: int | None, learns: Learns = "nothing") -> Trace:
    """A forward pass that never happened: random numbers in the shapes of this architecture.

    They have gradients where the model `learns`: at its outputs, or at `all` states besides.
    """
    generator = torch.Generator().manual_seed(model.hidden)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).requires_grad_(learns == "all")

    hidden = tuple(random(ROWS, TOKENS, model.hidden) for _ in range(model.layers + 1))
    shape = (ROWS, model.heads, TOKENS, model.hidden // model.heads)
    heads = Heads(random(*shape), random(*shape), random(*shape), 1.0)
    return Trace(
        random(ROWS, classes or VOCABULARY).requires_grad_(learns != "nothing"),
        hidden,
        dict.fromkeys(range(1, model.layers + 1), heads),
        torch.ones(ROWS, TOKENS, dtype=torch.bool),
        None if classes else torch.ones(ROWS, dtype=torch.bool),
    )
