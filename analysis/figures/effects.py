"""What each axis accounts for, and what each of its levels is worth against another."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.effects.pairing import matched, reference
from analysis.effects.variance import AXIS, PAIR, RESIDUAL, SEED, variance_shares
from analysis.figures.drawing import NOTHING, Drawing, Gallery, settled
from analysis.figures.style import (
    MAJORITY,
    balanced,
    batches,
    file_name,
    key,
    key_of,
    label,
    panels,
    paper,
)
from analysis.read.axes import axes as axes_of
from analysis.read.frame import PERCENT, scores
from analysis.statistics.draws import sampler
from analysis.statistics.pairs import Inference
from analysis.statistics.seed_tests import MARGIN
from analysis.tables.arrange import control_contrasts
from kdlab.power import SEEDS_NEEDED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HATCH = {AXIS: "", PAIR: "///", SEED: "...", RESIDUAL: "xxx"}
KINDS = {AXIS: "axis", PAIR: "pair of axes", SEED: "seed", RESIDUAL: "rest"}
TONES = {AXIS: "0.6", PAIR: "0.72", SEED: "0.84", RESIDUAL: "0.95"}
ROW, MOST_ROWS, MOST_NAME = 0.17, 45, 44  # inches of a row, rows of a page, letters of a name


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
    reported = scores(runs)
    reported = reported[reported["split"].str.startswith("report").fillna(False).astype(bool)]
    names = axes_of(runs) if axes is None else list(axes)
    drawings, notes = [], []
    shares = variance_shares(reported, names)
    if shares["eta_squared"].notna().any():
        drawings.append(_shares(shares, runs.attrs["study"]))
    else:
        notes.append("shares of variance: no two runs that are done differ in their score")
    # What the study's tables compare too has the verdict that it has there.
    verdicts = dict(control_contrasts(runs, margin=margin).verdicts)
    inference = Inference(margin, sampler(runs), verdicts)
    for axis in names:
        comparisons = against(matched(reported, axis, names, inference))
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
    first = reference(comparisons)
    same = comparisons[comparisons["other"] == first]
    turned = comparisons[comparisons["level"] == first]
    turned = turned.assign(
        level=turned["other"],
        other=first,
        difference=-turned["difference"],
        low=-turned["high"],
        high=-turned["low"],
    )
    return pd.concat([same, turned]).sort_index()


@paper()
def _shares(shares: pd.DataFrame, study: str) -> Drawing:
    """Bars of eta squared, points of omega squared."""
    known = shares[shares["eta_squared"].notna()]
    columns = list(dict.fromkeys(known["column"]))
    terms = list(dict.fromkeys(known["term"]))
    terms.sort(key=lambda term: list(HATCH).index(known["kind"][known["term"] == term].iloc[0]))
    per_row = balanced(len(columns), 3)
    figure, grid = panels(
        len(columns), height=0.6 + ROW * len(terms), per_row=per_row, sharey=True, sharex=True
    )
    for column, ax in zip(columns, grid, strict=True):
        _bars(ax, known[known["column"] == column], terms)
        ax.set_title(column)
    grid[0].invert_yaxis()
    label(grid, "share of variance (%)", "", per_row)
    key(figure, *key_of(grid))
    confounded = shares[shares["eta_squared"].isna()]["term"].unique()
    points = (
        "points: omega squared, which is less what chance accounts for"
        if known["omega_squared"].notna().any()
        else "what chance accounts for is not known, as the model leaves nothing over"
    )
    caption = (
        f"{study}: share of the variance of scores that each axis accounts for. Bars: eta squared; "
        f"{points}. {_counted(known)} runs."
    )
    if len(confounded):
        caption += f" Not to be told from other terms: {', '.join(confounded)}."
    return Drawing(file_name(f"effects_{study}"), settled(figure), caption)


def _bars(ax: "Axes", own: pd.DataFrame, terms: Sequence[str]) -> None:
    for kind, title in KINDS.items():
        part = own[own["kind"] == kind]
        if len(part):
            ax.barh(
                [terms.index(term) for term in part["term"]],
                PERCENT * part["eta_squared"],
                height=0.7,
                facecolor=TONES[kind],
                edgecolor="0.25",
                linewidth=0.5,
                hatch=HATCH[kind],
                label=title,
            )
    part = own[own["omega_squared"].notna()]
    places = [terms.index(term) for term in part["term"]]
    ax.plot(
        PERCENT * part["omega_squared"],
        places,
        linestyle="none",
        marker="D",
        color="black",
        markerfacecolor="white",
        markersize=3.5,
        label="less chance (ω²)" if len(part) else None,
    )
    ax.set_yticks(range(len(terms)), [_short(term) for term in terms])
    ax.axvline(0, color="black", linewidth=0.5)


@paper()
def _forest(comparisons: pd.DataFrame, axis: str, margin: float) -> list[Drawing]:
    """A row for each level, a panel for each column; some figures if there are many levels."""
    columns = list(dict.fromkeys(comparisons["column"]))
    pages = batches(list(dict.fromkeys(comparisons["level"])), MOST_ROWS)
    drawings = []
    for number, levels in enumerate(pages, 1):
        per_row = balanced(len(columns), 3)
        own = comparisons[comparisons["level"].isin(levels)]
        height = 0.7 + ROW * len(levels)
        figure, grid = panels(
            len(columns), height=height, per_row=per_row, sharey=True, is_wide=len(levels) > 8
        )
        for column, ax in zip(columns, grid, strict=True):
            part = own[own["column"] == column]
            _rows(ax, part, levels, margin)
            others = ", ".join(dict.fromkeys(part["other"]))
            ax.set_title(f"{column}\nagainst {_short(others)}" if len(part) else column)
        grid[0].set_ylim(len(levels) - 0.4, -0.6)
        for ax in grid:
            low, high = ax.get_xlim()
            ax.set_xlim(min(low, -1.5 * margin), max(high, 1.5 * margin))
            ax.locator_params(axis="x", nbins=5)
        label(grid, "difference (points)", "", per_row)
        key(figure, *key_of(grid))
        end = f"_{number}" if len(pages) > 1 else ""
        name = file_name(f"matched_{axis}{end}")
        drawings.append(Drawing(name, settled(figure), _caption(comparisons, axis, margin)))
    return drawings


def _rows(ax: "Axes", part: pd.DataFrame, levels: Sequence[str], margin: float) -> None:
    ax.axvspan(-margin, margin, color="0.9", zorder=0, linewidth=0, label=f"± {margin:g} points")
    ax.axvline(0, **MAJORITY)
    is_alike = part["alike"] & ~part["shown"]
    for is_kind, title, colour in (
        (part["shown"], "a difference (Holm, 5 %)", "black"),
        (is_alike, f"none beyond ± {margin:g} (Holm, 5 %)", "0.6"),
        (~part["shown"] & ~is_alike, "cannot tell", "white"),
    ):
        own = part[is_kind]
        if own.empty:
            continue
        bounds = np.stack([own["difference"] - own["low"], own["high"] - own["difference"]])
        ax.errorbar(
            own["difference"],
            [levels.index(level) for level in own["level"]],
            xerr=bounds.clip(min=0),
            fmt="o",
            color="black",
            markerfacecolor=colour,
            markersize=4,
            elinewidth=0.9,
            capsize=2,
            label=title,
        )
    ax.set_yticks(range(len(levels)), [_short(level) for level in levels])
    ax.grid(axis="y", linewidth=0.3, color="0.85")
    ax.set_axisbelow(True)
    if part.empty:
        ax.text(0.5, 0.5, "no matched pairs", transform=ax.transAxes, ha="center", va="center")


def _caption(comparisons: pd.DataFrame, axis: str, margin: float) -> str:
    seeds = sorted(comparisons["seeds"].unique())
    numbers = " to ".join(dict.fromkeys(f"{n}" for n in (seeds[0], seeds[-1])))
    numbers += " seed" if seeds[-1] == 1 else " seeds"
    is_few = seeds[0] < SEEDS_NEEDED
    few = f" No interval and no test under {SEEDS_NEEDED} seeds." if is_few else ""
    constant = int(comparisons["degenerate"].sum())
    few += f" In {constant} pairs a run predicts the same for every row." if constant else ""
    return (
        f"{axis}: runs that differ in it alone, {comparisons['n'].sum()} pairs of {numbers}; "
        "mean difference with the 95 % interval of a paired t over seeds whose error also holds "
        "what comes from teachers and examples." + few
    )


def _short(name: str) -> str:
    name = name.replace(" x ", " × ")
    return name if len(name) <= MOST_NAME else f"{name[: MOST_NAME - 1]}…"


def _counted(known: pd.DataFrame) -> str:
    counts = sorted(known["n"].unique())
    return " to ".join(dict.fromkeys(str(n) for n in (counts[0], counts[-1])))
