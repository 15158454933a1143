"""What a guideline is made from: comparisons, flips, changes, shares and claims, all computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.effects import pairing, reversals, variance
from analysis.effects.comparable import Grid, grids, with_null
from analysis.guideline import directional
from analysis.guideline.directional import Judged
from analysis.read.axes import FIVE
from analysis.statistics import contrasts
from analysis.statistics.cells import Draws
from analysis.statistics.contrasts import Verdict
from analysis.statistics.seed_tests import MARGIN
from kdlab.errors import BadInput


@dataclass(frozen=True)
class Evidence:
    """Everything that sentences are made from.

    Attributes:
        axes: in which the study's students differ.
        compared: of `matched` for all axes.
        flips: of `flips` for all axes by all others and by task.
        sides: all the comparisons that could be sides of flips.
        changes: of `reversals.changes` for the differences that are shown and beyond the margin, by
            all other axes.
        claims: of the literature, with the study's verdicts.
    """

    grids: dict[str, Grid]
    axes: list[str]
    compared: pd.DataFrame
    flips: pd.DataFrame
    sides: pd.DataFrame
    changes: pd.DataFrame
    shares: pd.DataFrame
    claims: list[Judged]


def gathered(
    scores: pd.DataFrame,
    axes: Sequence[str],
    margin: float = MARGIN,
    draws: Draws | None = None,
    verdicts: Mapping[str, Verdict] | None = None,
) -> Evidence:
    """What a guideline is made from, of scores of one split.

    A contrast is tested once: in the study's tables (`verdicts`), else with its axis, else where
    the literature claims something of it, else as a side of a flip.

    Raises:
        BadInput: if no student has a score.
    """
    # Claims hold under one level of an axis too.
    named = dict.fromkeys([*FIVE, "teacher", *axes, *with_null(scores)])
    known_axes = [axis for axis in named if axis in scores]
    found = grids(scores, known_axes)
    if not any(len(grid.runs) for grid in found.values()):
        raise BadInput("no student of the study has a score that is reported yet")
    varying = [a for a in known_axes if any(len(g.levels[a]) > 1 for g in found.values())]
    known = dict(verdicts or {})
    compared = comparisons(found, varying, margin, draws, known)
    claims = directional.judged(directional.load(), found, margin, draws, known)
    sides = _sides(found, varying, margin, draws, known)
    return Evidence(
        grids=found,
        axes=varying,
        compared=compared,
        flips=reversals.reversed_of(sides),
        sides=sides,
        changes=_changes(found, compared, varying, margin, draws, known),
        shares=variance.shares(scores, known_axes),
        claims=claims,
    )


def comparisons(
    found_in: Mapping[str, Grid],
    axes: Sequence[str],
    margin: float,
    draws: Draws | None,
    known: dict[str, Verdict],
) -> pd.DataFrame:
    """The matched comparisons of all axes: what recommendations rest on."""
    return _stacked([pairing.judged(found_in, axis, margin, draws, known) for axis in axes or [""]])


def _sides(
    found_in: Mapping[str, Grid],
    axes: Sequence[str],
    margin: float,
    draws: Draws | None,
    known: dict[str, Verdict],
) -> pd.DataFrame:
    """All sides of each axis by every other and by task."""
    found = [
        reversals.sides(found_in, axis, by, margin, draws)
        for axis in axes or [""]
        for by in [*(other for other in axes if other != axis), reversals.TASK]
    ]
    return contrasts.judged(_stacked(found), known)


def _changes(
    found_in: Mapping[str, Grid],
    compared: pd.DataFrame,
    axes: Sequence[str],
    margin: float,
    draws: Draws | None,
    known: dict[str, Verdict],
) -> pd.DataFrame:
    """Of what is shown beyond the margin, whether it is more or less so by another axis."""
    rows = compared[pairing.matters(compared)]
    found = [
        reversals.changes(found_in, rows[rows["axis"] != by], by, margin, draws)
        for by in axes or [""]
    ]
    return contrasts.judged(_stacked(found), known)


def _stacked(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames one under the other; empty ones, of which types are not known, only if all are."""
    full = [part for part in parts if len(part)]
    return pd.concat(full, ignore_index=True) if full else parts[0]
