"""What each axis accounts for, and what each of its levels is worth against another."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.effects.pairing import matched, reference
from analysis.effects.reversals import turned
from analysis.effects.variance import AXIS, PAIR, RESIDUAL, SEED, variance_shares
from analysis.figures import style
from analysis.figures.drawing import NOTHING, Drawing, Gallery, settled
from analysis.read.axes import axes as axes_of
from analysis.read.frame import PERCENT, reported, scores
from analysis.statistics.draws import sampler
from analysis.statistics.pairs import Inference
from analysis.statistics.seed_tests import MARGIN
from analysis.tables.arrange import control_contrasts
from analysis.tables.layout import span_text
from kdlab.power import SEEDS_NEEDED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HATCH = {AXIS: "", PAIR: "///", SEED: "\\\\\\", RESIDUAL: "xxx"}
KINDS = {
    AXIS: "axis",
    PAIR: "pair of axes",
    SEED: "seed",
    RESIDUAL: "rest: three axes and more, and chance",
}
REST = "rest"  # what the line of the residual is called
TONES = {AXIS: "0.6", PAIR: "0.72", SEED: "0.84", RESIDUAL: "0.95"}
EDGE: style.Sign = {"height": 0.7, "edgecolor": "0.25", "linewidth": 0.5}  # of a bar
DIAMOND: style.Sign = {"linestyle": "none", "marker": "D", "markersize": 3.5}
DIAMOND |= {"color": "black", "markerfacecolor": "white"}


def effects(
    runs: pd.DataFrame, axes: Sequence[str] | None = None, *, margin: float = MARGIN
) -> Gallery:
    """Shares of the variance of each axis; and for each axis its levels against one of them.

    Args:
        runs: as `analysis.load` gives them.
        axes: columns in which students differ; all of them unless given.
        margin: points within which a difference counts as none.
    """
    if runs.empty:
        return NOTHING
    study_scores = reported(scores(runs))
    names = axes_of(runs) if axes is None else list(axes)
    drawings, notes = [], []
    shares = variance_shares(study_scores, names)
    if shares["eta_squared"].notna().any():
        drawings.append(_shares(shares, runs.attrs["study"]))
    else:
        notes.append("shares of variance: no two runs that are done differ in their score")
    # What the study's tables compare too has the verdict that it has there.
    verdicts = dict(control_contrasts(runs, margin=margin).verdicts)
    inference = Inference(margin, sampler(runs), verdicts)
    for axis in names:
        comparisons = against(matched(study_scores, axis, names, inference))
        if comparisons.empty:
            notes.append(
                f"{axis}: no two runs that are done differ in it alone; a study that crosses it "
                "with the other axes has such pairs"
            )
        else:
            drawings += _forest(comparisons, axis, margin)
    return Gallery(tuple(drawings), tuple(notes))


def against(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Of each column the comparisons with one level: that with most matched pairs, `other`.

    The difference is then of `level` minus `other`; of equally many pairs the first counts.
    """
    parts = [_of_column(part) for _, part in comparisons.groupby("column", sort=False)]
    return pd.concat(parts, ignore_index=True) if parts else comparisons


def _of_column(comparisons: pd.DataFrame) -> pd.DataFrame:
    """The comparisons of one column that have the reference level, as their `other`."""
    first = reference(comparisons)
    rows = [row if row["other"] == first else turned(row) for row in comparisons.to_dict("records")]
    # Neither way round do the others have that level.
    return pd.DataFrame([row for row in rows if row["other"] == first], columns=comparisons.columns)


@style.paper()
def _shares(shares: pd.DataFrame, study: str) -> Drawing:
    """Bars of eta squared, points of omega squared."""
    estimated = shares[shares["eta_squared"].notna()]
    columns = list(dict.fromkeys(estimated["column"]))
    # Axes first, then pairs, seeds and the rest: columns may have different terms.
    by_kind = estimated.sort_values(
        "kind", key=lambda kinds: kinds.map(list(KINDS).index), kind="stable"
    )
    terms = list(dict.fromkeys(by_kind["term"]))
    per_row = style.balanced(len(columns), 3)
    names = [REST if term == RESIDUAL else term for term in terms]
    height = 0.6 + style.row_height(names) * len(terms)
    figure, grid = style.panels(
        len(columns), height=height, per_row=per_row, sharey=True, sharex=True
    )
    for column, ax in zip(columns, grid, strict=True):
        _bars(ax, estimated[estimated["column"] == column], terms)
        style.rows(ax, names)
        ax.set_title(column)
    # Shares may be 0, and below it less chance: their signs are seen whole.
    grid[0].set_xlim(grid[0].get_xlim()[0] - 2)
    style.label(grid, "share of variance (%)", "", per_row)
    style.key(figure, *style.key_of(grid))
    # Without a share: other terms account for the same runs, and none of them can be singled out.
    confounded = shares[shares["eta_squared"].isna()]["term"].unique()
    points = (
        "points: omega squared, which is less what chance accounts for"
        if estimated["omega_squared"].notna().any()
        else "what chance accounts for is not known, as the model leaves nothing over"
    )
    caption = (
        f"{study}: share of the variance of scores that each axis accounts for. Bars: eta squared; "
        f"{points}. Rest: what no axis, pair of axes or seed accounts for, that is what three axes "
        f"and more do together, what axes do with seeds, and chance. {span_text(estimated['n'])} "
        "runs."
    )
    if len(confounded):
        caption += f" Not to be told from other terms: {', '.join(confounded)}."
    return Drawing(style.file_name(f"effects_{study}"), settled(figure), caption)


