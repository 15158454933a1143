"""Deep or wide: score against layers at one budget of Transformer parameters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.figures import style
from analysis.figures.drawing import NOTHING, Drawing, Gallery, settled
from analysis.read.axes import MODELS, axes
from analysis.read.frame import planned_students
from analysis.tables.arrange import arranged
from analysis.tables.layout import joined, value_text
from analysis.tables.majority_baseline import MAJORITY
from analysis.tables.model import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WITHIN = 1.05 / 0.95  # of one budget: its models are at most 5 % off
CROWD = 4  # models whose names have no room beside each other
BESIDE = 3  # budgets in a figure
APART = 0.08  # of arms beside each other; models are one apart
NAMES = ["column", "budget", "arm", "layers", "hidden", "mean", "spread", "n"]
GAIN = ["difference", "low", "high"]


def width_depth(runs: pd.DataFrame, tables: Sequence[Table] | None = None) -> Gallery:
    """Score, and gain over the control, against layers: a figure for each column of the tables.

    A panel for each budget, that is models within 5 % of each other's Transformer parameters.

    Args:
        runs: as `analysis.load` gives them.
        tables: the study's, where they are made already.
    """
    if runs.empty:
        return NOTHING
    made = arranged(runs) if tables is None else tables
    points = budgets(runs, made)
    if points.empty:
        why = "no two models of one size (Transformer parameters within 5 %) have a score"
        return Gallery(notes=(f"width and depth: {why}",))
    lines = {column: _lines(made, str(column)) for column in points["column"].unique()}
    drawings = [
        _figure(of_figure, lines[column], f"width_depth_{column}{end}")
        for column, of_column in points.groupby("column", sort=False)
        for end, of_figure in _parts(of_column)
    ]
    return Gallery(tuple(drawings))


def budgets(runs: pd.DataFrame, tables: Sequence[Table]) -> pd.DataFrame:
    """The cells that share a budget with a model of another shape, one row each.

    Columns: column (of the table), budget (mean Transformer parameters of its models), arm (the
    values of all axes but size and shape), layers, hidden, mean and spread (points), n, and the
    difference to the control with its bounds, where there is one.
    """
    cells = pd.DataFrame(
        [_row(table, row, column) for table in tables for row, column in table.cells]
    )
    models = planned_students(runs).dropna(subset=["layers"]).drop_duplicates("row")
    others = [axis for axis in axes(runs) if axis not in MODELS]
    models = models[["row", "layers", "hidden", *others]]
    empty = pd.DataFrame(columns=[*NAMES, *GAIN])
    if cells.empty or models.empty:
        return empty
    points = cells[cells["n"] > 0].merge(models, on="row").dropna(subset="transformer")
    # `_groups` takes sizes in rising order; `sort_index` below brings back the study's order.
    points = points.drop_duplicates(["column", "row"]).sort_values("transformer", kind="stable")
    points = points.assign(group=_groups(points["transformer"].to_numpy(dtype=float)))
    shapes = points["layers"].astype(str) + "x" + points["hidden"].astype(str)
    is_choice = shapes.groupby([points["group"], points["column"]]).transform("nunique") > 1
    points = points[is_choice]
    # The name of a student but for its size: the values of the other axes that vary.
    varied = [axis for axis in others if points[axis].map(value_text).nunique() > 1]
    points = points.assign(arm=joined(points, varied))
    points = points.assign(budget=points.groupby("group")["transformer"].transform("mean"))
    return points.sort_index()[[*NAMES, *GAIN]].reset_index(drop=True) if len(points) else empty


def _row(table: Table, row: str, column: str) -> dict[str, Any]:
    cell = table.cells[row, column]
    numbers = {name: getattr(cell, name) for name in ("mean", "spread", "n", "transformer", *GAIN)}
    return {"row": row, "column": column, **numbers}


def _groups(sizes: np.ndarray) -> list[int]:
    """The number of each size's group, of ascending sizes: a group is within 5 % of a budget."""
    groups: list[int] = []
    first = np.nan
    for size in sizes:
        is_new = not size <= first * WITHIN  # of the first size too, as nothing is <= NaN
        first = size if is_new else first
        groups.append((groups[-1] if groups else 0) + is_new)
    return groups


def _lines(tables: Sequence[Table], column: str) -> dict[str, float]:
    """The scores of teachers and of the majority baseline, where all tables agree on them."""
    means_of: dict[str, set[float]] = {}
    for table in tables:
        for row in (*table.teachers, MAJORITY):
            if (row, column) in table.cells and table.cells[row, column].n:
                means_of.setdefault(row, set()).add(table.cells[row, column].mean)
    return {row: means.pop() for row, means in means_of.items() if len(means) == 1}


