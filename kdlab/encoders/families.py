"""What differs between families of encoders, in one table.

A family is a model type of transformers. Everything else reads what it needs from here, so that a
new one is a new row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kdlab.encoders.architecture import Architecture
from kdlab.errors import Misfit


@dataclass(frozen=True)
class Family:
    """How a family's configuration and layers differ from BERT's.

    Attributes:
        names: the keys of layers, hidden, heads and intermediate in its configuration.
        fixed: values of its configuration, beside the dimensions, with which its public checkpoints
            were made.
        as_wide: keys of further widths, which here equal the hidden width; a source of weights must
            have them so too.
        kept: keys in which a source of weights must agree with the student.
        ids: keys of special tokens' ids, which the configuration repeats from the tokenizer.
        matrices: matrices of hidden times intermediate in a feed-forward layer; a gated one has 3.
        global_every: of so many layers one attends to the whole row, the others to a window around
            each token; the first layer, which is global, then has no norm before its attention.
        projections: where in a layer queries, keys and values are made, of a family whose attention
            does not go through transformers' attention interface: then this is where they are seen.
        padding: the id of the padding token that its code takes for granted; None: any.
        can_be_narrowed: whether `kdlab.init.tensors` knows what each of its tensors does.
    """

    names: tuple[str, str, str, str] = (
        "num_hidden_layers",
        "hidden_size",
        "num_attention_heads",
        "intermediate_size",
    )
    fixed: Mapping[str, Any] = field(default_factory=dict)
    as_wide: tuple[str, ...] = ()
    kept: tuple[str, ...] = (
        "hidden_act",
        "layer_norm_eps",
        "max_position_embeddings",
        "type_vocab_size",
    )
    ids: tuple[str, ...] = ("pad_token_id",)
    matrices: int = 2
    global_every: int = 1
    projections: tuple[str, str, str] | None = None
    padding: int | None = None
    can_be_narrowed: bool = True


FAMILIES: Mapping[str, Family] = {
    "bert": Family(),
    "roberta": Family(
        fixed={"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
    ),
    "distilbert": Family(  # Sanh et al. 2019, arXiv 1910.01108
        names=("n_layers", "dim", "n_heads", "hidden_dim"),
        kept=("activation", "max_position_embeddings"),
    ),
    "electra": Family(  # Clark et al. 2020, arXiv 2003.10555
        as_wide=("embedding_size",),
    ),
    "modernbert": Family(  # Warner et al. 2024, arXiv 2412.13663
        fixed={"classifier_pooling": "mean"},
        kept=(
            *("hidden_activation", "norm_eps", "norm_bias", "attention_bias", "mlp_bias"),
            *("local_attention", "layer_types", "rope_parameters"),
        ),
        ids=tuple(f"{name}_token_id" for name in ("pad", "bos", "eos", "cls", "sep")),
        matrices=3,
        global_every=3,
        can_be_narrowed=False,
    ),
    "mpnet": Family(  # Song et al. 2020, arXiv 2004.09297
        fixed={"max_position_embeddings": 514, "layer_norm_eps": 1e-5},
        kept=(
            *("hidden_act", "layer_norm_eps", "max_position_embeddings"),
            "relative_attention_num_buckets",
        ),
        ids=("pad_token_id", "bos_token_id", "eos_token_id"),
        projections=("attention.attn.q", "attention.attn.k", "attention.attn.v"),
        padding=1,
        can_be_narrowed=False,
    ),
    "deberta-v2": Family(  # as DeBERTa-v3 has it: He et al. 2021, arXiv 2111.09543
        fixed={
            "type_vocab_size": 0,
            "layer_norm_eps": 1e-7,
            "relative_attention": True,
            "position_buckets": 256,
            "pos_att_type": ["p2c", "c2p"],
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
            "position_biased_input": False,
        },
        kept=(
            *("hidden_act", "layer_norm_eps", "max_position_embeddings", "type_vocab_size"),
            *("relative_attention", "position_buckets", "pos_att_type", "share_att_key"),
            *("norm_rel_ebd", "position_biased_input", "max_relative_positions"),
        ),
        projections=(
            *("attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj"),
        ),
        can_be_narrowed=False,
    ),
}


def configuration(model: Architecture) -> dict[str, Any]:
    """The keys of a model's transformers configuration that its dimensions and family decide."""
    family = FAMILIES[model.family]
    sizes = (model.layers, model.hidden, model.heads, model.intermediate)
    dimensions = dict(zip(family.names, sizes, strict=True))
    return {**dimensions, **dict.fromkeys(family.as_wide, model.hidden), **family.fixed}


def check_layers(family: str, chosen: Sequence[int]) -> None:
    """Refuse to put source layers (1-based) where a student of the family has another kind.

    Raises:
        Misfit: naming the first that does not fit.
    """
    for position, layer in enumerate(chosen, 1):
        in_student, in_source = _layer_kind(family, position), _layer_kind(family, layer)
        if in_student != in_source:
            raise Misfit(
                f"{family}: the source's layer {layer} is {in_source}, the student's layer "
                f"{position} {in_student}; such layers do not stand in for each other"
            )


def _layer_kind(family: str, layer: int) -> str:
    """The kind of a layer (1-based): `plain`, or with windows `first`, `global` or `local`."""
    every = FAMILIES[family].global_every
    if every == 1:
        return "plain"
    if layer == 1:
        return "first"
    return "global" if layer % every == 1 else "local"
