"""The effect of each axis and of pairs of axes: shares of variance, means, matched pairs, flips."""

from analysis.matched import matched
from analysis.reversals import flips
from analysis.variance import means, shares

__all__ = ["flips", "matched", "means", "shares"]
