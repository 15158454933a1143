"""What a model costs: parameters, floating-point operations, and the time of a forward pass."""

import json
import statistics
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import nn

from kdlab.device import settle
from kdlab.encoders.architecture import Architecture
from kdlab.encoders.families import FAMILIES
from kdlab.models import layer_list
from kdlab.storage.durable import short_digest, write_whole
from kdlab.tracking.provenance import machine

FLOP_TOKENS = 128
PASSES = 5  # timed forward passes at most
PATIENCE = 0.2  # seconds after which no further pass is timed


def parameters(model: Any) -> dict[str, int]:
    """Parameters of the embeddings, of the Transformer layers, and of the whole model.

    A child of the encoder that holds an embedding table is embeddings, with its norm and without
    the layers, if these are in it too: MPNet's table of relative positions is beside them.
    """
    base = model.base_model
    layers = layer_list.layers(base)
    in_layers = set(map(id, layers.parameters()))
    embeddings = [
        sum(p.numel() for p in child.parameters() if id(p) not in in_layers)
        for child in base.children()
        if any(isinstance(module, nn.Embedding) for module in child.modules())
    ]
    return {
        "embeddings": sum(embeddings),
        "transformer": _count(layers),
        "total": _count(model),
    }


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def inference_flops(model: Architecture, tokens: int = FLOP_TOKENS) -> int:
    """FLOPs of one forward pass over one row: the layers' matrix products, 2 per multiply-add.

    Embeddings, norms, softmaxes and the classifier are left out; a layer with a window counts as
    one without, one with relative positions as one without. BERT-base at 128 tokens: 22.4 G.
    """
    matrices = FAMILIES[model.family].matrices
    projections = 4 * model.hidden**2 + matrices * model.hidden * model.intermediate
    attention = 2 * tokens * model.hidden
    return 2 * model.layers * tokens * (projections + attention)


def latency(
    model: Any, architecture: Architecture, root: str | Path, tokens: int = FLOP_TOKENS
) -> float:
    """Milliseconds of one forward pass over one row of `tokens` tokens.

    It is measured once for all models of an architecture on one kind of machine (its device,
    PyTorch and the number of threads): models that differ in their weights alone would otherwise
    differ by what else the machine does. The first process to need a number measures it and keeps
    it in `<root>/latency`.
    """
    key = {
        "architecture": asdict(architecture),
        "model": type(model).__name__,
        "vocabulary": model.config.vocab_size,
        "device": machine(next(model.parameters()).device),
        "threads": torch.get_num_threads(),
        "torch": version("torch"),
        "latency_tokens": tokens,
    }
    digest = short_digest(json.dumps(key, sort_keys=True).encode())
    path = Path(root) / "latency" / f"{digest}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        milliseconds = _kept_latency(path)
        if milliseconds is None:
            milliseconds = measured_latency(model, tokens)
            write_whole(path, json.dumps(key | {"latency": milliseconds}).encode())
    return milliseconds


def _kept_latency(path: Path) -> float | None:
    """The latency in a file; None where there is no file, or no number in it."""
    try:
        return float(json.loads(path.read_bytes())["latency"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def measured_latency(model: Any, tokens: int = FLOP_TOKENS) -> float:
    """Measure the milliseconds of one forward pass over one row: the median of a few passes.

    The first pass, which also warms caches up, does not count.

    In float32, without dropout, on the model's device and the process's threads; of a language
    model with its outputs at every token. Every family has positions for at least 512.
    """
    from kdlab.models.trace import inference_logits  # loads transformers, which plans do without

    device = next(model.parameters()).device
    # Any token but padding, from which RoBERTa would count no position.
    ids = torch.full((1, tokens), int(model.config.pad_token_id == 0), device=device)
    row = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    was_training = model.training
    model.eval()
    seconds: list[float] = []
    while (len(seconds) <= PASSES and sum(seconds) < PATIENCE) or len(seconds) < 2:
        settle(device)
        began = time.perf_counter()
        inference_logits(model, row)
        settle(device)
        seconds.append(time.perf_counter() - began)
    model.train(was_training)
    return round(1000 * statistics.median(seconds[1:]), 4)
