"""Losses and the score on select in the course of training."""

import json
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.figures import traces
from analysis.figures.drawing import NOTHING, Drawing, Gallery, settled
from analysis.figures.style import (
    MOST,
    TEACHER,
    balanced,
    batches,
    file_name,
    key,
    key_of,
    label,
    logarithmic,
    panels,
    paper,
    roomy,
    signs,
    wrapped,
)
from analysis.figures.traces import ARM, HARD, SELECT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FACETS, PER_ROW = 40, 5  # panels of a page
DONE = "training (%)"


def curves(runs: pd.DataFrame) -> Gallery:
    """Training curves: for each table and task the score on select and each term of the loss.

    Up to eight arms are lines of the same panels; of more, each has a panel of its own, beside its
    control. Lines are means over seeds, bands go from the smallest to the largest.

    Args:
        runs: as `analysis.load` gives them.
    """
    if runs.empty:
        return NOTHING
    points = traces.curves(runs)
    drawings, notes = [], []
    teachers = traces.teacher_scores(runs)
    for (table, task), part in runs.groupby(["table", "task"], sort=False):
        own = points[(points["table"] == table) & (points["task"] == task)]
        if own.empty:
            notes.append(f"{table}, {task}: no curves: {_why_none(part, runs.attrs['study'])}")
            continue
        of_teachers = teachers[(teachers["table"] == table) & (teachers["task"] == task)]
        is_few = own["arm"].nunique() <= MOST and len(traces.terms(own)) <= MOST
        drawings += (_together if is_few else _apart)(own, of_teachers, part)
    return Gallery(tuple(drawings), tuple(notes))


def _why_none(part: pd.DataFrame, study: str) -> str:
    if (part["state"] == "done").any():
        return "no record of its students has any (older ones do not)"
    return f"none of its runs is done; python -m sweeps launch {study} --wait"


@paper()
def _together(own: pd.DataFrame, teachers: pd.DataFrame, runs: pd.DataFrame) -> list[Drawing]:
    """A panel for select and for each term, a line for each arm."""
    names = [SELECT, *traces.terms(own)]
    arms = signs(list(dict.fromkeys(own["arm"])))
    mean = traces.over_seeds(own)
    per_row = balanced(len(names), 3)
    figure, axes = panels(len(names), height=1.8, per_row=per_row)
    for term, ax in zip(names, axes, strict=True):
        for arm, sign in arms.items():
            _line(ax, mean[(mean["arm"] == arm) & (mean["term"] == term)], arm, sign)
        ax.set_title(f"{_metric(runs)} on select" if term == SELECT else _title(term))
        if term == SELECT:
            _teachers(ax, teachers)
            roomy(ax)
        ax.set_xlim(0, 103)
    label(axes, DONE, "loss", per_row)
    axes[0].set_ylabel("score (points)")
    axes[1].set_ylabel("loss")
    key(figure, *key_of(axes))
    return [Drawing(_name("curves", own), settled(figure), _caption(own, mean, runs))]


@paper()
def _apart(own: pd.DataFrame, teachers: pd.DataFrame, runs: pd.DataFrame) -> list[Drawing]:
    """A panel for each arm: its score on select beside its control's, and then its losses."""
    control = runs.drop_duplicates("arm").set_index("arm")["control"].to_dict()
    mean = traces.over_seeds(own)
    pages = batches(list(dict.fromkeys(own["arm"])), FACETS)
    drawings, styles = [], _roles(own)
    for number, page in enumerate(pages, 1):
        suffix = f"_{number}" if len(pages) > 1 else ""
        for kind in (SELECT, "loss"):
            figure, axes = panels(
                len(page), height=1.1, per_row=PER_ROW, sharex=True, sharey=True, is_wide=True
            )
            for arm, ax in zip(page, axes, strict=True):
                if kind == SELECT:
                    _beside_control(ax, mean, arm, str(control.get(arm, "")))
                    _teachers(ax, teachers)
                else:
                    of_arm = (mean["arm"] == arm) & (mean["term"] != SELECT)
                    _losses(ax, mean[of_arm], styles)
                ax.set_title(wrapped(arm), fontsize=6)
                ax.set_xlim(0, 105)
            if kind == SELECT:  # of one panel, and with it of all
                roomy(axes[0])
            else:
                axes[0].set_yscale("log")
                logarithmic(axes[0].yaxis, *axes[0].get_ylim())
            label(axes, DONE, "select (points)" if kind == SELECT else "loss / first", PER_ROW)
            key(figure, *key_of(axes))
            caption = _caption(own, mean, runs) + ("" if kind == SELECT else f" {RELATIVE}")
            drawings.append(Drawing(_name(f"curves_{kind}", own, suffix), settled(figure), caption))
    return drawings


