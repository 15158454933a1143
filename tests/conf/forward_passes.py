"""Forward passes drawn at random, and what papers compute of them: in float64, without padding."""

import json
from pathlib import Path

import numpy as np
import torch

from kdlab.models.trace import Heads, Trace
from kdlab.objective.objective import Objective

ROWS, TOKENS, WIDTH, HEADS, VOCABULARY = 3, 5, 24, 4, 17
LABELS = [1, 0, 1]
STEPS = 70


def bert(folder: Path, layers: int) -> Path:
    page = {
        "model_type": "bert", "num_hidden_layers": layers, "hidden_size": WIDTH,
        "num_attention_heads": HEADS, "intermediate_size": 4 * WIDTH, "vocab_size": VOCABULARY,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(page))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def trace(layers: int, outputs: int, width: int = WIDTH, masked=None, seed: int = 0) -> Trace:
    """A forward pass over whole rows, every number drawn by itself."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    shape = (ROWS, HEADS, TOKENS, width // HEADS)
    heads = {
        layer: Heads(drawn(*shape), drawn(*shape), drawn(*shape), shape[-1] ** -0.5)
        for layer in range(1, layers + 1)
    }
    return Trace(
        drawn(ROWS if masked is None else len(masked), outputs) * 2,
        tuple(drawn(ROWS, TOKENS, width) for _ in range(layers + 1)),
        heads,
        torch.ones(ROWS, TOKENS, dtype=torch.bool),
        masked,
    )


def double(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def soft(student: Trace, teacher: Trace, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """log q and p of the outputs."""
    log_q, log_p = (log_softmax(double(x.logits) / temperature) for x in (student, teacher))
    return log_q, np.exp(log_p)


def entropic(student: Trace, teacher: Trace, temperature: float) -> np.ndarray:
    """−p log q by unit and class."""
    log_q, p = soft(student, teacher, temperature)
    return -p * log_q


def divergent(student: Trace, teacher: Trace, temperature: float) -> np.ndarray:
    """p log(p / q) by unit and class."""
    log_q, p = soft(student, teacher, temperature)
    return p * (np.log(p) - log_q)


def hard(student: Trace, labels=LABELS) -> float:
    log_q = log_softmax(double(student.logits))
    return -float(np.mean([row[label] for row, label in zip(log_q, labels, strict=True)]))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def mse(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.square(one - other).mean())


def scores(heads: Heads) -> np.ndarray:
    return double(heads.query) @ double(heads.key).swapaxes(2, 3) * heads.scaling


def pair(classes: int = 2, layers: int = 6) -> tuple[Trace, Trace]:
    return trace(layers, classes, seed=1), trace(12, classes, seed=2)


def tinybert_layers(student: Trace, teacher: Trace, objective: Objective, pairs) -> tuple:
    """The embeddings' loss, and by pair those of states and scores; each through its map."""
    maps = {
        key: (double(m.weight), double(m.bias))
        for key in ("embedding_mse", "hidden_mse")
        for m in [objective.terms[key].projections["shared"]]
    }

    def state(key: str, i: int, j: int) -> float:
        weight, bias = maps[key]
        return mse(double(student.hidden[i]) @ weight.T + bias, double(teacher.hidden[j]))

    states = {(i, j): state("hidden_mse", i, j) for i, j in pairs}
    attention = {(i, j): mse(scores(student.heads[i]), scores(teacher.heads[j])) for i, j in pairs}
    return state("embedding_mse", 0, 0), states, attention