def _bars(ax: "Axes", shares: pd.DataFrame, terms: Sequence[str]) -> None:
    """Draw one column's shares, each in the line of its term."""
    for kind, title in KINDS.items():
        part = shares[shares["kind"] == kind]
        if len(part):
            ax.barh(
                [terms.index(term) for term in part["term"]],
                PERCENT * part["eta_squared"],
                facecolor=TONES[kind],
                hatch=HATCH[kind],
                label=title,
                **EDGE,
            )
    part = shares[shares["omega_squared"].notna()]
    positions = [terms.index(term) for term in part["term"]]
    label = "share less chance (ω²)" if len(part) else None
    ax.plot(PERCENT * part["omega_squared"], positions, **DIAMOND, label=label)
    ax.axvline(0, color="black", linewidth=0.5)


@style.paper()
def _forest(comparisons: pd.DataFrame, axis: str, margin: float) -> list[Drawing]:
    """A row for each level, a panel for each column; some figures if there are many levels."""
    columns = list(dict.fromkeys(comparisons["column"]))
    pages = style.rows_of_page(list(dict.fromkeys(comparisons["level"])))
    drawings = []
    for number, levels in enumerate(pages, 1):
        per_row = style.balanced(len(columns), 3)
        of_page = comparisons[comparisons["level"].isin(levels)]
        height = 0.7 + style.row_height(levels) * len(levels)
        figure, grid = style.panels(len(columns), height=height, per_row=per_row, sharey=True)
        for column, ax in zip(columns, grid, strict=True):
            part = of_page[of_page["column"] == column]
            differences(ax, part, levels, margin)
            style.rows(ax, levels)
            others = ", ".join(dict.fromkeys(part["other"]))
            against = style.wrapped(f"against {others}", style.NAME)
            ax.set_title(f"{column}\n{against}" if len(part) else column)
        for ax in grid:
            # The margin's band is always seen whole, however small the differences are.
            low, high = ax.get_xlim()
            ax.set_xlim(min(low, -1.5 * margin), max(high, 1.5 * margin))
            ax.locator_params(axis="x", nbins=5)
        style.label(grid, "difference (points)", "", per_row)
        style.key(figure, *style.key_of(grid))
        end = f"_{number}" if len(pages) > 1 else ""
        name = style.file_name(f"matched_{axis}{end}")
        drawings.append(Drawing(name, settled(figure), _caption(comparisons, axis)))
    return drawings


def differences(ax: "Axes", part: pd.DataFrame, levels: Sequence[str], margin: float) -> None:
    """Draw one column's differences with their intervals, each in the line of its level.

    Args:
        ax: the column's panel.
        part: of `against`, one row for each level that has matched pairs there.
        levels: of all panels, in their order.
        margin: points, drawn as a band.
    """
    band = f"± {margin:g} point{'s' * (margin != 1)}"
    ax.axvspan(-margin, margin, color="0.9", zorder=0, linewidth=0, label=band)
    ax.axvline(0, **style.MAJORITY)
    is_alike = part["alike"] & ~part["shown"]
    is_unclear = ~part["shown"] & ~is_alike
    for is_kind, title, sign in (
        (part["shown"], "significant (Holm, 5 %)", style.SIGNIFICANT),
        (is_alike, f"equal within {band} (Holm, 5 %)", style.EQUAL),
        (is_unclear & part["p"].notna(), "not significant", style.NOT_SIGNIFICANT),
        (is_unclear & part["p"].isna(), "no test", style.NO_TEST),
    ):
        of_kind = part[is_kind]
        if of_kind.empty:
            continue
        bounds = np.stack(
            [of_kind["difference"] - of_kind["low"], of_kind["high"] - of_kind["difference"]]
        )
        ax.errorbar(
            of_kind["difference"],
            [levels.index(level) for level in of_kind["level"]],
            xerr=bounds.clip(min=0),  # without an interval, NaN; by rounding it may be below 0
            label=title,
            **{**style.VERDICT, **sign},
        )
    if part.empty:
        ax.text(0.5, 0.5, "no matched pairs", transform=ax.transAxes, ha="center", va="center")


def _caption(comparisons: pd.DataFrame, axis: str) -> str:
    seeds = comparisons["seeds"]
    unit = "seed" if seeds.max() == 1 else "seeds"
    text = (
        f"{axis}: runs that differ in it alone, {comparisons['n'].sum()} pairs of "
        f"{span_text(seeds)} {unit}; mean difference with the 95 % interval of a paired t over "
        "seeds whose error also holds what comes from teachers and examples."
    )
    if seeds.min() < SEEDS_NEEDED:
        text += f" No interval and no test under {SEEDS_NEEDED} seeds."
    if constant := int(comparisons["degenerate"].sum()):
        text += f" In {constant} pairs a run predicts the same for every row."
    return text
