"""The effect of each axis and of pairs of axes: shares of variance, means, matched pairs, flips."""

from analysis.effects.pairing import matched
from analysis.effects.reversals import flips
from analysis.effects.variance import means, shares

__all__ = ["flips", "matched", "means", "shares"]
