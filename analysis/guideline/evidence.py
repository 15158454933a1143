"""What a guideline is made from: comparisons, flips, changes, shares and claims, all computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.axes import FIVE
from analysis.cells import Draws
from analysis.effects import pairing, reversals, variance
from analysis.effects.comparable import Grid, grids, with_null
from analysis.guideline import directional
from analysis.guideline.directional import Verdict
from analysis.stats import LEVEL, MARGIN, holm
from kdlab.schema import BadInput


@dataclass(frozen=True)
class Evidence:
    """Everything that sentences are made from.

    Attributes:
        axes: in which the study's students differ.
        contrasts: of `matched` for all axes, one family.
        flips: of `flips` for all axes by all others and by task, one family.
        sides: all the two sides that could be flips, as of `two_sided`.
        changes: of `reversals.changes` for the differences that are shown and beyond the margin, by
            all other axes, one family.
        verdicts: on the claims of the literature, one family.
    """

    grids: dict[str, Grid]
    axes: list[str]
    contrasts: pd.DataFrame
    flips: pd.DataFrame
    sides: pd.DataFrame
    changes: pd.DataFrame
    shares: pd.DataFrame
    verdicts: list[Verdict]


def gathered(
    scores: pd.DataFrame, axes: Sequence[str], margin: float = MARGIN, draws: Draws | None = None
) -> Evidence:
    """What a guideline is made from, of scores of one split.

    Raises:
        BadInput: if no student has a score.
    """
    # Claims hold under one level of an axis too.
    named = dict.fromkeys([*FIVE, "teacher", *axes, *with_null(scores)])
    known = [axis for axis in named if axis in scores]
    found = grids(scores, known)
    if not any(len(grid.runs) for grid in found.values()):
        raise BadInput("no student of the study has a score that is reported yet")
    varying = [a for a in known if any(len(g.levels[a]) > 1 for g in found.values())]
    sides = two_sided(found, varying, margin, draws)
    contrasts = comparisons(found, varying, margin, draws)
    return Evidence(
        grids=found,
        axes=varying,
        contrasts=contrasts,
        changes=changes(found, contrasts, varying, margin, draws),
        flips=reversals.reversed_shown(sides),
        sides=sides,
        shares=variance.shares(scores, known),
        verdicts=directional.judged(directional.load(), found, margin, draws),
    )


def comparisons(
    found_in: Mapping[str, Grid],
    axes: Sequence[str],
    margin: float = MARGIN,
    draws: Draws | None = None,
) -> pd.DataFrame:
    """The matched comparisons of all axes as one family: what recommendations rest on."""
    found = [pairing.compared(found_in, axis, margin, draws) for axis in axes or [""]]
    return pairing.claimed(_stacked(found), margin)


def two_sided(
    found_in: Mapping[str, Grid], axes: Sequence[str], margin: float, draws: Draws | None
) -> pd.DataFrame:
    """All two sides of each axis by every other and by task, of which flips are one family."""
    return _stacked(
        [
            reversals.two_sided(found_in, axis, by, margin, draws)
            for axis in axes or [""]
            for by in [*(other for other in axes if other != axis), reversals.TASK]
        ]
    )


def changes(
    found_in: Mapping[str, Grid],
    contrasts: pd.DataFrame,
    axes: Sequence[str],
    margin: float,
    draws: Draws | None,
) -> pd.DataFrame:
    """Of what is recommended by, whether it is more or less so by another axis; one family."""
    rows = contrasts[pairing.matters(contrasts)]
    found = _stacked(
        [
            reversals.changes(found_in, rows[rows["axis"] != by], by, margin, draws)
            for by in axes or [""]
        ]
    )
    adjusted = np.array(holm(found["p"].tolist()))
    apart = (found["low_apart"] > 0) | (found["high_apart"] < 0)
    return found.assign(adjusted=adjusted, shown=apart & (adjusted < LEVEL))


def _stacked(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames one under the other; empty ones, of which types are not known, only if all are."""
    full = [part for part in parts if len(part)]
    return pd.concat(full, ignore_index=True) if full else parts[0]
