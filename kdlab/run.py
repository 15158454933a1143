"""A run: plain, frozen data, and everything that decides a result."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kdlab.encoders.architecture import Architecture
from kdlab.options.callables import Call
from kdlab.options.schema import Data, Protocol, Task, Train

ALL_TOKENS = "kdlab.objective.views.token_logits"  # the view of outputs at every token


@dataclass(frozen=True)
class Matching:
    """Which student layers meet which teacher layers, and how several pairs become one loss.

    Attributes:
        pairs: (student layer, teacher layer), counted from 1, in rising order.
        pair_weight: what each pair's loss is multiplied by, such as 1/4 of four pairs with
            `mass: one`. The term's weight comes on top, and where `weigh` is given, the weight that
            it gives the pair.
        mix: how a student layer meets several teacher layers. `losses`: it is compared with each,
            and the losses are weighted. `features`: the teacher's views are averaged by the
            weights, and it is compared once, with their mean.
        weigh: the module that weighs the pairs anew in every step; None: they weigh alike.
        stacked: the loss takes all matched layers of a side at once, as one tensor.
    """

    pairs: tuple[tuple[int, int], ...]
    pair_weight: float
    mix: Literal["losses", "features"]
    weigh: Call | None
    stacked: bool

    @property
    def is_mixed(self) -> bool:
        """Whether a step's weights are laid over all candidate pairs, not taken pair by pair."""
        return self.weigh is not None or self.mix == "features"


@dataclass(frozen=True)
class Projection:
    """A linear map, learned with the student, from its width to what the loss compares.

    Attributes:
        width: of what the map gives: the teacher's, or the number of classes.
        to_classes: layers of both sides are mapped to logits of the task's classes, and these are
            compared. The teacher's layers have maps of their own, which learn from the labels.
        shared: one map for all layers, or for a view without layers; else one for each layer.
        lr: the learning rate of all that the term learns; None: the run's.
    """

    width: int
    to_classes: bool
    shared: bool
    lr: float | None


@dataclass(frozen=True)
class Term:
    """One term of the objective: a loss between a view of the student and one of the teacher.

    Attributes:
        key: its name in the run, as in `knowledge.KEY`.
        name: of its option, which is the key unless a run has the option twice.
        view: the dotted name of the function of `kdlab.objective.views` that is compared.
        matching: None where the view has no layers, such as that of logits.
        projection_rule: `none`, `auto`, `always` or `classes`, as the option says.
        projection: what follows from the rule and both widths; None: nothing is learned.
        schedules: of the weight and of numeric knobs of the loss, by name.
    """

    key: str
    name: str
    loss: Call
    view: str
    weight: float
    matching: Matching | None
    projection_rule: str
    projection: Projection | None
    schedules: Mapping[str, Call]


@dataclass(frozen=True)
class Checkpoint:
    """A model that nothing here trains: on the hub, as `name@commit`, or in a folder."""

    name: str


@dataclass(frozen=True)
class Init:
    """Where the student's encoder starts.

    Attributes:
        name: of the option.
        call: the function of `kdlab.init` that makes the student's weights of the origin's.
        weights: what the origin is: `none`, a `checkpoint`, what the teacher was `pretrained` as,
            the `finetuned` teacher itself, or an earlier `run`.
        origin: the model whose weights are copied; None: the student starts at random.
        head: `keep` copies the classifier of an earlier run too; `fresh` draws one at random.
    """

    name: str
    call: Call
    weights: str
    origin: "Origin | None"
    head: str

    @property
    def stage(self) -> "Run | None":
        """The earlier run of weights `run`: a stage of its own before this one."""
        return self.origin if self.weights == "run" and isinstance(self.origin, Run) else None


@dataclass(frozen=True)
class Run:
    """One run, with every question of its options answered.

    Attributes:
        hard_weight: of the task's own loss.
        hard_schedules: empty, or the schedule of that weight under `weight`.
        source: reads the rows of the task.
        tokenizer: a checkpoint; None: the words of the task's own rows are the tokens.
        teachers: who teaches: nobody, one run or one finished checkpoint, or, where teachers are
            cross-fitted, a run for each fold in order.
        choices: the option of each group, such as `size: tiny`.
        overrides: from which the run was composed.
        insist: a doubtful checkpoint may teach; it changes no result, and is no part of the uid.
        uid: names what the run does, as in `kdlab.config.identity`.
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
    teachers: "tuple[Origin, ...]"
    choices: Mapping[str, str]
    overrides: tuple[str, ...]
    insist: bool = False
    uid: str = ""

    @property
    def teacher(self) -> "Run | None":
        """The run that teaches, of cross-fitted ones that of fold 0; None where none does."""
        return next(iter(teacher_runs(self)), None)

    @property
    def teacher_checkpoint(self) -> str | None:
        """The finished checkpoint that teaches; None where a run does, or nobody."""
        return next((t.name for t in self.teachers if isinstance(t, Checkpoint)), None)


# Where a model's weights come from: a run that is trained here, or a checkpoint as it is.
Origin = Run | Checkpoint


def compares_all_tokens(run: Run) -> bool:
    """Whether some term compares a language model's outputs at every token, not at masked ones."""
    return any(term.view == ALL_TOKENS for term in run.terms)


def teacher_runs(run: Run) -> list[Run]:
    """The runs that teach a run: none, one, or one for each fold of its rows in order."""
    return [teacher for teacher in run.teachers if isinstance(teacher, Run)]


def parents(run: Run) -> list[Run]:
    """The runs that a run learns from or starts from, each once."""
    # The teacher may be the origin of the weights too.
    origins = (*run.teachers, run.init.origin)
    return list({origin.uid: origin for origin in origins if isinstance(origin, Run)}.values())


def has_like_updates(run: Run) -> bool:
    """Whether a run's updates differ in their batches alone, and batches of a shape in values."""
    return (
        not run.task.is_language_model  # whose masked tokens are never equally many
        and run.train.bias_correction  # without it the optimiser's step counts updates in Python
        and not run.hard_schedules
        and not any(term.schedules for term in run.terms)
        and not any(term.matching and term.matching.weigh for term in run.terms)
    )
