"""What a recipe for a corpus minimises is what its paper's code does, computed anew in float64."""

import numpy as np
import pytest
import torch
from composed import compose
from forward_passes import (
    HEADS,
    ROWS,
    STEPS,
    TOKENS,
    VOCABULARY,
    WIDTH,
    bert,
    divergent,
    double,
    log_softmax,
    scores,
    tinybert_layers,
    trace,
    unit,
)

from kdlab.models.trace import Trace
from kdlab.objective.objective import Objective


@pytest.fixture
def general(tmp_path):
    """A recipe's run on a corpus, its teacher of 12 layers a folder."""
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(f"w{i} w{i + 1} w{i + 2}" for i in range(900)))
    teacher = tmp_path / "teacher"
    teacher.mkdir()
    bert(teacher, 12)
    return lambda name, *own: compose(
        f"recipe={name}", f"task.path={corpus}", f"teacher.checkpoint={teacher}", *own
    )


def corpus_pair(layers: int, width: int = WIDTH) -> tuple[Trace, Trace, list[int]]:
    masked = torch.tensor([True, False] * 7 + [False])
    student = trace(layers, VOCABULARY, width, masked, seed=3)
    teacher = trace(12, VOCABULARY, WIDTH, masked, seed=4)
    labels = [3 if is_masked else -100 for is_masked in masked.tolist()]
    return student, teacher, labels


def of_teacher(run, student, teacher, labels):
    from kdlab.encoders.architecture import Architecture

    objective = Objective(run, Architecture("bert", 12, WIDTH, HEADS, 4 * WIDTH), STEPS)
    return objective.total(objective(student, teacher, torch.tensor(labels), 0), 0), objective


def test_distilbert_is_its_code(general):
    student, teacher, labels = corpus_pair(6)
    run = general("distilbert", f"size=l6_h{WIDTH}_a{HEADS}")
    log_q = log_softmax(double(student.logits))
    mlm = -np.mean([row[3] for row, label in zip(log_q, labels, strict=True) if label == 3])
    soft_labels = 4 * divergent(student, teacher, 2).sum(-1).mean()  # at every token
    states = (unit(double(x.hidden[-1])) for x in (student, teacher))
    cosine = (1 - np.multiply(*states).sum(-1)).mean()
    found, _ = of_teacher(run, student, teacher, labels)
    assert found.item() == pytest.approx(5 * soft_labels + 2 * mlm + cosine, rel=1e-5)


def relation(one: np.ndarray, other: np.ndarray) -> float:
    """KL of row softmaxes, mean over heads and queries."""
    log_q, log_p = log_softmax(one), log_softmax(other)
    return float((np.exp(log_p) * (log_p - log_q)).sum(-1).mean())


def products(states: torch.Tensor, heads: int) -> np.ndarray:
    """X Xᵀ / √d of [b, h, t, d / h], split anew."""
    merged = double(states).swapaxes(1, 2).reshape(ROWS, TOKENS, heads, -1).swapaxes(1, 2)
    return merged @ merged.swapaxes(2, 3) / np.sqrt(merged.shape[-1])


def test_minilm_is_its_paper(general):
    student, teacher, labels = corpus_pair(3, width=16)
    ours, theirs = student.heads[3], teacher.heads[12]
    expected = relation(scores(ours), scores(theirs))
    expected += relation(products(ours.value, HEADS), products(theirs.value, HEADS))
    run = general("minilm", f"size=l3_h16_a{HEADS}")
    assert of_teacher(run, student, teacher, labels)[0].item() == pytest.approx(expected, rel=1e-5)


def test_minilmv2_is_its_paper(general):
    student, teacher, labels = corpus_pair(3, width=16)
    expected = sum(
        relation(
            products(getattr(student.heads[3], x), 8), products(getattr(teacher.heads[12], x), 8)
        )
        for x in ("query", "key", "value")
    )
    heads = [f"knowledge.{x}_relation.relation_heads=8" for x in ("query", "key", "value")]
    run = general("minilmv2", f"size=l3_h16_a{HEADS}", *heads)
    assert of_teacher(run, student, teacher, labels)[0].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("width", [16, WIDTH])
def test_tinyberts_layers_are_its_code(general, width):
    student, teacher, labels = corpus_pair(4, width)
    run = general("tinybert_general", f"size=l4_h{width}_a{HEADS}")
    found, objective = of_teacher(run, student, teacher, labels)
    pairs = [(1, 3), (2, 6), (3, 9), (4, 12)]
    embedding, states, attention = tinybert_layers(student, teacher, objective, pairs)
    expected = embedding + sum(states.values()) + sum(attention.values())
    assert found.item() == pytest.approx(expected, rel=1e-5)
