"""Losses and the score on select in the course of training."""

import json
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.figures import style, traces
from analysis.figures.drawing import NOTHING, Drawing, Gallery, settled
from analysis.figures.traces import ARM, HARD, SELECT
from analysis.tables.layout import span_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FACETS, PER_ROW = 40, 5  # panels of a page
DONE = "training (%)"
EDGE: style.Sign = {"marker": "", "linewidth": 0.5}  # of the range over runs


def curves(runs: pd.DataFrame) -> Gallery:
    """Training curves: for each table and task the score on select and each term of the loss.

    Up to eight arms are lines of the same panels; of more, each has a panel of its own, beside its
    control. Lines are means over seeds; thin lines are the smallest and the largest of them, as
    bands of several arms would cover each other.

    Args:
        runs: as `analysis.load` gives them.
    """
    if runs.empty:
        return NOTHING
    all_points = traces.curves(runs)
    drawings, notes = [], []
    teachers = traces.teacher_scores(runs)
    for (table, task), part in runs.groupby(["table", "task"], sort=False):
        points = all_points[(all_points["table"] == table) & (all_points["task"] == task)]
        if points.empty:
            why = traces.why_none(part, runs.attrs["study"])
            notes.append(f"{table}, {task}: no curves: {why}")
            continue
        of_teachers = teachers[(teachers["table"] == table) & (teachers["task"] == task)]
        is_few = points["arm"].nunique() <= style.MOST and len(traces.terms(points)) <= style.MOST
        drawings += (_together if is_few else _apart)(points, of_teachers, part)
    return Gallery(tuple(drawings), tuple(notes))


@style.paper()
def _together(points: pd.DataFrame, teachers: pd.DataFrame, runs: pd.DataFrame) -> list[Drawing]:
    """A panel for select and for each term, a line for each arm."""
    names = [SELECT, *traces.terms(points)]
    arms = style.signs(list(dict.fromkeys(points["arm"])))
    mean = traces.over_seeds(points)
    per_row = style.balanced(len(names), 3)
    figure, axes = style.panels(len(names), height=1.8, per_row=per_row)
    for term, ax in zip(names, axes, strict=True):
        for arm, sign in arms.items():
            _line(ax, mean[(mean["arm"] == arm) & (mean["term"] == term)], arm, sign)
        ax.set_title(f"{_metric(runs)} on select" if term == SELECT else _title(term))
        if term == SELECT:
            _teachers(ax, teachers)
            style.roomy(ax.yaxis)
        ax.set_xlim(0, 103)  # room for the last marker, which is at 100
    style.label(axes, DONE, "loss", per_row)
    axes[0].set_ylabel("score (points)")
    axes[1].set_ylabel("loss")
    style.key(figure, *style.key_of(axes))
    name = traces.file_name("curves", points)
    return [Drawing(name, settled(figure), _caption(points, mean, runs))]


@style.paper()
def _apart(points: pd.DataFrame, teachers: pd.DataFrame, runs: pd.DataFrame) -> list[Drawing]:
    """A panel for each arm: its score on select beside its control's, and then its losses.

    Of losses what is shown is their course, relative to the first value: arms have losses of
    different units, which one axis could not hold.
    """
    control = runs.drop_duplicates("arm").set_index("arm")["control"].to_dict()
    mean = traces.over_seeds(points)
    pages = style.batches(list(dict.fromkeys(points["arm"])), FACETS)
    drawings, styles = [], style.signs(traces.roles(points))
    for number, page_arms in enumerate(pages, 1):
        suffix = f"_{number}" if len(pages) > 1 else ""
        for kind in (SELECT, "loss"):
            figure, axes = style.panels(
                len(page_arms), height=1.1, per_row=PER_ROW, sharex=True, sharey=True, is_wide=True
            )
            for arm, ax in zip(page_arms, axes, strict=True):
                if kind == SELECT:
                    _beside_control(ax, mean, arm, str(control.get(arm, "")))
                    _teachers(ax, teachers)
                else:
                    of_arm = (mean["arm"] == arm) & (mean["term"] != SELECT)
                    _losses(ax, mean[of_arm], styles)
                ax.set_title(style.wrapped(arm, 20), fontsize=style.SMALL)
                ax.set_xlim(0, 105)
            # Panels share their axes: what is set of the first one holds for all.
            caption, unit = _caption(points, mean, runs), "select (points)"
            if kind == SELECT:
                style.roomy(axes[0].yaxis)
            else:
                axes[0].set_yscale("log")
                style.logarithmic(axes[0].yaxis, *axes[0].get_ylim())
                caption, unit = f"{caption} {RELATIVE}", "loss / first"
            style.label(axes, DONE, unit, PER_ROW)
            style.key(figure, *style.key_of(axes))
            name = traces.file_name(f"curves_{kind}", points, suffix)
            drawings.append(Drawing(name, settled(figure), caption))
    return drawings


