"""The effect of each axis and of pairs of axes: shares of variance, means, matched pairs, flips."""

from analysis.effects.pairing import matched
from analysis.effects.reversals import flips
from analysis.effects.variance import marginal_means, variance_shares

__all__ = ["flips", "marginal_means", "matched", "variance_shares"]
