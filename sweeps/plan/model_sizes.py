"""The parameters and operations of a plan's students, exact, before any is built."""

from collections.abc import Iterable

from kdlab.encoders.architecture import Architecture
from kdlab.errors import BadInput
from kdlab.models import checkpoints
from kdlab.options.callables import Call
from kdlab.options.memo import by_content
from kdlab.options.schema import Protocol, Task
from kdlab.run import Run
from sweeps.plan.estimate import VOCABULARY

COLUMNS = ("students", "Transformer", "in all", "FLOPs (128 tokens)")
MEGA, GIGA = 1e6, 1e9

# Runs of one architecture by number of classes and vocabulary, on which embeddings and head depend.
Variants = dict[tuple[int | None, int | None], Run]


def lines(runs: Iterable[Run]) -> list[str]:
    """A table of the distinct students, in the order in which they come; no line if there is one.

    Parameters are those of transformers' models, counted without values: of the layers, and of all
    with embeddings, pooler and classifier. FLOPs: `kdlab.models.costs.inference_flops`.
    """
    students: dict[Architecture, Variants] = {}
    for run in runs:
        variant = (run.task.classes, _vocabulary(run))
        students.setdefault(run.student, {}).setdefault(variant, run)
    if len(students) < 2:
        return []
    rows = [COLUMNS, *(_row(student, variants) for student, variants in students.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]


def _row(student: Architecture, variants: Variants) -> tuple[str, str, str, str]:
    from kdlab.models import costs
    from kdlab.models.student import outline

    transformer, totals = 0, []
    for (_, vocabulary), run in variants.items():
        # The layers are the same for any vocabulary: BERT's does where the own one is not known.
        counted = costs.parameters(outline(run, vocabulary or VOCABULARY))
        transformer = counted["transformer"]
        totals.append(_short(counted["total"] / MEGA, "M") if vocabulary else "unknown")
    flops = _short(costs.inference_flops(student) / GIGA, "G")
    in_all = " or ".join(dict.fromkeys(totals))
    return _name(student), _short(transformer / MEGA, "M"), in_all, flops


def _vocabulary(run: Run) -> int | None:
    """Rows of the embedding; None where the checkpoint that says so cannot be read here."""
    if not run.tokenizer:
        return _own_vocabulary(run.task, run.source, run.protocol)
    return vocabulary_of(run.tokenizer)


def vocabulary_of(checkpoint: str) -> int | None:
    """Rows of a checkpoint's embedding; None where it cannot be read here."""
    try:
        return int(checkpoints.dimensions(checkpoint)["vocab_size"])
    except (BadInput, KeyError):
        return None


@by_content
def _own_vocabulary(task: Task, source: Call, protocol: Protocol) -> int:
    """The size of the vocabulary that is made of a task's training rows."""
    from kdlab.data import splits, tokens

    return len(tokens.word_level(splits.split(task, source.bind()(), protocol)["fit"]))


def _name(student: Architecture) -> str:
    name = f"l{student.layers}_h{student.hidden}_a{student.heads}"
    wide = "" if student.intermediate == 4 * student.hidden else f", {student.intermediate} wide"
    return f"{student.family} {name}{wide}"


def _short(number: float, unit: str) -> str:
    """Two decimals, three below 1."""
    return f"{number:.{2 if number >= 1 else 3}f} {unit}"
