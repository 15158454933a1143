"""The dimensions of an encoder, as students, teachers, matchings and inits need them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """The dimensions of an encoder.

    Attributes:
        family: transformers' model type, a key of `kdlab.encoders.families.FAMILIES`.
        layers: Transformer layers.
        hidden: width of the hidden states.
        heads: attention heads of a layer.
        intermediate: width of the feed-forward.
    """

    family: str
    layers: int
    hidden: int
    heads: int
    intermediate: int
