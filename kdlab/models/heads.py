"""What a model has beside its encoder: a classifier, or a masked language model's head."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification
from transformers.utils import logging

from kdlab.errors import BadInput
from kdlab.metrics import Kind
from kdlab.models import checkpoints
from kdlab.models.attention_heads import implementation
from kdlab.options.schema import Task

# By the kind of task (`Task.kind`) transformers' class of models with its head.
MODELS: dict[Kind, Any] = {
    "classification": AutoModelForSequenceClassification,
    "regression": AutoModelForSequenceClassification,
    "masked_lm": AutoModelForMaskedLM,
}


def pretrained(kind: Any, path: Path) -> tuple[Any, set[str]]:
    """A checkpoint as one of transformers' classes, float32, and the parameters that it lacks.

    transformers fills these from the process's random state, and would report them: here they are
    expected, since a pretrained encoder has no classifier.
    """
    with quiet():
        model, loading = kind.from_pretrained(
            path,
            attn_implementation=implementation(checkpoints.config(str(path))["model_type"]),
            use_safetensors=True,  # never unpickled
            dtype=torch.float32,
            output_loading_info=True,
        )
    return model, set(loading["missing_keys"])


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' warnings and progress bars out of the output; afterwards as before."""
    verbosity, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()


def load_with_head(task: Task, path: Path) -> Any:
    """A checkpoint with its head for a task.

    Raises:
        BadInput: the task masks tokens, and the checkpoint lacks a language model's head.
    """
    model, missing = pretrained(MODELS[task.kind], path)
    if task.is_language_model and (absent := sorted(_head(model).keys() & missing)):
        raise BadInput(
            f"teacher: {path} has no masked-LM head ({absent[0]} is missing); with "
            "teacher.finetuned=false a run trains one first"
        )
    return model


def name_classes(model: Any, names: Sequence[str]) -> None:
    """Write into a classifier's configuration what its outputs are called."""
    model.config.id2label = dict(enumerate(names))
    model.config.label2id = {name: number for number, name in enumerate(names)}


def reorder(model: Any, order: Sequence[int]) -> None:
    """Put a classifier's outputs into another order: output `order[i]` becomes the i-th.

    The rows of the weights are moved, so that whoever reads weights or outputs finds one order.
    """
    last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    assert last.out_features == len(order), f"{type(model).__name__} does not end in its classifier"
    with torch.no_grad():
        last.weight.copy_(last.weight[list(order)])
        if last.bias is not None:
            last.bias.copy_(last.bias[list(order)])


def copy_head(task: Task, model: Any, path: Path) -> bool:
    """Copy the head of a checkpoint into a model; false if it has none of the model's shape."""
    if checkpoints.config(str(path))["model_type"] != model.config.model_type:
        return False
    source, missing = pretrained(MODELS[task.kind], path)
    student_head, source_head = _head(model), _head(source)
    shapes = [{name: p.shape for name, p in head.items()} for head in (student_head, source_head)]
    if source_head.keys() & missing or shapes[0] != shapes[1]:
        return False
    with torch.no_grad():
        for name, parameter in student_head.items():
            parameter.copy_(source_head[name])
    return True


def _head(model: Any) -> dict[str, nn.Parameter]:
    """The head's parameters by name; what is tied to the embeddings belongs to the encoder."""
    encoder = f"{model.base_model_prefix}."
    return {name: p for name, p in model.named_parameters() if not name.startswith(encoder)}
