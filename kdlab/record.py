"""What a record says: every key, its type and its unit.

A record is one line of JSON with these keys. All scores are fractions, higher is better. Splits
are named `select`, and `report` or `report_NAME` as the task's option names them.
"""

from dataclasses import dataclass
from typing import Any, TypedDict

SCHEMA = 1
DONE, DIVERGED = "done", "diverged"  # the statuses of a result


class Result(TypedDict, total=False):
    """What came of a run. It follows from the run alone: a repeat on the same CPU has the same.

    A diverged run has `status`, `steps`, `examples_seen` and an empty `examples` only.

    Attributes:
        status: `done`, or `diverged` if a loss was not finite.
        steps: updates made.
        examples_seen: training rows in all batches.
        scored_step: the update after which the weights that are scored were taken.
        scores: by split and metric.
        curves: at each evaluation, by loss name its mean since the last, unweighted, and as
            `select` the score on select.
        select_degenerate: at each evaluation, whether all rows of select got the same prediction.
        shares: by point of training (`0.1`, `0.5`, `0.9`) and loss name the share of the encoder's
            gradient norm, weighted.
        agreement: with the teacher, by split: `top1` (a fraction) and `kl` (nats), or `mse` of
            regression; empty without knowledge, and of masked-LM.
        teacher_order: which of the teacher's outputs each class is, where the order differs.
        degenerate: the splits all of whose rows got the same prediction.
        weights: a digest of the scored weights.
        outputs: by split a digest of the outputs, float32.
        examples: by split the digest that names its rows and labels, `examples/<digest>.npz`.
    """

    status: str
    steps: int
    examples_seen: int
    scored_step: int
    scores: dict[str, dict[str, float]]
    curves: dict[str, list[float]]
    select_degenerate: list[bool]
    shares: dict[str, dict[str, float]]
    agreement: dict[str, dict[str, float]]
    teacher_order: list[int]
    degenerate: list[str]
    weights: str
    outputs: dict[str, str]
    examples: dict[str, str]


class Cost(TypedDict, total=False):
    """What a run took, as it was measured: other machines, and repeats, have other numbers.

    Attributes:
        parameters: counts of `embeddings`, `transformer` (the layers) and `total`.
        flops: of one forward pass over one row of 128 tokens.
        seconds: of the student's own forward and backward passes and evaluations.
        teacher_seconds: of the teachers' forward passes, shared by the cohort.
        cohort: students that trained side by side.
        peak_memory: bytes, of the whole cohort: on a GPU of tensors, else of the process.
        latency: milliseconds of one forward pass over one row of `latency_tokens` tokens.
        commit: of kdlab, with `+` if files differ from it; None outside a checkout.
        python, torch, transformers, numpy: versions.
        host: the machine's name.
        accelerator: `cpu` or `cuda`.
        device: the name of the processor or GPU.
        threads: that PyTorch used.
        cores: of the machine.
    """

    parameters: dict[str, int]
    flops: int
    seconds: float
    teacher_seconds: float
    cohort: int
    peak_memory: int
    latency: float
    latency_tokens: int
    commit: str | None
    python: str
    torch: str
    transformers: str
    numpy: str
    host: str
    accelerator: str
    device: str
    threads: int
    cores: int | None


@dataclass(frozen=True)
class Record:
    """One finished run.

    Attributes:
        uid: of the run.
        choices: the option chosen in each group, such as `task: sst2`.
        overrides: with which `kdlab.compose` gives the run again.
        result: what came of it.
        cost: what it took.
        artifacts: `outputs`, the file of its outputs, and by split their offset in bytes, rows,
            columns, type and digest; with test splits also `examples`, their digests by split.
        schema: of records.
    """

    uid: str
    choices: dict[str, str]
    overrides: list[str]
    result: Result
    cost: Cost
    artifacts: dict[str, Any]
    schema: int = SCHEMA
