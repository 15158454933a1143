"""Every key that a config may have, with its type and its range.

Groups whose YAML names a function (knowledge, matching, init, shape, tracker, a task's source)
keep that function's knobs beside the keys listed here; `kdlab.options.callables` checks those
against the function's signature.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field

from kdlab.encoders.families import FAMILIES
from kdlab.metrics import Kind

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
if TYPE_CHECKING:
    FamilyName = str
else:  # pydantic refuses any other, and names these
    FamilyName = Literal[tuple(FAMILIES)]
Node = dict[str, Any]
T = TypeVar("T")


def strict(kind: type[T]) -> type[T]:
    """Let pydantic refuse keys that a dataclass does not have."""
    kind.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
    return kind


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def strict_dataclass(kind: type[T]) -> type[T]:
    """A frozen dataclass of keyword arguments that is `strict`."""
    return strict(dataclass(frozen=True, kw_only=True)(kind))


@strict_dataclass
class Hard:
    """The task's own loss; `schedules` may have one of its weight."""

    weight: NonNegative
    schedules: dict[str, Node] = field(default_factory=dict)


@strict_dataclass
class Train:
    """Optimisation: AdamW, a warm-up, a schedule of transformers' `get_scheduler`.

    Attributes:
        lr: the highest learning rate, at the end of the warm-up.
        warmup: the share of the steps in which the learning rate rises from zero.
        betas: of the first and of the second moment.
        bias_correction: of both moments; without it, AdamW is the BertAdam of BERT's first code.
        clip: the largest norm of gradients; None: they are not clipped.
        clip_scope: whose norm: that of all gradients together, or of each tensor's by itself.
        batching: rows of similar length together (`bucket`), or in random order.
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


@strict_dataclass
class Data:
    """Which training rows the student sees, and which of them without a label.

    Attributes:
        rows: how many with a label; None: all.
        transfer: what the teacher teaches on: the same rows, or unlabelled ones besides.
        extra_rows: how many of these; None: all that there are.
        extra_split: where these come from: what `rows` leaves of `fit`, or the test split.
        fold: leaves out fold k of K: every K-th row of the fixed order, whatever the seed.
    """

    rows: Count | None
    transfer: Literal["same", "unlabelled"]
    extra_rows: Count | None
    extra_split: Literal["fit", "test"]
    fold: tuple[Index, Folds] | None


@strict_dataclass
class Protocol:
    """The splits, and which weights of a run are the ones reported.

    Attributes:
        select_on: rows that choose among evaluations: held out of train, or those of the report.
        select: the share of train that is held out for it.
        select_max: rows that are held out at most.
        checkpoint: what is reported: the last weights, or those of the best score on `select`.
        evaluations: how often a run is evaluated.
    """

    select_on: Literal["held_out", "report"]
    select: Share
    select_max: Index
    checkpoint: Literal["last", "best_select"]
    evaluations: Count


@strict_dataclass
class Size:
    """What `size` asks for, before `shape` has its say: no larger than any encoder there is."""

    layers: Annotated[int, Field(strict=True, ge=1, le=256)]
    hidden: Annotated[int, Field(strict=True, ge=1, le=8192)]
    heads: Annotated[int, Field(strict=True, ge=1, le=256)]
    intermediate: Annotated[int, Field(strict=True, ge=1, le=65536)]


@strict_dataclass
class Teacher:
    """A teacher: a run of its own, or with `finetuned` a finished checkpoint.

    Attributes:
        checkpoint: what it starts from, or with `finetuned` what it is.
        overrides: of its run, beside the keys that are here.
        stop: the share of its training that a teacher makes.
        folds: so many teachers, each trained without one fold of the rows, which it then teaches.
        assistants: sizes between teacher and student, each taught by the one before.
        assistant_overrides: of their runs, beside the keys that are here.
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


@strict_dataclass
class Execution:
    """Where and how a run is computed, and what is kept of it: no part of its identity.

    Attributes:
        root: the folder of records, models and checkpoints.
        save: keep the trained model.
        predict_test: keep the outputs on the task's test splits.
        threads: of the CPU; results are equal bit for bit on CPU where these are equal.
        checkpoint_seconds: between checkpoints of the training.
        cuda_graphs: on a GPU, record updates and replay them, as `kdlab.training.step_graphs` says.
        teacher_outputs_gb: disk space (10⁹ bytes) for what teachers say of rows, under the root.
    """

    root: Text
    save: bool
    predict_test: bool
    device: Literal["auto", "cpu", "cuda"]
    threads: Count
    checkpoint_seconds: NonNegative
    cuda_graphs: bool
    teacher_outputs_gb: NonNegative
    tracker: Node
    launcher: Node


@strict_dataclass
class Config:
    """One composed configuration, but for the keys of `Execution`."""

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


@strict_dataclass
class Task:
    """A task; the function of its option reads its rows.

    Attributes:
        text: the columns of one text or two.
        metrics: that are reported, by their names in `kdlab.metrics`.
        select_by: those whose mean chooses among evaluations.
        train, report, test: splits of the data; `report` by the names that tables use.
        predict: the splits of `predict_test` where they are others than `test` alone.
        holdout: the function that holds rows out of `train` for selection.
        max_length: of a row, in tokens.
        classes: 1 is regression; None for masked tokens.
        labels: the classes in order, as the label column writes them, or their names where it has
            numbers.
        masked: the share of tokens to be predicted, of a masked language model.
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

    @property
    def kind(self) -> Kind:
        """What is predicted: one of several classes, a number, or masked tokens."""
        return task_kind(vars(self))

    @property
    def is_language_model(self) -> bool:
        """Whether the tokens of the text are its labels, and the vocabulary the classes."""
        return self.kind == "masked_lm"


def task_kind(task: Mapping[str, Any]) -> Kind:
    """The kind of a task by its keys."""
    if task.get("masked") is not None:
        return "masked_lm"
    return "regression" if task.get("classes") == 1 else "classification"