CONSTANT = (
    "†: a run predicts the same for every row there, which counts 0 where weights are chosen."
)
RELATIVE = (
    "Losses are shown relative to their first value; those that start at or below 0 are left out."
)


def _line(ax: "Axes", points: pd.DataFrame, label: str, sign: dict[str, Any]) -> None:
    """Draw a mean, with its range if it is over several runs; † where a run is degenerate."""
    points = points.sort_values("done")
    if points.empty:
        return
    ax.plot(points["done"], points["mean"], **{"markersize": 3.5, **sign}, label=label)
    if (points["n"] > 1).any():
        for edge in ("low", "high"):
            ax.plot(points["done"], points[edge], **{**sign, **EDGE})
    for position in points.loc[points["degenerate"], ["done", "mean"]].itertuples(index=False):
        ax.annotate(
            "†", position, (0, 2), textcoords="offset points", ha="center", color=sign["color"]
        )


def _teachers(ax: "Axes", teachers: pd.DataFrame) -> None:
    """A horizontal line for each kind of teacher: the mean score of its seeds."""
    for row, of_row in teachers.groupby("row", sort=False):
        mark = " †" if of_row["degenerate"].any() else ""
        ax.axhline(float(of_row["value"].mean()), **style.TEACHER, label=f"{row}{mark}")


def _beside_control(ax: "Axes", mean: pd.DataFrame, arm: str, control: str) -> None:
    """Draw an arm's score on select over its control's."""
    select = mean[mean["term"] == SELECT]
    if control and control != arm:
        sign = {"color": "0.6", "linestyle": "--", "marker": ""}
        _line(ax, select[select["arm"] == control], "its control", sign)
    _line(ax, select[select["arm"] == arm], "the arm", {"color": "black", "marker": "."})


def _losses(ax: "Axes", points: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> None:
    """An arm's losses, named by their terms if styles have them, else by their number."""
    for term, role in traces.roles_of(points, list(styles)).items():
        line = points[points["term"] == term].sort_values("done")
        first = line["mean"].iloc[0]
        # A loss may be negative (a likelihood, a bound): its ratio would say nothing.
        if first > 0 and role in styles:
            line = line.assign(**{name: line[name] / first for name in ("mean", "low", "high")})
            _line(ax, line, _title(role), styles[role] | {"markersize": 2.5})


def _title(term: str) -> str:
    """A term in words."""
    return "loss on labels" if term == HARD else term


def _metric(runs: pd.DataFrame) -> str:
    """The name of the score on select: the task's metric, or the mean of several."""
    names = json.loads(runs["select_by"].dropna().iloc[0])
    return names[0] if len(names) == 1 else f"mean of {' and '.join(names)}"


def _caption(points: pd.DataFrame, mean: pd.DataFrame, runs: pd.DataFrame) -> str:
    table, task, _ = points[ARM].iloc[0]
    updates, most = span_text(points["steps"], "{:,}"), mean["n"].max()
    over = f"mean and (thin) range of up to {most} runs" if most > 1 else "one run each"
    constant = f" {CONSTANT}" if points["degenerate"].any() else ""
    return (
        f"{table}, {task}: training of {updates} updates; {over}. A loss is "
        f"unweighted and the mean since the evaluation before. The score is {_metric(runs)} on the "
        "split select, with the weights of that moment; tables have the split report, with the "
        f"weights that were kept. Dashed: the teacher's.{constant}"
    )