def _parts(points: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """A column's points in one figure or several, each with at most `BESIDE` budgets."""
    sizes = style.batches(sorted(points["budget"].unique()), BESIDE)
    arms = style.batches(list(dict.fromkeys(points["arm"])), style.MOST)
    parts = [points[points["budget"].isin(s) & points["arm"].isin(a)] for s in sizes for a in arms]
    parts = [part for part in parts if len(part)]  # not every arm is there at every budget
    return [(f"_{i}" if len(parts) > 1 else "", part) for i, part in enumerate(parts, 1)]


@style.paper()
def _figure(points: pd.DataFrame, lines: dict[str, float], name: str) -> Drawing:
    """A panel for each budget, scores above and, where there is a control, gains below."""
    sizes = sorted(points["budget"].unique())
    has_gain = bool(points["difference"].notna().any())
    figure, grid = style.panels(
        len(sizes) * (1 + has_gain), per_row=len(sizes), height=1.9, sharey="row", sharex="col"
    )
    arms = style.signs(list(dict.fromkeys(points["arm"])))
    for number, ax in enumerate(grid):
        size = sizes[number % len(sizes)]
        is_gain = number >= len(sizes)
        _panel(ax, points[points["budget"] == size], arms, *(GAIN if is_gain else ("mean",)))
        if is_gain:
            ax.axhline(0, **style.MAJORITY)
        else:
            ax.set_title(f"{size / 1e6:.3g} M in the Transformer")
            for row, score in lines.items():
                ax.axhline(
                    score, **(style.MAJORITY if row == MAJORITY else style.TEACHER), label=row
                )
    for ax in grid:
        style.roomy(ax.yaxis)
    style.label(grid, "layers × width", "score (points)", len(sizes))
    if has_gain:
        grid[len(sizes)].set_ylabel("gain over control (points)")
    style.key(figure, *style.key_of(grid))
    return Drawing(style.file_name(name), settled(figure), _caption(points, has_gain))


def _panel(
    ax: "Axes",
    points: pd.DataFrame,
    arms: dict[str, dict[str, Any]],
    value: str,
    low: str = "",
    high: str = "",
) -> None:
    """Draw a line for each arm, beside each other, with standard deviations or with the bounds.

    Args:
        ax: the panel of one budget.
        points: its cells, as of `budgets`.
        arms: the style of each arm of the figure.
        value: the column that is drawn: `mean`, or `difference` with its bounds `low` and `high`.
        low, high: columns of the bounds; none: the spread over runs, to both sides.
    """
    models = points.drop_duplicates(["layers", "hidden"]).sort_values(["layers", "hidden"])
    names = _models(models)
    for number, (arm, sign) in enumerate(arms.items()):
        of_arm = points[(points["arm"] == arm) & points[value].notna()]
        of_arm = of_arm.sort_values(["layers", "hidden"])
        if of_arm.empty:
            continue
        bounds = [of_arm["spread"]] * 2
        if low:
            bounds = [of_arm[value] - of_arm[low], of_arm[high] - of_arm[value]]
        shift = APART * (number - (len(arms) - 1) / 2)
        ax.errorbar(
            [names.index(name) + shift for name in _models(of_arm)],
            of_arm[value],
            np.stack(bounds),
            **sign,
            elinewidth=0.7,
            capsize=1.5,
            label=arm or "students",
        )
    is_many = len(names) > CROWD
    ax.set_xticks(range(len(names)), names, rotation=45 if is_many else 0)
    ax.margins(x=0.15)


def _models(points: pd.DataFrame) -> list[str]:
    """What models are called on the axis: `6×768`."""
    shapes = zip(points["layers"], points["hidden"], strict=True)
    return [f"{layers:.0f}×{hidden:.0f}" for layers, hidden in shapes]


def _caption(points: pd.DataFrame, has_gain: bool) -> str:
    sentences = [
        f"{points['column'].iloc[0]}: students of about the same Transformer parameters (within "
        f"5 %), from wide to deep; {style.over_runs(points['n'])}."
    ]
    if has_gain:
        sentences.append(
            "Below, the paired difference to the control of the same model, with the 95 % interval "
            "of a paired t over seeds whose error also holds what comes from teachers and examples."
        )
    return " ".join(sentences)
