"""What a run may say: every key of the value groups, its type and its range.

Groups whose YAML names a function (knowledge, matching, init, shape, tracker, a task's source)
keep that function's knobs beside the keys listed here; `kdlab.options.callables` checks those
against the function's signature.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from kdlab.errors import BadInput
from kdlab.options import spelling

Index = Annotated[int, Field(strict=True, ge=0, lt=2**53)]  # exact as a float, which is hashed
Count = Annotated[int, Field(strict=True, ge=1)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, lt=1, allow_inf_nan=False)]
Part = Annotated[float, Field(strict=True, gt=0, le=1, allow_inf_nan=False)]
Folds = Annotated[int, Field(strict=True, ge=2, le=20)]  # each is a teacher of its own
Text = Annotated[str, Field(min_length=1)]
ReportName = Annotated[str, Field(pattern=r"^report(_\w+)?$")]
TestName = Annotated[str, Field(pattern=r"^test(_\w+)?$")]
FamilyName = Literal["bert", "roberta", "distilbert", "electra", "modernbert"]
Node = dict[str, Any]
T = TypeVar("T")


def strict(kind: type[T]) -> type[T]:
    """Let pydantic refuse keys that a dataclass does not have."""
    kind.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
    return kind


@strict
@dataclass(frozen=True, kw_only=True)
class Hard:
    """The task's own loss; `schedules` may have one of its weight."""

    weight: NonNegative
    schedules: dict[str, Node] = field(default_factory=dict)


@strict
@dataclass(frozen=True, kw_only=True)
class Train:
    """Optimisation: AdamW, a warm-up, a schedule of transformers' `get_scheduler`.

    Attributes:
        betas: of the first and of the second moment.
        bias_correction: of both moments; without it, AdamW is the BertAdam of BERT's first code.
        clip: the largest norm of gradients; None: as they are.
        clip_scope: whose norm, that of all gradients together or of each tensor's by itself.
        freeze_encoder: the head alone learns, but for what it shares with the embeddings.
        stop: the share of the steps that are made; the schedule keeps its full length.
    """

    epochs: Count
    batch_size: Count
    lr: Positive
    schedule: Literal["linear", "cosine", "constant_with_warmup"]
    warmup: Share
    weight_decay: NonNegative
    betas: tuple[Share, Share]
    eps: Positive
    bias_correction: bool
    clip: Positive | None
    clip_scope: Literal["model", "tensor"]
    batching: Literal["bucket", "random"]
    precision: Literal["fp32", "bf16"]
    freeze_encoder: bool
    stop: Part


@strict
@dataclass(frozen=True, kw_only=True)
class Data:
    """Which training rows the student sees, and which of them without a label.

    `fold` leaves out fold k of K: every K-th row of the fixed order, whatever the seed.
    """

    rows: Count | None
    transfer: Literal["same", "unlabelled"]
    extra_rows: Count | None
    extra_split: Literal["fit", "test"]
    fold: tuple[Index, Folds] | None


@strict
@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The splits, and which weights of a run are the ones reported."""

    select_on: Literal["held_out", "report"]
    select: Share
    select_max: Index
    checkpoint: Literal["last", "best_select"]
    evaluations: Count


@strict
@dataclass(frozen=True, kw_only=True)
class Size:
    """What `size` asks for, before `shape` has its say: no larger than any encoder there is."""

    layers: Annotated[int, Field(strict=True, ge=1, le=256)]
    hidden: Annotated[int, Field(strict=True, ge=1, le=8192)]
    heads: Annotated[int, Field(strict=True, ge=1, le=256)]
    intermediate: Annotated[int, Field(strict=True, ge=1, le=65536)]


@strict
@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A teacher: a run of its own, or with `finetuned` a finished checkpoint.

    Attributes:
        stop: the share of its training that a teacher makes.
        folds: as many teachers, each without a fold of the rows, which it then teaches.
        assistants: sizes between teacher and student, each taught by the one before.
        assistant_overrides: what the assistants do beside.
        insist: let a finished checkpoint teach that is worse than the majority, or whose outputs
            have other names than the task's classes.
    """

    name: Text
    family: FamilyName
    tokenizer: Text | None
    checkpoint: Text | None
    finetuned: bool
    size: Text | None
    seed: Index
    lr: Positive | None
    epochs: Count | None
    rows: Count | None
    overrides: list[str]
    stop: Part
    folds: Folds | None
    assistants: Annotated[list[Text], Field(max_length=16)]
    assistant_overrides: list[str]
    insist: bool


@strict
@dataclass(frozen=True, kw_only=True)
class Execution:
    """Where and how a run is computed, and what is kept of it: no part of its identity.

    Results are equal bit for bit on CPU at equal `threads`. With `predict_test` the outputs on the
    task's test splits are kept beside them.
    """

    root: Text
    save: bool
    predict_test: bool
    device: Literal["auto", "cpu", "cuda"]
    threads: Count
    checkpoint_seconds: NonNegative
    tracker: Node
    launcher: Node


