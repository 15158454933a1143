"""What the students of a plan are: parameters and operations, exact, before any is built."""

from collections.abc import Iterable

from kdlab.architecture import Architecture
from kdlab.errors import BadInput
from kdlab.models import checkpoints
from kdlab.options.callables import Call
from kdlab.options.memo import by_content
from kdlab.options.schema import Protocol, Task
from kdlab.run import Run
from sweeps.plan.estimate import WORDS

HEAD = ("students", "Transformer", "in all", "FLOPs (128 tokens)")
MEGA, GIGA = 1e6, 1e9

Kinds = dict[tuple[int | None, int | None], Run]  # of one architecture, by classes and vocabulary


def lines(runs: Iterable[Run]) -> list[str]:
    """A table of the distinct students, in the order in which they come; none if there is one.

    Parameters are those of transformers' models, counted without values: of the layers, and of all
    with embeddings, pooler and classifier. FLOPs: `kdlab.models.costs.inference_flops`.
    """
    found: dict[Architecture, Kinds] = {}
    for run in runs:
        found.setdefault(run.student, {}).setdefault((run.task.classes, _vocabulary(run)), run)
    if len(found) < 2:
        return []
    rows = [HEAD, *(_row(student, kinds) for student, kinds in found.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]


def _row(student: Architecture, kinds: Kinds) -> tuple[str, str, str, str]:
    from kdlab.models import costs
    from kdlab.models.student import outline

    transformer, totals = 0, []
    for (_, vocabulary), run in kinds.items():
        counted = costs.parameters(outline(run, vocabulary or WORDS))
        transformer = counted["transformer"]
        totals.append(_short(counted["total"] / MEGA, "M") if vocabulary else "unknown")
    flops = _short(costs.inference_flops(student) / GIGA, "G")
    return (
        _name(student),
        _short(transformer / MEGA, "M"),
        " or ".join(dict.fromkeys(totals)),
        flops,
    )


def _vocabulary(run: Run) -> int | None:
    """Rows of the embedding; None where the checkpoint that says so cannot be read here."""
    if not run.tokenizer:
        return _words(run.task, run.source, run.protocol)
    try:
        return int(checkpoints.config(run.tokenizer)["vocab_size"])
    except (BadInput, KeyError):
        return None


@by_content
def _words(task: Task, source: Call, protocol: Protocol) -> int:
    """Of a vocabulary of its own, which a task's training rows give."""
    from kdlab.data import splits, tokens

    return len(tokens.word_level(splits.split(task, source.bind()(), protocol)["fit"]))


def _name(student: Architecture) -> str:
    name = f"l{student.layers}_h{student.hidden}_a{student.heads}"
    wide = "" if student.intermediate == 4 * student.hidden else f", {student.intermediate} wide"
    return f"{student.family} {name}{wide}"


def _short(number: float, unit: str) -> str:
    return f"{number:.{2 if number >= 1 else 3}f} {unit}"
