"""What a guideline is made from: comparisons, flips, changes, shares and claims, all computed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.effects import pairing, reversals, variance
from analysis.effects.comparable import Grid, grids, with_null
from analysis.guideline.directional import JudgedClaim, judge_claims, load
from analysis.read.axes import FIVE
from analysis.statistics import contrasts
from analysis.statistics.pairs import Inference
from kdlab.errors import BadInput


@dataclass(frozen=True)
class Evidence:
    """Everything that sentences are made from.

    Attributes:
        grids: by column the study's students.
        axes: in which these differ.
        compared: `pairing.comparisons` of all axes: what recommendations rest on.
        flips: of `flips` for all axes by all others and by task.
        sides: all the comparisons that could be sides of flips.
        changes: of `reversals.changes` for the differences that are shown and beyond the margin, by
            all other axes.
        shares: of the variance, as of `variance_shares`.
        claims: of the literature, with the study's verdicts.
    """

    grids: dict[str, Grid]
    axes: list[str]
    compared: pd.DataFrame
    flips: pd.DataFrame
    sides: pd.DataFrame
    changes: pd.DataFrame
    shares: pd.DataFrame
    claims: list[JudgedClaim]


def gathered(
    scores: pd.DataFrame, axes: Sequence[str], inference: Inference | None = None
) -> Evidence:
    """Every comparison, flip, change, share and claim that a guideline speaks of.

    A contrast is tested once: in the study's tables, else with its axis, else where the literature
    claims something of it, else as a side of a flip.

    Args:
        scores: as `analysis.read.frame.scores`, of one split.
        axes: in which the study's students differ.
        inference: margin and draws, with the verdicts of the study's tables.

    Raises:
        BadInput: if no student has a score.
    """
    inference = inference or Inference()
    # Claims are looked up in axes with one level too: what the study holds constant is known.
    names = dict.fromkeys([*FIVE, "teacher", *axes, *with_null(scores)])
    known_axes = [axis for axis in names if axis in scores]
    by_column = grids(scores, known_axes)
    if not any(len(grid.runs) for grid in by_column.values()):
        raise BadInput("no student of the study has a score that is reported yet")
    # A recipe is a name for values of other axes: the grids do not have it.
    levels_of = [grid.levels for grid in by_column.values()]
    varying = [a for a in known_axes if any(len(levels.get(a, [])) > 1 for levels in levels_of)]
    # In this order: the first that tests a contrast gives its verdict.
    compared = comparisons(by_column, varying, inference)
    claims = judge_claims(load(), by_column, inference)
    sides = contrasts.judged(
        _stacked(
            reversals.sides(by_column, axis, by, inference)
            # Of no axis at all the frame is empty but has its columns; so below.
            for axis in varying or [""]
            for by in [*(other for other in varying if other != axis), reversals.TASK]
        ),
        inference.verdicts,
    )
    # Whether a difference changes is asked of those only that a recommendation may rest on: all
    # pairs of places of all differences would be too many tests to show anything.
    rows = compared[pairing.matters(compared)]
    changes = contrasts.judged(
        _stacked(
            reversals.changes(by_column, rows[rows["axis"] != by], by, inference)
            for by in varying or [""]
        ),
        inference.verdicts,
    )
    return Evidence(
        grids=by_column,
        axes=varying,
        compared=compared,
        flips=reversals.reversed_of(sides),
        sides=sides,
        changes=changes,
        shares=variance.variance_shares(scores, known_axes),
        claims=claims,
    )


def comparisons(
    by_column: dict[str, Grid], axes: Sequence[str], inference: Inference
) -> pd.DataFrame:
    """The matched comparisons of all axes."""
    return _stacked(pairing.comparisons(by_column, axis, inference) for axis in axes or [""])


def _stacked(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Frames one under the other.

    Empty ones, of whose columns pandas does not know the types, are left out unless all are empty.
    """
    frames = list(frames)
    full = [frame for frame in frames if len(frame)]
    return pd.concat(full, ignore_index=True) if full else frames[0]