@strict
@dataclass(frozen=True, kw_only=True)
class Config:
    """One composed configuration."""

    seed: Index
    hard: Hard
    family: FamilyName
    tokenizer: Text | None
    task: Node
    data: Data
    teacher: Teacher
    size: Size
    shape: Node
    init: Node
    knowledge: dict[str, Any]
    matching: Node
    train: Train
    protocol: Protocol


@strict
@dataclass(frozen=True, kw_only=True)
class Task:
    """A task: columns, classes (1 is regression), metrics, splits; `source` reads its rows.

    With `masked`, the share of tokens to be predicted, labels are tokens and there are no classes.
    `predict` names the splits of `predict_test` where they are others than `test` alone. `labels`
    are the classes in order: as the label column writes them, or their names where it has numbers.
    """

    name: Text
    text: Annotated[list[str], Field(min_length=1, max_length=2)]
    label: Text
    metrics: Annotated[list[str], Field(min_length=1)]
    select_by: Annotated[list[str], Field(min_length=1)]
    train: Text
    report: Annotated[dict[ReportName, str], Field(min_length=1)]
    test: Text | None
    predict: dict[TestName, Text] = field(default_factory=dict)
    holdout: Text
    max_length: Annotated[int, Field(strict=True, ge=8, le=512)]
    classes: Annotated[int, Field(strict=True, ge=1, le=10_000)] | None = None
    labels: Annotated[list[str | bool | int | float], Field(min_length=2)] | None = None
    masked: Annotated[float, Field(strict=True, gt=0, lt=1, allow_inf_nan=False)] | None = None


@strict
@dataclass(frozen=True, kw_only=True)
class TermKeys:
    """The keys of a knowledge option that are not knobs of its loss."""

    name: Text
    view: Text
    weight: Positive
    min_classes: Count
    projection: Literal["none", "auto", "always", "classes"] = "none"
    projection_shared: bool = False
    projection_lr: Positive | None = None
    matching: Node | None = None
    schedules: dict[str, Node] = field(default_factory=dict)


@strict
@dataclass(frozen=True, kw_only=True)
class MatchingKeys:
    """The keys of a matching that are not knobs of its rule.

    Attributes:
        mass: the total weight of all pairs: one, or the number of `pairs` or of student `layers`.
        mix: what weights are on where a student layer meets several: losses or features.
        weigh: the module that weighs the pairs in every step.
    """

    name: Text
    mass: Literal["one", "layers", "pairs"]
    mix: Literal["losses", "features"] = "losses"
    weigh: Node | None = None


@strict
@dataclass(frozen=True, kw_only=True)
class InitKeys:
    """The keys of an init that are not knobs of its function."""

    name: Text
    weights: Literal["none", "checkpoint", "pretrained", "finetuned", "run"]
    checkpoint: Text | None = None
    run: list[str] | None = None
    head: Literal["fresh", "keep"] = "fresh"


@strict
@dataclass(frozen=True, kw_only=True)
class LauncherKeys:
    """The keys that every launcher has beside the knobs of its function.

    Attributes:
        cohort: students side by side in one process, at most.
        minutes: of work in one task (of a job array), by estimate.
        gflops: what a process computes in a second, for estimates before anything is measured.
    """

    name: Text
    cohort: Count
    minutes: Positive
    gflops: Positive


@strict
@dataclass(frozen=True, kw_only=True)
class Bare:
    """A node that has nothing but its function's knobs: a matching's `weigh`."""


@strict
@dataclass(frozen=True, kw_only=True)
class Named:
    """The keys of a shape or a schedule that are not knobs of its function."""

    name: Text


@strict
@dataclass(frozen=True, kw_only=True)
class TrackerKeys:
    """The keys of a tracker that are not knobs of its function; it needs `package` installed."""

    name: Text
    package: Text | None = None


def parse(kind: type[T], values: Any, where: str = "") -> T:
    """`values` as `kind`, or `BadInput` naming the first key that is wrong."""
    try:
        return _adapter(kind).validate_python(values)  # type: ignore[arg-type]
    except ValidationError as error:
        # A misspelt key is also a missing one: name the misspelling.
        found = error.errors(include_url=False)
        first = min(found, key=lambda e: e["type"] != "unexpected_keyword_argument")
        location = (where, *first["loc"])
        key = ".".join(str(part) for part in location if part not in ("", "function-after[]"))
        raise BadInput(_sentence(key, first, kind)) from None


@cache  # building one takes a hundred times as long as using it
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _fields(kind: Any, path: tuple[Any, ...]) -> list[str]:
    """The keys of a dataclass, or of one inside it."""
    for name in path:
        own = getattr(kind, "__dataclass_fields__", {})
        kind = own[name].type if name in own else kind
    return list(getattr(kind, "__dataclass_fields__", {}))


def _sentence(key: str, error: Any, kind: Any) -> str:
    if error["type"] == "unexpected_keyword_argument":
        known = _fields(kind, error["loc"][:-1])
        parents = key.split(".")[:-1]
        meant = spelling.key_meant(key, [".".join([*parents, own]) for own in known])
        return f"{key}: unknown key; {meant or 'known keys: ' + ', '.join(sorted(known))}"
    if error["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{key}: missing"
    return f"{key}={error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"
