"""Bytes of one student of a cohort, and of its teacher: `sweeps.plan.memory` adds them up."""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from kdlab.encoders.architecture import Architecture
from kdlab.models.origins import teacher_architecture
from kdlab.options.callables import Call
from kdlab.options.memo import by_content
from kdlab.options.schema import Protocol, Task
from kdlab.run import Run, Term, compares_all_tokens, has_like_updates
from sweeps.plan import activations, estimate, model_sizes, teachers
from sweeps.plan.activations import FLOAT, Pass

MOMENTS = 2 * FLOAT  # bytes of AdamW's two moments of a parameter
STEPPING = FLOAT + MOMENTS  # and of its gradient
WORD = re.compile(r"\w+|[^\w\s]+")  # what a word-level tokenizer takes for one
SPECIAL = 5  # tokens beside the words: [PAD], [UNK], [CLS], [SEP], [MASK]
# Of GLUE's training rows by subset, with BERT's tokenizer: word pieces that occur, where they are
# less than half of its vocabulary, and tokens of the longest row.
GLUE_WORDS = {
    "cola": 5587, "mrpc": 11_563, "rte": 13_865, "sst2": 11_572, "stsb": 10_796, "wnli": 1429,
}  # fmt: skip
GLUE_LONGEST = {"cola": 47, "mrpc": 103, "rte": 289, "sst2": 66, "stsb": 125, "wnli": 108}


@dataclass(frozen=True)
class Teacher:
    """The bytes of a cohort's teacher.

    Attributes:
        weights: of its model, or of those of all folds.
        asking: beside these, when it goes over rows before the training.
        passing: beside these, for a while in its forward pass over a batch.
        state: of the states of one layer that a step keeps.
        heads: of the queries, keys and values of one layer that a step keeps.
    """

    weights: float
    asking: float
    passing: float
    state: float
    heads: float


@dataclass(frozen=True)
class Student:
    """The bytes of a student.

    Attributes:
        weights: of its model.
        held: all the time while it trains: weights, gradients, moments, the best weights.
        step: beside these, at the peak of a step.
        scoring: beside these, when it is scored.
        checkpoint: of the file from which it would go on.
        teacher: of its teacher; None without one.
        said: by view, what it takes of the teacher's outputs before the training.
        depth: how many of the teacher's layers it looks at in each step; None: at no pass of it.
        layers: whose heads it looks at then.
        is_recorded: whether its updates are, on a GPU, so that it has memory of its own for them.
    """

    weights: float
    held: float
    step: float
    scoring: float
    checkpoint: float
    teacher: Teacher | None
    said: Mapping[str, float]
    depth: int | None
    layers: frozenset[int]
    is_recorded: bool


def shape(run: Run) -> Hashable:
    """What a student's memory depends on, quick to make: thousands of runs have few shapes."""
    terms = tuple(
        (t.name, t.view, t.loss.target, repr(t.loss.knobs), t.matching and repr(t.matching),
         t.projection) for t in run.terms
    )  # fmt: skip
    teacher = (teacher_architecture(run), len(run.teachers)) if run.terms else None
    task = (run.task.name, run.task.max_length, run.task.classes, run.task.masked)
    train = run.train
    steps = (train.batch_size, train.precision, train.freeze_encoder, train.epochs, train.stop)
    data = (repr(run.source.knobs), run.data, run.protocol)
    recorded = has_like_updates(run)
    return run.student, steps, recorded, teacher, terms, task, data, run.tokenizer


def student(run: Run, on_gpu: bool) -> Student:
    """What a run's student takes, and what it needs of its teacher.

    Args:
        run: the student's.
        on_gpu: whether it trains on a GPU.
    """
    from kdlab.objective.objective import matched_layers

    words, used, batch = _words_and_batch(run, on_gpu)
    whole = activations.parameters(run.student, words)[1]
    # While it trains, the embeddings of words that its task has not are beside the model.
    trained = whole - (words - used) * run.student.hidden
    weights = FLOAT * (whole + (used * run.student.hidden if used < words else 0))
    stepping = STEPPING * (run.student.hidden if run.train.freeze_encoder else trained)
    teacher = teacher_architecture(run) if run.terms else None
    before = {term.key for term in estimate.row_terms(run)}
    traced = [term for term in run.terms if term.key not in before]
    step, learned = _step(run, teacher, batch, (words, trained))
    best = FLOAT * trained if run.protocol.checkpoint == "best_select" else 0
    return Student(
        weights=weights,
        held=weights + stepping + best + (FLOAT + STEPPING) * learned,
        step=step,
        scoring=max(best, _scoring(run.student, _scored(batch))),
        checkpoint=FLOAT * (trained + learned) + MOMENTS * (stepping / STEPPING + learned) + best,
        teacher=_teacher(run, teacher, words, batch) if teacher else None,
        said=teachers.said(run),
        depth=_depth(traced, teacher) if teacher and traced else None,
        layers=matched_layers(traced)[1],
        is_recorded=on_gpu and len(run.teachers) < 2 and has_like_updates(run),
    )