CONSTANT = (
    "†: a run predicts the same for every row there, which counts 0 where weights are chosen."
)
RELATIVE = (
    "Losses are shown relative to their first value; those that start at or below 0 are left out."
)


def _line(ax: "Axes", own: pd.DataFrame, label: str, sign: dict[str, Any]) -> None:
    """A mean with its band, which one run has not; † where a run is degenerate."""
    own = own.sort_values("done")
    if own.empty:
        return
    ax.plot(own["done"], own["mean"], **{"markersize": 3.5, **sign}, label=label)
    if (own["n"] > 1).any():
        edges = own["low"], own["high"]
        ax.fill_between(own["done"], *edges, color=sign["color"], alpha=0.15, linewidth=0)
    for place in own.loc[own["degenerate"], ["done", "mean"]].itertuples(index=False):
        ax.annotate(
            "†", place, (0, 2), textcoords="offset points", ha="center", color=sign["color"]
        )


def _teachers(ax: "Axes", teachers: pd.DataFrame) -> None:
    """A horizontal line for each kind of teacher: the mean score of its seeds."""
    for row, own in teachers.groupby("row", sort=False):
        mark = " †" if own["degenerate"].any() else ""
        ax.axhline(float(own["value"].mean()), **TEACHER, label=f"{row}{mark}")


def _beside_control(ax: "Axes", mean: pd.DataFrame, arm: str, control: str) -> None:
    select = mean[mean["term"] == SELECT]
    if control and control != arm:
        sign = {"color": "0.6", "linestyle": "--", "marker": ""}
        _line(ax, select[select["arm"] == control], "its control", sign)
    _line(ax, select[select["arm"] == arm], "the arm", {"color": "black", "marker": "."})


def _losses(ax: "Axes", own: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> None:
    """An arm's losses, named by their terms if styles have them, else by their number."""
    names = traces.terms(own)
    shift = 0 if HARD in names else 1
    for place, term in enumerate(names):
        role = term if term in styles else _role(place + shift)
        line = own[own["term"] == term].sort_values("done")
        first = line["mean"].iloc[0]
        if first > 0 and role in styles:
            line = line.assign(**{name: line[name] / first for name in ("mean", "low", "high")})
            _line(ax, line, _title(role), styles[role] | {"markersize": 2.5})


def _roles(own: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """A style for each term of all arms, if they are few; else for so many terms of one arm."""
    names = traces.terms(own)
    if len(names) > MOST:
        most = own[own["term"] != SELECT].groupby("arm")["term"].nunique().max()
        names = [_role(place) for place in range(min(MOST, most + 1))]
    return signs(names)


def _role(place: int) -> str:
    return HARD if place == 0 else f"knowledge {place}"


def _title(term: str) -> str:
    """A term in words."""
    return "loss on labels" if term == HARD else term


def _metric(runs: pd.DataFrame) -> str:
    """The name of the score on select: the task's metric, or the mean of several."""
    names = json.loads(runs["select_by"].dropna().iloc[0])
    return names[0] if len(names) == 1 else f"mean of {' and '.join(names)}"


def _name(kind: str, own: pd.DataFrame, suffix: str = "") -> str:
    table, task = own["table"].iloc[0], own["task"].iloc[0]
    return file_name(f"{kind}_{table}_{task}{suffix}")


def _caption(own: pd.DataFrame, mean: pd.DataFrame, runs: pd.DataFrame) -> str:
    table, task, _ = own[ARM].iloc[0]
    steps = sorted(own["steps"].unique())
    updates = " to ".join(dict.fromkeys(f"{n:,}" for n in (steps[0], steps[-1])))
    constant = f" {CONSTANT}" if own["degenerate"].any() else ""
    return (
        f"{table}, {task}: training of {updates} updates; {_over(int(mean['n'].max()))}. A loss is "
        f"unweighted and the mean since the evaluation before. The score is {_metric(runs)} on the "
        "split select, with the weights of that moment; tables have the split report, with the "
        f"weights that were kept. Dashed: the teacher's.{constant}"
    )


def _over(count: int) -> str:
    return f"mean and range of up to {count} runs" if count > 1 else "one run each"
