"""Whose gradient moves the student: each term's share, in the course of training."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.figures import traces
from analysis.figures.drawing import NOTHING, Drawing, Gallery, settled
from analysis.figures.style import (
    HATCHES,
    MOST,
    balanced,
    batches,
    colours,
    file_name,
    key,
    key_of,
    label,
    panels,
    paper,
    wrapped,
)
from analysis.figures.traces import ARM, HARD
from analysis.read.frame import PERCENT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE_OF, FEW, PER_ROW = 40, 4, 6  # panels of a page; of a row if they are few, and if they are many
LABELS = "labels"
ASIDE = 0.12  # of the bars of one stack


def shares(runs: pd.DataFrame) -> Gallery:
    """Shares of the gradient of an arm's terms: for each table and task a panel for each arm.

    Arms of one term have nothing to share and are left out.

    Args:
        runs: as `analysis.load` gives them.
    """
    if runs.empty:
        return NOTHING
    points = traces.gradient_shares(runs)
    drawings, notes = [], []
    for (table, task), part in runs.groupby(["table", "task"], sort=False):
        own = points[(points["table"] == table) & (points["task"] == task)]
        counts = own[own["share"] > 0].groupby("arm")["term"].nunique()
        several = own[own["arm"].map(counts) > 1]
        if len(several):
            drawings += _figures(several)
        else:
            why = _why_none(part, own, runs.attrs["study"])
            notes.append(f"{table}, {task}: no gradient shares: {why}")
    return Gallery(tuple(drawings), tuple(notes))


def stacked(own: pd.DataFrame) -> pd.DataFrame:
    """The stacked bars of one arm: each term's mean share at each point of training.

    Rows in the order of drawing: done (percent of training), term, share (percent), `below` (where
    the bar begins) and `spread`, the standard deviation over runs of where it ends.
    """
    names = traces.terms(own)
    wide = own.pivot_table(index=["uid", "done"], columns="term", values="share")
    wide = wide.fillna(0.0)[names]
    share, ends = wide.groupby("done").mean(), wide.cumsum(axis=1).groupby("done")
    spread = ends.std()
    rows = [
        {"done": done, "term": term, "share": share[term][done], "spread": spread[term][done]}
        for done in share.index
        for term in names
    ]
    bars = pd.DataFrame(rows)
    return bars.assign(below=bars.groupby("done")["share"].cumsum() - bars["share"])


def _why_none(part: pd.DataFrame, own: pd.DataFrame, study: str) -> str:
    if len(own):
        return "every arm has one term"
    if (part["state"] == "done").any():
        return "no record of its students has any (older ones do not)"
    return f"none of its runs is done; python -m sweeps launch {study} --wait"


@paper()
def _figures(own: pd.DataFrame) -> list[Drawing]:
    pages = batches(list(dict.fromkeys(own["arm"])), PAGE_OF)
    is_named = len(traces.terms(own)) <= MOST
    return [
        _figure(own[own["arm"].isin(page)], is_named, f"_{i}" if len(pages) > 1 else "")
        for i, page in enumerate(pages, 1)
    ]


def _figure(own: pd.DataFrame, is_named: bool, end: str) -> Drawing:
    arms = list(dict.fromkeys(own["arm"]))
    is_few = len(arms) <= 2 * FEW
    per_row = balanced(len(arms), FEW if is_few else PER_ROW)
    height = 1.6 if is_few else 1.15
    figure, axes = panels(len(arms), height=height, per_row=per_row, sharex=True, sharey=True)
    every = traces.terms(own)
    known = every if is_named else [HARD, *(f"knowledge {i}" for i in range(1, MOST))]
    shown = [role for role in known if role == HARD] + [r for r in known if r != HARD]
    most = len(known) if is_named else own.groupby("arm")["term"].nunique().max() + 1
    tones = colours(max(2, min(most, len(known))))
    for arm, ax in zip(arms, axes, strict=True):
        part = own[own["arm"] == arm]
        terms = traces.terms(part)
        roles = terms if is_named else [shown[i + (HARD not in terms)] for i in range(len(terms))]
        _bars(ax, stacked(part), dict(zip(terms, roles, strict=True)), shown, tones)
        ax.set_title(wrapped(arm, 28 if is_few else 20), fontsize=7 if is_few else 6)
        ax.set_ylim(0, PERCENT)
    label(axes, "training (%)", "gradient (%)", per_row)
    key(figure, *key_of(axes))
    return Drawing(_name(own, end), settled(figure), _caption(own))


def _bars(
    ax: "Axes", bars: pd.DataFrame, roles: dict[str, str], shown: list[str], tones: list[str]
) -> None:
    points = sorted(bars["done"].unique())
    for term, role in roles.items():
        own = bars[bars["term"] == term].sort_values("done")
        place = shown.index(role)
        tone = tones[place % len(tones)]
        ax.bar(
            range(len(points)),
            own["share"],
            bottom=own["below"],
            width=0.7,
            facecolor=_light(tone),
            edgecolor=tone,
            linewidth=0.7,
            hatch=HATCHES[place],
            label=LABELS if role == HARD else role,
        )
        if term != list(roles)[-1]:
            ends = own["below"] + own["share"]
            shift = ASIDE * (list(roles).index(term) - (len(roles) - 2) / 2)
            ax.errorbar(
                [number + shift for number in range(len(points))],
                ends,
                own["spread"],
                fmt="none",
                ecolor="black",
                elinewidth=0.8,
                capsize=1.5,
            )
    ax.set_xticks(range(len(points)), [f"{point:g}" for point in points])


def _light(tone: str) -> str:
    """The same tone, near to white, so that a hatch in the tone itself can be seen on it."""
    from matplotlib.colors import to_hex, to_rgb

    return to_hex(tuple(1 - 0.45 * (1 - part) for part in np.array(to_rgb(tone))))


def _name(own: pd.DataFrame, end: str) -> str:
    return file_name(f"shares_{own['table'].iloc[0]}_{own['task'].iloc[0]}{end}")


def _caption(own: pd.DataFrame) -> str:
    table, task, _ = own[ARM].iloc[0]
    counts = own.groupby("arm")["uid"].nunique()
    bars = " Bars: standard deviation over runs of where a share ends." if counts.max() > 1 else ""
    over = f"mean over up to {counts.max()} runs" if counts.max() > 1 else "one run each"
    return (
        f"{table}, {task}: each weighted term's share of the norm of the encoder's gradient, "
        f"{over}.{bars}"
    )
