"""The dimensions of an encoder, as students, teachers, matchings and inits need them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """`family` is transformers' model type, `intermediate` the width of the feed-forward."""

    family: str
    layers: int
    hidden: int
    heads: int
    intermediate: int
