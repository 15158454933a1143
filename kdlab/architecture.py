"""The dimensions of an encoder, as students, teachers, matchings and inits need them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """`family` is transformers' model type; widths are in units, `intermediate` the feed-forward's."""

    family: str
    layers: int
    hidden: int
    heads: int
    intermediate: int
