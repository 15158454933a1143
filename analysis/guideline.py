"""The best-practice guideline that a study's own data supports: no sentence without a number.

Per axis what to prefer, on what evidence, where it flips, whether the literature is borne out, and
what the data cannot say. A level is recommended only by matched comparisons that hold after Holm's
correction over all axes and columns of the guideline together, with five seeds or more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import directional, frame, matched, reversals, variance
from analysis import guideline_context as context
from analysis import guideline_limits as limits
from analysis import guideline_text as text
from analysis.axes import FIVE
from analysis.axes import axes as differing
from analysis.cells import Draws
from analysis.comparable import Grid, grids
from analysis.directional import Verdict
from analysis.guideline_text import Statement
from analysis.stats import LEVEL, MARGIN, holm
from kdlab.schema import BadInput

SPLIT = "report"
RECOMMENDED, UNKNOWN, NOT_STUDIED = "recommendation", "cannot tell", "not studied"


@dataclass(frozen=True)
class Section:
    """What is said of one axis.

    Attributes:
        verdict: `recommendation`, `cannot tell`, or `not studied` where the axis does not vary.
        recommended: what to prefer, or that and why nothing can be told.
        evidence: the differences, and shares of the variance.
        flips: where the better of two levels is another.
        changes: where shown differences are larger or smaller.
        literature: directional claims and whether the study agrees.
        unknown: what the data cannot say.
    """

    axis: str
    verdict: str
    recommended: list[Statement]
    evidence: list[Statement]
    flips: list[Statement]
    changes: list[Statement]
    literature: list[Statement]
    unknown: list[Statement]


@dataclass(frozen=True)
class Guideline:
    """A study's guideline, for `markdown` or a page.

    Attributes:
        margin: points within which a difference counts as none.
        data: what it is made from: tasks, runs, seeds, families of tests.
        sections: one each axis, the five main ones first.
        limits: what the data cannot say of any axis.
    """

    study: str
    question: str
    margin: float
    data: list[Statement]
    sections: list[Section]
    limits: list[Statement]


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


def guideline(runs: pd.DataFrame, margin: float = MARGIN) -> Guideline:
    """The guideline of a study.

    Args:
        runs: as `analysis.load` gives them.
        margin: points within which a difference does not matter.

    Raises:
        BadInput: if no student has a score that is reported.
    """
    scores = frame.scores(runs)
    scores = scores[scores["split"].fillna("").str.startswith(SPLIT)]
    draws = limits.draws(runs, scores)
    found = gathered(scores, differing(runs), margin, draws)
    return worded(runs, scores, found, margin, draws is not None)


def worded(
    runs: pd.DataFrame, scores: pd.DataFrame, found: Evidence, margin: float, has_examples: bool
) -> Guideline:
    """Evidence in words: `has_examples` says whether intervals resample examples too."""
    shown = [axis for axis in dict.fromkeys([*FIVE, *found.axes]) if _is_shown(found, axis)]
    return Guideline(
        study=str(runs.attrs["study"]),
        question=str(runs["question"].iloc[0]),
        margin=margin,
        data=text.data(
            found.grids, found.contrasts, found.sides, found.changes, found.verdicts, has_examples
        ),
        sections=[_section(found, axis, margin) for axis in shown],
        limits=limits.general(runs, scores, found.grids, has_examples),
    )


def gathered(
    scores: pd.DataFrame, axes: Sequence[str], margin: float = MARGIN, draws: Draws | None = None
) -> Evidence:
    """What a guideline is made from, of scores of one split.

    Raises:
        BadInput: if no student has a score.
    """
    # Claims hold under one level of an axis too.
    known = [axis for axis in dict.fromkeys([*FIVE, "teacher", *axes]) if axis in scores]
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
        shares=variance.shares(scores, varying),
        verdicts=directional.judged(directional.load(), found, margin, draws),
    )


def comparisons(
    found_in: Mapping[str, Grid],
    axes: Sequence[str],
    margin: float = MARGIN,
    draws: Draws | None = None,
) -> pd.DataFrame:
    """The matched comparisons of all axes as one family: what recommendations rest on."""
    found = [matched.compared(found_in, axis, margin, draws) for axis in axes or [""]]
    return matched.claimed(_stacked(found), margin)


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
    rows = contrasts[text.matters(contrasts)]
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


def _is_shown(found: Evidence, axis: str) -> bool:
    """The five axes always; others where they vary and are no second name of one that does."""
    return axis in FIVE or any(axis in grid.axes for grid in found.grids.values())


def _section(found: Evidence, axis: str, margin: float) -> Section:
    own = found.contrasts[found.contrasts["axis"] == axis]
    flipped = found.flips[found.flips["axis"] == axis]
    verdicts = [verdict for verdict in found.verdicts if verdict.claim.axis == axis]
    prefer = text.preferred(own, flipped)
    is_varied = axis in found.axes
    return Section(
        axis=axis,
        verdict=RECOMMENDED if prefer else UNKNOWN if is_varied else NOT_STUDIED,
        recommended=prefer or text.undecided(own, is_varied, found.grids, axis),
        evidence=[
            *text.differences(own, margin),
            *context.costs(found.grids, axis),
            *context.shared(found.shares, axis),
        ],
        flips=context.flipped(flipped),
        changes=context.changed(found.changes[found.changes["axis"] == axis]),
        literature=context.borne_out(verdicts),
        unknown=limits.of_axis(found.grids, axis, own, margin) if is_varied else [],
    )


def markdown(found: Guideline) -> str:
    """A guideline as Markdown: the same records give the same bytes."""
    lines = [f"# Guideline of study {found.study}", "", found.question, ""]
    lines += _bullets("What it is made from", found.data, 2)
    for section in found.sections:
        lines += [f"## `{section.axis}`: {section.verdict}", ""]
        lines += [f"- {statement.text}" for statement in section.recommended] + [""]
        for title, statements in (
            ("Evidence", section.evidence),
            ("Where it flips", section.flips),
            ("Where a difference is larger", section.changes),
            ("The literature", section.literature),
            ("What the data cannot say", section.unknown),
        ):
            lines += _bullets(title, statements, 3)
    lines += _bullets("What the data cannot say of any axis", found.limits, 2)
    return "\n".join(lines).rstrip() + "\n"


def _bullets(title: str, statements: Sequence[Statement], level: int) -> list[str]:
    if not statements:
        return []
    return [f"{'#' * level} {title}", "", *(f"- {s.text}" for s in statements), ""]