def _step(
    run: Run, teacher: Architecture | None, batch: Pass, sizes: tuple[int, int]
) -> tuple[float, int]:
    """Bytes at the peak of a step beside what is held, and the parameters that terms learn.

    Args:
        run: the student's.
        teacher: the teacher's dimensions.
        batch: the longest.
        sizes: of the vocabulary, and the parameters of the student that are trained.
    """
    from kdlab.objective.objective import matched_layers
    from sweeps.plan.term_memory import term_bytes

    vocabulary, trained = sizes
    model, seen = run.student, len(matched_layers(run.terms)[0])
    outputs, kept, passing = _outputs(run, batch, vocabulary)
    kept += activations.heads_beside(model, batch, seen)
    if run.train.freeze_encoder:
        kept += activations.states(model, batch, model.layers)
    else:
        kept += activations.kept(model, batch)
        # Gradients of single losses are measured three times in a training, beside the step's own.
        layers = FLOAT * activations.parameters(model, 0)[0]
        needs = layers + activations.backward_needs(model, batch)
        passing = max(passing, FLOAT * trained, needs)
    learned = 0
    for term in run.terms:
        assert teacher is not None  # which a run with terms has
        of_term = term_bytes(term, model, teacher, batch, outputs)
        kept += of_term.kept
        passing = max(passing, of_term.peak - of_term.kept)
        learned += of_term.learned
    return kept + passing, learned


def _outputs(run: Run, batch: Pass, vocabulary: int) -> tuple[tuple[int, int], float, float]:
    """The shape of the logits, and of a language model, whose logits are many, their bytes.

    Returns:
        The shape; what is kept for the backward pass, the teacher's logits included; and what is
        held for a while in it.
    """
    if run.task.masked is None:
        return (batch.rows, run.task.classes or 1), 0.0, 0.0
    share = 1.0 if compares_all_tokens(run) else run.task.masked
    tokens = int(share * batch.positions)
    each = float(FLOAT * tokens * vocabulary)
    # Logits, and the logarithms of their softmax; their two gradients.
    return (tokens, vocabulary), (3 if run.terms else 2) * each, 2 * each


def _teacher(run: Run, teacher: Architecture, vocabulary: int, batch: Pass) -> Teacher:
    asked = _scored(batch)
    every = activations.states(teacher, asked, teacher.layers)
    weights = FLOAT * activations.parameters(teacher, vocabulary)[1]
    return Teacher(
        weights=len(run.teachers) * weights,
        asking=every + activations.inference_needs(teacher, asked),
        passing=activations.inference_needs(teacher, batch),
        state=activations.states(teacher, batch, 0),
        heads=activations.heads(teacher, batch),
    )


def _depth(traced: Sequence[Term], teacher: Architecture) -> int:
    """How many of the teacher's layers are computed in a step for some terms."""
    from kdlab.objective.objective import teacher_depth

    depth = teacher_depth(traced)
    return teacher.layers if depth is None else min(depth + 1, teacher.layers)


def _scoring(model: Architecture, scored: Pass) -> float:
    """A forward pass that keeps no states but those at hand: of a layer, and of that before."""
    return activations.inference_needs(model, scored) + activations.states(model, scored, 1)


def _scored(batch: Pass) -> Pass:
    """A batch of rows that are scored, or of which a teacher is asked: always in float32."""
    from kdlab.training.scoring import SCORING_ROWS

    return replace(batch, rows=SCORING_ROWS, is_bf16=False)


def _words_and_batch(run: Run, on_gpu: bool) -> tuple[int, int, Pass]:
    """Rows of the student's embedding, how many of them are trained, and the longest batch."""
    from kdlab.data.tokens import PAD_TO
    from kdlab.training.task_vocabulary import SHARE

    if run.tokenizer:
        subset = str(run.source.knobs.get("subset"))
        words = model_sizes.vocabulary_of(run.tokenizer) or estimate.VOCABULARY  # BERT's
        longest = GLUE_LONGEST.get(subset, run.task.max_length)
        # Not more than there are tokens in all rows, which counts where these are few.
        rows = estimate.training_rows(run) + run.protocol.select_max
        used = min(GLUE_WORDS.get(subset, words), rows * min(longest, run.task.max_length))
    else:
        words, longest = _own_words(run.task, run.source, run.protocol)
        used = words
    is_whole = run.task.is_language_model or run.train.freeze_encoder or used > SHARE * words
    tokens = -(-min(longest, run.task.max_length) // PAD_TO) * PAD_TO
    batch = Pass(run.train.batch_size, tokens, on_gpu, run.train.precision == "bf16")
    return words, words if is_whole else used, batch


@by_content
def _own_words(task: Task, source: Call, protocol: Protocol) -> tuple[int, int]:
    """The vocabulary that is made of a task's training rows, and the tokens of the longest row."""
    from kdlab.data import splits
    from kdlab.data.tokens import VOCABULARY

    texts = splits.split(task, source.bind()(), protocol)["fit"].texts
    rows = [[WORD.findall(part) for part in text] for text in texts]
    words = {word for row in rows for part in row for word in part}
    # [CLS] before the first text, [SEP] after each.
    longest = max((1 + sum(1 + len(part) for part in row) for row in rows), default=1)
    return min(len(words) + SPECIAL, VOCABULARY), longest
