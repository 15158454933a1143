"""Students: Hugging Face models with a head for the task, and nothing added to them.

The head is a classifier, or for masked tokens a language model's, tied to the embeddings.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from kdlab import streams
from kdlab.device import random_state, seeded
from kdlab.encoders.architecture import Architecture
from kdlab.encoders.families import FAMILIES, configuration
from kdlab.errors import BadInput, Misfit
from kdlab.models import checkpoints, heads, origins
from kdlab.models.attention_heads import implementation
from kdlab.run import Origin, Run

HEAD_DEVIATION = 0.02  # BERT's initializer range


def build_student(run: Run, tokenizer: Any, root: str) -> nn.Module:
    """The student at step 0: random weights, then what its init copies, then its head.

    The encoder is drawn from the stream "student", the head from "head": a classifier is the same
    in every arm of a study that shares seed, width and classes. A masked language model takes the
    head of its init's source, if that has one of the same shape. A later stage takes the head of
    the run that it starts from with `init.head=keep`, else it has a fresh one.

    Args:
        run: the student's.
        tokenizer: the student's.
        root: where parents' models are.
    """
    family = FAMILIES[run.student.family]
    ids = {key: getattr(tokenizer, key) for key in family.ids}
    if family.padding not in (None, ids["pad_token_id"]):
        raise BadInput(
            f"family={run.student.family}: pads with token {family.padding}, the tokenizer with "
            f"{ids['pad_token_id']}"
        )
    config = _config(run, _vocabulary(run, tokenizer), **ids)
    # On the CPU alone: a GPU that belongs to others is not even looked at.
    cpu = torch.device("cpu")
    with random_state(seeded(cpu, streams.key(run.seed, "student"))):
        model = heads.MODELS[run.task.kind].from_config(
            config, attn_implementation=implementation(run.student.family)
        )
    _copy(run, model, root)
    if not _take_head(run, model, root):
        _fresh_head(model, run.seed)
    return model


def outline(run: Run, vocabulary: int) -> nn.Module:
    """The student's parameters on PyTorch's meta device: exact counts that take no memory.

    Args:
        run: the student's.
        vocabulary: rows of its embedding.
    """
    # The padding token that a family has by default may lie beyond a small vocabulary.
    ids = dict.fromkeys(FAMILIES[run.student.family].ids, 0)
    with torch.device("meta"):
        return heads.MODELS[run.task.kind].from_config(_config(run, vocabulary, **ids))


def _config(run: Run, vocabulary: int, **ids: int) -> Any:
    return AutoConfig.for_model(
        run.student.family,
        vocab_size=vocabulary,
        **({} if run.task.is_language_model else {"num_labels": run.task.classes}),
        **ids,
        **configuration(run.student),
    )


def _take_head(run: Run, model: Any, root: str) -> bool:
    """Copy a head where the init's source has one for the student; false if it has none."""
    if run.init.origin is None:
        return False
    is_taken = run.init.head == "keep" if run.init.stage else run.task.is_language_model
    return is_taken and heads.copy_head(run.task, model, origins.folder(run.init.origin, root))


def _vocabulary(run: Run, tokenizer: Any) -> int:
    """Rows of the embedding: a checkpoint may have more than its tokenizer has tokens."""
    if not run.tokenizer or not (checkpoints.locate(run.tokenizer) / "config.json").is_file():
        return len(tokenizer)
    return max(len(tokenizer), checkpoints.config(run.tokenizer)["vocab_size"])


def _copy(run: Run, model: Any, root: str) -> None:
    """Copy into the encoder what the run's init makes of its source's weights."""
    if run.init.origin is None:
        return
    weights = _weights(run.init.origin, root)
    copied = run.init.call.bind()(weights, run.student, origins.architecture(run.init.origin))
    encoder = model.base_model.state_dict()
    # A pooler may be in one of them alone: not every model of a family has one.
    missing = [name for name in encoder if name not in copied and not name.startswith("pooler.")]
    assert not missing, f"init {run.init.name} leaves {missing} random"
    if extra := [name for name in copied if name not in encoder and not name.startswith("pooler.")]:
        raise BadInput(f"init={run.init.name}: the student has no {extra[0]}, the source has")
    copied = {name: tensor for name, tensor in copied.items() if name in encoder}
    for name, tensor in copied.items():
        if encoder[name].shape != tensor.shape:
            raise BadInput(
                f"init={run.init.name}: {name} is {list(tensor.shape)} in the source "
                f"and {list(encoder[name].shape)} in the student (another vocabulary?)"
            )
    model.base_model.load_state_dict(copied, strict=False)


def _weights(origin: Origin, root: str) -> dict[str, Tensor]:
    """The weights of a model's encoder."""
    model, missing = heads.pretrained(AutoModel, origins.folder(origin, root))
    # What the files lack was filled from the process's random state: leave it out.
    return {name: tensor for name, tensor in model.state_dict().items() if name not in missing}


def check_source(student: Architecture, checkpoint: str) -> None:
    """`Misfit` for weights trained under another activation, norm or position table."""
    family = FAMILIES[student.family]
    student_config = AutoConfig.for_model(student.family, **configuration(student))
    source_config = AutoConfig.for_model(**checkpoints.dimensions(checkpoint))
    for key in family.as_wide:
        width, hidden = getattr(source_config, key), getattr(source_config, family.names[1])
        if width != hidden:
            raise Misfit(f"{key} is {width} in the source, not its width {hidden}")
    for key in family.kept:
        # What a configuration does not state, its class may not have.
        in_student: Any = getattr(student_config, key, None)
        in_source: Any = getattr(source_config, key, None)
        if key == "layer_types":  # an item for each layer
            shared = min(len(in_student), len(in_source))
            in_student, in_source = in_student[:shared], in_source[:shared]
        if in_student != in_source:
            raise Misfit(f"{key} is {in_source} in the source, {in_student} here")


def _fresh_head(model: Any, seed: int) -> None:
    """Draw the head's linear layers from their own stream; one that is tied is the encoder's."""
    generator = torch.Generator().manual_seed(streams.key(seed, "head"))
    tied = model.get_output_embeddings()
    for child in model.children():
        for module in child.modules() if child is not model.base_model else ():
            if isinstance(module, nn.Linear) and module is not tied:
                nn.init.normal_(module.weight, std=HEAD_DEVIATION, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
