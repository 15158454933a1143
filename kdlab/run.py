"""A run: plain, frozen data, and everything that decides a result."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from kdlab.architecture import Architecture
from kdlab.options.callables import Call, function
from kdlab.options.schema import Data, Protocol, Task, Train

EVERYWHERE = (
    "kdlab.objective.views.token_logits"  # the view that asks for a language model's every output
)


@dataclass(frozen=True)
class Term:
    """One piece of knowledge.

    `pairs` are 1-based (student layer, teacher layer), None where the view has no layers; each
    pair's loss counts `weight * pair_weight`, times what the module `weigh` gives the pair.

    Attributes:
        projection: none; to the teacher's width auto, where widths differ, or always; to classes.
        shared: one projection for all layers.
        projection_lr: of the projections and of `weigh`; None: the run's.
        mix: weights are on losses, or on the teacher's features.
        schedules: of the weight and of numeric knobs, by name.
    """

    key: str
    name: str
    loss: Call
    view: str
    weight: float
    projection: str
    pairs: tuple[tuple[int, int], ...] | None
    pair_weight: float
    shared: bool
    projection_lr: float | None
    mix: str
    weigh: Call | None
    schedules: Mapping[str, Call]


@dataclass(frozen=True)
class Init:
    """Where the student starts: `call` picks from the weights of a checkpoint or of a parent.

    `run` is the earlier run of a stage; with `head="keep"` its classifier is copied too.
    """

    name: str
    call: Call
    weights: str
    checkpoint: str | None
    run: "Run | None" = None
    head: str = "fresh"


@dataclass(frozen=True)
class Run:
    """One run. `teacher` is a parent run, `teacher_checkpoint` a finished model; None: unused.

    Of cross-fitted teachers `teacher` is that of fold 0, `other_teachers` are those of the others.
    `insist` lets a doubtful checkpoint teach; it changes no result, and is no part of the uid.
    """

    seed: int
    hard_weight: float
    hard_schedules: Mapping[str, Call]
    task: Task
    source: Call
    data: Data
    train: Train
    protocol: Protocol
    tokenizer: str | None
    student: Architecture
    init: Init
    terms: tuple[Term, ...]
    teacher: "Run | None"
    teacher_checkpoint: str | None
    choices: Mapping[str, str]
    overrides: tuple[str, ...]
    other_teachers: "tuple[Run, ...]" = ()
    insist: bool = False
    uid: str = ""


def is_everywhere(run: Run) -> bool:
    """Whether some term compares a language model's outputs at every token."""
    return any(term.view == EVERYWHERE for term in run.terms)


def teachers(run: Run) -> list[Run]:
    """The runs that a run learns from: one, or one for each fold of its rows in order."""
    return [run.teacher, *run.other_teachers] if run.teacher else []


def parents(run: Run) -> list[Run]:
    """The runs that a run learns from or starts from, each once."""
    found = [*teachers(run), *([run.init.run] if run.init.run else [])]
    return list({parent.uid: parent for parent in found}.values())


@cache
def layers_of(view: str) -> str | None:
    """What a view takes beside a trace: a `layer`, all matched `layers` at once, or neither."""
    found = {"layer", "layers"} & inspect.signature(function(view)).parameters.keys()
    return next(iter(found), None)
