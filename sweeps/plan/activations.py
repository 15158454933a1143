"""Bytes of a model's weights, and of what its forward passes keep and need: plain arithmetic.

A plan has thousands of runs and loads no model. So what a layer keeps for the backward pass is a
row of a table, four numbers a family, as counted on tensors (tests/sweeps/plan/test_activations.py
counts them anew). They differ between devices, as PyTorch computes other kernels there: on a CPU
attention with dropout keeps three matrices [b, h, t, t], and a dropout a mask as large as its
input; on a GPU attention keeps none of them, and a mask has a byte an element. Under bf16
(autocast) matrix products keep their inputs in two bytes, queries, keys and values each its own.
"""

from dataclasses import dataclass

from kdlab.encoders.architecture import Architecture
from kdlab.encoders.families import FAMILIES
from kdlab.options.schema import Count

FLOAT, HALF = 4, 2  # bytes
POSITIONS = 514  # rows of the tables of positions and of segments, about: of BERT


@dataclass(frozen=True)
class Pass:
    """A batch as a model meets it, and where.

    Attributes:
        rows, tokens: of the batch, padded.
        on_gpu: whether on a GPU.
        is_bf16: whether matrix products are in bfloat16.
    """

    rows: Count
    tokens: Count
    on_gpu: bool
    is_bf16: bool

    @property
    def positions(self) -> int:
        """Tokens of all rows, padding included."""
        return self.rows * self.tokens


@dataclass(frozen=True)
class Kept:
    """Bytes that one layer keeps for its backward pass.

    Attributes:
        states: for each token and unit of the width.
        wide: for each token and unit of the feed-forward's width.
        scores: for each row, head, query and key.
        table: for each position and unit of the width, of a table of relative positions.
    """

    states: int
    wide: int
    scores: int
    table: int = 0


# By device and precision: a CPU in fp32 and bf16, a GPU in fp32 and bf16.
BERT = (Kept(40, 8, 12), Kept(38, 4, 12), Kept(34, 8, 0), Kept(30, 4, 0))
DEBERTA = (Kept(40, 8, 12, 24), Kept(32, 4, 10, 16), Kept(34, 8, 9, 24), Kept(30, 4, 9, 16))
LAYERS = {
    "bert": BERT,
    "roberta": BERT,
    "electra": BERT,
    # No dropout after its attention.
    "distilbert": (Kept(36, 8, 12), Kept(36, 4, 12), Kept(33, 8, 0), Kept(29, 4, 0)),
    # No dropout at all, so that a CPU's attention keeps no matrix either; a gated feed-forward.
    "modernbert": (Kept(40, 16, 0), Kept(24, 8, 0), Kept(40, 16, 0), Kept(24, 8, 0)),
    # Their attention is code of their own: softmax, dropout and product are kept anywhere.
    "mpnet": (Kept(40, 8, 12), Kept(32, 4, 10), Kept(34, 8, 9), Kept(30, 4, 9)),
    "deberta-v2": DEBERTA,
}
RELATIVE = 512  # positions of DeBERTa's table; its scores of them are kept as well
EMBEDDED = (12, 9)  # on a CPU and a GPU: the sum, the norm's output, dropout


def parameters(model: Architecture, vocabulary: int) -> tuple[int, int]:
    """Parameters of the layers, and of all (embeddings, pooler and a small head included)."""
    matrices = 4 * model.hidden**2 + _matrices(model) * model.hidden * model.intermediate
    # Biases and two norms.
    layers = model.layers * (matrices + 9 * model.hidden + model.intermediate)
    return layers, layers + (vocabulary + POSITIONS + model.hidden) * model.hidden


def kept(model: Architecture, of: Pass) -> float:
    """What a training forward pass keeps for the backward pass, all hidden states included."""
    each = LAYERS[model.family][2 * of.on_gpu + of.is_bf16]
    layer: float = of.positions * (each.states * model.hidden + each.wide * model.intermediate)
    layer += of.rows * model.heads * of.tokens**2 * each.scores
    if each.table:
        layer += RELATIVE * model.hidden * each.table
        layer += of.positions * model.heads * RELATIVE * 2 * _value(of)
    elif of.on_gpu or not each.scores:
        layer += of.positions * of.tokens * _value(of)  # the mask, as numbers to be added
    if of.is_bf16:  # of the weights, once a pass
        layer += HALF * parameters(model, 0)[0] / model.layers
    return model.layers * layer + EMBEDDED[of.on_gpu] * of.positions * model.hidden


def backward_needs(model: Architecture, of: Pass) -> float:
    """What the backward pass of one layer holds for a while, beside what was kept."""
    feed_forward = of.positions * (2 * model.intermediate + model.hidden) * _value(of)
    attention = 3.0 * of.positions * model.hidden * FLOAT
    if LAYERS[model.family][2 * of.on_gpu + of.is_bf16].scores:
        attention += 2 * of.rows * model.heads * of.tokens**2 * FLOAT
    return max(feed_forward, attention)


def inference_needs(model: Architecture, of: Pass) -> float:
    """What a forward pass without gradients holds for a while, beside its hidden states."""
    wide: float = 2 * of.positions * max(model.intermediate, 2 * model.hidden) * _value(of)
    if LAYERS[model.family][0].scores and FAMILIES[model.family].projections:
        wide = max(wide, 2 * FLOAT * of.rows * model.heads * of.tokens**2)
    return wide


def states(model: Architecture, of: Pass, depth: int) -> float:
    """The hidden states of the first layers, and of the embeddings, in float32."""
    return float((depth + 1) * of.positions * model.hidden * FLOAT)


def heads(model: Architecture, of: Pass) -> float:
    """The queries, keys and values of one layer, and its scores where these are the layer's own."""
    scores = 0
    if FAMILIES[model.family].projections:
        scores = of.rows * model.heads * of.tokens**2 * FLOAT
    return float(3 * of.positions * model.hidden * _value(of) + scores)


def heads_beside(model: Architecture, of: Pass, layers: int) -> float:
    """What the heads of some layers take beside `kept`, which has most of them."""
    each = 0.0
    if FAMILIES[model.family].projections:
        each = float(of.rows * model.heads * of.tokens**2 * FLOAT)
    elif LAYERS[model.family][2 * of.on_gpu + of.is_bf16].scores:
        each = heads(model, of)  # a CPU's attention keeps copies of them
    return layers * each


def _matrices(model: Architecture) -> int:
    return FAMILIES[model.family].matrices


def _value(of: Pass) -> int:
    return HALF if of.is_bf16 else FLOAT
