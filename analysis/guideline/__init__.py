"""The best-practice guideline that a study's own data supports: no sentence without a number.

For each axis it says what to prefer, on what evidence, where that flips, whether the literature is
borne out, and what the data cannot say. A level is recommended only by matched comparisons that
hold after Holm's correction in their family, and beside it stands every level that is not shown to
be worse. What the study's tables compare too has the verdict that it has there.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from analysis.guideline import context, limits, text
from analysis.guideline.evidence import Evidence, gathered
from analysis.read import frame
from analysis.read.axes import FIVE
from analysis.read.axes import axes as differing
from analysis.statistics.pairs import Inference
from analysis.statistics.seed_tests import MARGIN
from analysis.tables.arms import against_controls
from analysis.tables.layout import EXCLUDED
from analysis.tables.plain_text import code, item, literal, prose

RECOMMENDED, UNKNOWN, NOT_STUDIED = "recommendation", "cannot tell", "not studied"


@dataclass(frozen=True)
class Section:
    """The sentences on one axis.

    Attributes:
        verdict: `recommendation`, `cannot tell`, or `not studied` where the axis is not to vary.
        in_short: as `recommended`, in one sentence for all columns that say the same.
        recommended: what to prefer, or that and why nothing can be told.
        parts: by title the sentences on the evidence, on where the better of two levels is another
            and where a difference is larger, on the literature, and on what the data cannot say.
    """

    axis: str
    verdict: str
    in_short: list[str]
    recommended: list[str]
    parts: dict[str, list[str]]


@dataclass(frozen=True)
class Guideline:
    """A study's guideline, for `markdown` or a page.

    Attributes:
        margin: points within which a difference counts as none.
        data: what it is made from: tasks, runs, seeds, families of tests.
        sections: one each axis, the five and those of claims of the literature always.
        limits: what the data cannot say of any axis.
    """

    study: str
    question: str
    margin: float
    data: list[str]
    sections: list[Section]
    limits: list[str]

    def _repr_markdown_(self) -> str:
        return markdown(self)


def guideline(runs: pd.DataFrame, margin: float = MARGIN) -> Guideline:
    """The guideline of a study.

    Args:
        runs: as `analysis.load` gives them.
        margin: points within which a difference does not matter.

    Raises:
        BadInput: if no student has a score that is reported.
    """
    scores = frame.reported(frame.scores(runs))
    draws = limits.draws(runs, scores)
    is_of_tables = (scores["state"] != EXCLUDED) & (scores["stage"] != "tune")
    # The tables come first: what they compare keeps the verdict that a reader has seen there.
    verdicts = against_controls(scores[is_of_tables], draws, margin).verdicts
    evidence = gathered(scores, differing(runs), Inference(margin, draws, dict(verdicts)))
    return worded(runs, scores, evidence, margin, draws is not None)


def worded(
    runs: pd.DataFrame, scores: pd.DataFrame, evidence: Evidence, margin: float, has_examples: bool
) -> Guideline:
    """The guideline that some evidence supports, in sentences.

    Args:
        runs: as `analysis.load` gives them.
        scores: of these, on the split that is reported.
        evidence: as of `gathered`.
        margin: points within which a difference does not matter.
        has_examples: whether intervals hold what comes from the examples.
    """
    # Claims of the literature have a section even where the study does not vary their axis.
    claimed = [judged.claim.axis for judged in evidence.claims]
    # An axis that parts the runs as another does, in every column, is a second name of that one.
    firsts = {axis for grid in evidence.grids.values() for axis in grid.axes}
    varying = [axis for axis in evidence.axes if axis in firsts]
    planned = differing(runs)
    return Guideline(
        study=str(runs.attrs["study"]),
        question=str(runs["question"].iloc[0]),
        margin=margin,
        data=text.data(evidence, has_examples),
        sections=[
            _section(evidence, axis, margin, axis in planned)
            for axis in dict.fromkeys([*FIVE, *claimed, *varying])
        ],
        limits=list(limits.general(runs, scores, evidence.grids, has_examples)),
    )


def _section(evidence: Evidence, axis: str, margin: float, is_planned: bool) -> Section:
    """All that the evidence says of one axis; `is_planned`: whether the study is to vary it."""
    compared = evidence.compared[evidence.compared["axis"] == axis]
    flips = evidence.flips[evidence.flips["axis"] == axis]
    claims = [judged for judged in evidence.claims if judged.claim.axis == axis]
    changes = evidence.changes[evidence.changes["axis"] == axis]
    preferences = text.preferences(compared)
    is_varied = axis in evidence.axes
    unknown = limits.of_axis(evidence.grids, axis, compared, margin) if is_varied else []
    undecided = (
        [text.undecided(compared)]
        if is_varied
        else [text.constant(evidence.grids, axis, is_planned)]
    )
    return Section(
        axis=axis,
        # Nothing to prefer is no finding that levels are equal: it may be too few seeds.
        verdict=RECOMMENDED if preferences else UNKNOWN if is_varied or is_planned else NOT_STUDIED,
        in_short=text.in_short(preferences, flips) or undecided,
        recommended=[text.preferred(each, flips) for each in preferences] or undecided,
        parts={
            "Evidence": [
                *text.differences(compared, margin),
                *context.costs(evidence.grids, axis),
                *context.shared(evidence.shares, axis),
            ],
            "Where it flips": list(context.flipped(flips)),
            "Where a difference is larger": list(context.changed(changes)),
            "The literature": [context.borne_out(judged) for judged in claims],
            "What the data cannot say": list(unknown),
        },
    )


def markdown(guideline: Guideline) -> str:
    """A guideline as Markdown: the same records give the same bytes."""
    lines = [f"# Guideline of study {literal(guideline.study)}", "", prose(guideline.question), ""]
    lines += _part("What it is made from", guideline.data, 2)
    for section in guideline.sections:
        lines += [f"## {code(section.axis)}: {section.verdict}", ""]
        lines += [*_bullets(section.recommended), ""]
        for title, sentences in section.parts.items():
            lines += _part(title, sentences, 3)
    lines += _part("What the data cannot say of any axis", guideline.limits, 2)
    return "\n".join(lines).rstrip() + "\n"


def _part(title: str, sentences: Iterable[str], level: int) -> list[str]:
    """The lines of a part with a heading; none where there is nothing to say."""
    bullets = _bullets(sentences)
    return [f"{'#' * level} {title}", "", *bullets, ""] if bullets else []


def _bullets(sentences: Iterable[str]) -> list[str]:
    return [item(prose(sentence)) for sentence in sentences]
