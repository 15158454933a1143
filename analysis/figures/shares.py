"""How much of the gradient comes from each term of the loss, in the course of training."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.figures import style, traces
from analysis.figures.drawing import NOTHING, Drawing, Gallery, settled
from analysis.figures.traces import ARM, HARD
from analysis.read.frame import PERCENT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE_OF, FEW, PER_ROW = 40, 4, 6  # panels of a page; of a row if they are few, and if they are many
LABELS = "labels"
ASIDE = 0.12  # of the error bars of one stack
BAR: style.Sign = {"width": 0.7, "linewidth": 0.7}
ERROR: style.Sign = {"fmt": "none", "ecolor": "black", "elinewidth": 0.8, "capsize": 1.5}


def shares(runs: pd.DataFrame) -> Gallery:
    """Shares of the gradient of an arm's terms: for each table and task a panel for each arm.

    Arms of one term have nothing to share and are left out.

    Args:
        runs: as `analysis.load` gives them.
    """
    if runs.empty:
        return NOTHING
    all_points = traces.gradient_shares(runs)
    drawings, notes = [], []
    for (table, task), part in runs.groupby(["table", "task"], sort=False):
        points = all_points[(all_points["table"] == table) & (all_points["task"] == task)]
        # A term of weight 0 is recorded with a share of 0: it is none that anything is shared with.
        counts = points[points["share"] > 0].groupby("arm")["term"].nunique()
        several = points[points["arm"].map(counts) > 1]
        if len(several):
            drawings += _figures(several)
        else:
            is_alone = len(points) > 0
            study = runs.attrs["study"]
            why = "every arm has one term" if is_alone else traces.why_none(part, study)
            notes.append(f"{table}, {task}: no gradient shares: {why}")
    return Gallery(tuple(drawings), tuple(notes))


def stacked(points: pd.DataFrame) -> pd.DataFrame:
    """The stacked bars of one arm: each term's mean share at each point of training.

    Rows in the order of drawing: done (percent of training), term, share (percent), `below` (where
    the bar begins) and `spread`, the standard deviation over runs of where it ends.
    """
    names = traces.terms(points)
    wide = points.pivot_table(index=["uid", "done"], columns="term", values="share")
    # A run without a term counts with 0, so that the means of all terms still add up to 100 %.
    wide = wide.fillna(0.0)[names]
    share = wide.groupby("done").mean()
    # What a reader sees of a stacked bar is where it ends, which varies with all terms below it.
    spread = wide.cumsum(axis=1).groupby("done").std()
    rows = [
        {"done": done, "term": term, "share": share[term][done], "spread": spread[term][done]}
        for done in share.index
        for term in names
    ]
    bars = pd.DataFrame(rows)
    return bars.assign(below=bars.groupby("done")["share"].cumsum() - bars["share"])


@style.paper()
def _figures(points: pd.DataFrame) -> list[Drawing]:
    pages = style.batches(list(dict.fromkeys(points["arm"])), PAGE_OF)
    # Decided over all pages: a hatch means the same on each of them.
    roles = traces.roles(points)
    return [
        _figure(points[points["arm"].isin(page)], roles, f"_{i}" if len(pages) > 1 else "")
        for i, page in enumerate(pages, 1)
    ]


def _figure(points: pd.DataFrame, roles: list[str], end: str) -> Drawing:
    """The figure of some arms.

    Args:
        points: as `traces.gradient_shares` gives them.
        roles: what the key calls the terms of all arms.
        end: of the figure's name.
    """
    arms = list(dict.fromkeys(points["arm"]))
    is_few = len(arms) <= 2 * FEW
    per_row = style.balanced(len(arms), FEW if is_few else PER_ROW)
    height = 1.6 if is_few else 1.15
    figure, axes = style.panels(len(arms), height=height, per_row=per_row, sharex=True, sharey=True)
    for arm, ax in zip(arms, axes, strict=True):
        of_arm = points[points["arm"] == arm]
        _bars(ax, stacked(of_arm), traces.roles_of(of_arm, roles), roles)
        ax.set_title(style.wrapped(arm, 28 if is_few else 17), fontsize=style.SMALL)
        ax.set_ylim(0, PERCENT)
    style.label(axes, "training (%)", "gradient (%)", per_row)
    style.key(figure, *style.key_of(axes))
    return Drawing(traces.file_name("shares", points, end), settled(figure), _caption(points))


def _bars(ax: "Axes", bars: pd.DataFrame, role_of: dict[str, str], roles: list[str]) -> None:
    """Draw an arm's stacked bars.

    Args:
        ax: the arm's panel.
        bars: as `stacked` gives them.
        role_of: by term of the arm what the key calls it.
        roles: of all arms, in the key's order: a role has one hatch and one tone in all panels.
    """
    tones = style.colours(max(2, len(roles)))
    times = sorted(bars["done"].unique())
    for number, (term, role) in enumerate(role_of.items(), 1):
        of_term = bars[bars["term"] == term].sort_values("done")
        # Terms for which there are no signs left share the last one.
        index = roles.index(role) if role in roles else len(roles) - 1
        ax.bar(
            range(len(times)),
            of_term["share"],
            bottom=of_term["below"],
            facecolor=_light(tones[index]),
            edgecolor=tones[index],
            hatch=style.HATCHES[index],
            label=LABELS if role == HARD else roles[index],
            **BAR,
        )
        if number < len(role_of):  # the last bar always ends at 100 %
            positions = np.arange(len(times)) + ASIDE * (number - len(role_of) / 2)
            ax.errorbar(positions, of_term["below"] + of_term["share"], of_term["spread"], **ERROR)
    ax.set_xticks(range(len(times)), [f"{time:g}" for time in times])


def _light(tone: str) -> str:
    """The same tone, near to white, so that a hatch in the tone itself can be seen on it."""
    from matplotlib.colors import to_hex, to_rgb

    return to_hex(tuple(1 - 0.45 * (1 - part) for part in np.array(to_rgb(tone))))


def _caption(points: pd.DataFrame) -> str:
    table, task, _ = points[ARM].iloc[0]
    counts = points.groupby("arm")["uid"].nunique()
    bars = " Bars: standard deviation over runs of where a share ends." if counts.max() > 1 else ""
    over = f"mean over up to {counts.max()} runs" if counts.max() > 1 else "one run each"
    return (
        f"{table}, {task}: each weighted term's share of the norm of the encoder's gradient, "
        f"{over}.{bars}"
    )
