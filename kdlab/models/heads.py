"""What a model has beside its encoder: a classifier, or a masked language model's head."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

from kdlab.errors import BadInput
from kdlab.models import checkpoints
from kdlab.models.trace import NAME
from kdlab.options.schema import Task


def kind(task: Task) -> Any:
    """transformers' class of models for a task."""
    return AutoModelForMaskedLM if task.masked else AutoModelForSequenceClassification


def load(task: Task, path: Path) -> Any:
    """A checkpoint with its head for a task.

    Raises:
        BadInput: the task masks tokens, and the checkpoint lacks a language model's head.
    """
    if task.masked:
        model, missing = _with_head(task, path)
        if missing:
            raise BadInput(
                f"teacher: {path} has no masked-LM head ({missing[0]} is missing); with "
                "teacher.finetuned=false a run trains one first"
            )
        return model
    return kind(task).from_pretrained(
        path, attn_implementation=NAME, use_safetensors=True, dtype=torch.float32
    )


def name_classes(model: Any, names: Sequence[str]) -> None:
    """Write into a classifier's configuration what its outputs are called."""
    model.config.id2label = dict(enumerate(names))
    model.config.label2id = {name: number for number, name in enumerate(names)}


def reorder(model: Any, order: Sequence[int]) -> None:
    """Put a classifier's outputs into another order, output `order[i]` becoming the i-th.

    The weights are moved, so that whatever reads the classifier or its outputs has them so.
    """
    last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    assert last.out_features == len(order), f"{type(model).__name__} does not end in its classifier"
    with torch.no_grad():
        last.weight.copy_(last.weight[list(order)])
        if last.bias is not None:
            last.bias.copy_(last.bias[list(order)])


def take_along(task: Task, model: Any, path: Path) -> bool:
    """Copy the head of a checkpoint; false if it has none of the model's shape."""
    if checkpoints.config(str(path))["model_type"] != model.config.model_type:
        return False
    source, missing = _with_head(task, path)
    own, theirs = _head(model), _head(source)
    shapes = [{name: p.shape for name, p in head.items()} for head in (own, theirs)]
    if missing or shapes[0] != shapes[1]:
        return False
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(theirs[name])
    return True


def _with_head(task: Task, path: Path) -> tuple[Any, list[str]]:
    """A checkpoint with the head of a task, and what the head lacks there."""
    model, loading = kind(task).from_pretrained(
        path,
        attn_implementation=NAME,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    return model, sorted(_head(model).keys() & loading["missing_keys"])


def _head(model: Any) -> dict[str, nn.Parameter]:
    """Its parameters by name; what is tied to the embeddings is the encoder's."""
    encoder = f"{model.base_model_prefix}."
    return {name: p for name, p in model.named_parameters() if not name.startswith(encoder)}
