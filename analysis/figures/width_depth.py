"""Deep or wide: score against layers at one budget of Transformer parameters."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.figures.drawing import NOTHING, Drawing, Gallery, settled
from analysis.figures.style import (
    MAJORITY,
    MOST,
    TEACHER,
    batches,
    file_name,
    key,
    key_of,
    label,
    over_runs,
    panels,
    paper,
    roomy,
    signs,
)
from analysis.read.axes import axes
from analysis.read.frame import NO_SEED
from analysis.statistics.cells import NOTHING as NOT_KNOWN
from analysis.tables.arrange import arranged
from analysis.tables.layout import EXCLUDED, value_text
from analysis.tables.majority_baseline import MAJORITY as CONSTANT
from analysis.tables.model import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MODELS = ("size", "shape", "family")
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
        if not (runs["layers"].notna() & (runs["seed"] != NO_SEED)).any():
            why = "the plan says no student's layers: it was written by an older version"
        return Gallery(notes=(f"width and depth: {why}",))
    lines = {column: _lines(made, str(column)) for column in points["column"].unique()}
    drawings = [
        _figure(part, lines[column], f"width_depth_{column}{end}")
        for column, own in points.groupby("column", sort=False)
        for end, part in _parts(own)
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
    students = runs[(runs["seed"] != NO_SEED) & (runs["state"] != EXCLUDED)]
    models = students.dropna(subset=["layers"]).drop_duplicates("row")
    others = [axis for axis in axes(runs) if axis not in MODELS]
    models = models[["row", "layers", "hidden", *others]]
    empty = pd.DataFrame(columns=[*NAMES, *GAIN])
    if cells.empty or models.empty:
        return empty
    points = cells[cells["n"] > 0].merge(models, on="row").dropna(subset="transformer")
    points = points.drop_duplicates(["column", "row"]).sort_values("transformer", kind="stable")
    points = points.assign(group=_groups(points["transformer"].to_numpy(dtype=float)))
    shapes = points["layers"].astype(str) + "x" + points["hidden"].astype(str)
    is_choice = shapes.groupby([points["group"], points["column"]]).transform("nunique") > 1
    points = points[is_choice]
    points = points.assign(arm=_arms(points, others))
    points = points.assign(budget=points.groupby("group")["transformer"].transform("mean"))
    return points.sort_index()[[*NAMES, *GAIN]].reset_index(drop=True) if len(points) else empty


def _row(table: Table, row: str, column: str) -> dict[str, Any]:
    cell = table.cells[row, column]
    numbers = {name: getattr(cell, name) for name in ("mean", "spread", "n", "transformer", *GAIN)}
    return {"row": row, "column": column, **numbers}


def _arms(models: pd.DataFrame, others: Sequence[str]) -> list[str]:
    """The name of each student but for its size: the values of the other axes that vary."""
    texts = [models[axis].map(value_text) for axis in others]
    several = [column for column in texts if column.nunique() > 1]
    return [", ".join(filter(None, own)) for own in zip(*several, strict=True)] or [""] * len(
        models
    )


def _groups(sizes: np.ndarray) -> list[int]:
    """The group of each of ascending sizes: within 5 % of one budget."""
    groups: list[int] = []
    first = NOT_KNOWN
    for size in sizes:
        is_new = not size <= first * WITHIN
        first = size if is_new else first
        groups.append((groups[-1] if groups else 0) + is_new)
    return groups


def _lines(tables: Sequence[Table], column: str) -> dict[str, float]:
    """The teacher's and the majority's score, where all tables agree on it."""
    means_of: dict[str, set[float]] = {}
    for table in tables:
        for row in (*table.teachers, CONSTANT):
            if (row, column) in table.cells and table.cells[row, column].n:
                means_of.setdefault(row, set()).add(table.cells[row, column].mean)
    return {row: means.pop() for row, means in means_of.items() if len(means) == 1}


def _parts(own: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """A column's points as figures: so many budgets and arms in each."""
    sizes = batches(sorted(own["budget"].unique()), BESIDE)
    arms = batches(list(dict.fromkeys(own["arm"])), MOST)
    parts = [own[own["budget"].isin(s) & own["arm"].isin(a)] for s in sizes for a in arms]
    parts = [part for part in parts if len(part)]
    return [(f"_{i}" if len(parts) > 1 else "", part) for i, part in enumerate(parts, 1)]


@paper()
def _figure(points: pd.DataFrame, lines: dict[str, float], name: str) -> Drawing:
    sizes = sorted(points["budget"].unique())
    has_gain = bool(points["difference"].notna().any())
    figure, grid = panels(
        len(sizes) * (1 + has_gain), per_row=len(sizes), height=1.9, sharey="row", sharex="col"
    )
    arms = signs(list(dict.fromkeys(points["arm"])))
    for place, ax in enumerate(grid):
        size = sizes[place % len(sizes)]
        is_gain = place >= len(sizes)
        _panel(ax, points[points["budget"] == size], arms, *(GAIN if is_gain else ("mean",)))
        if is_gain:
            ax.axhline(0, **MAJORITY)
        else:
            ax.set_title(f"{size / 1e6:.3g} M in the Transformer")
            for row, score in lines.items():
                ax.axhline(score, **(MAJORITY if row == CONSTANT else TEACHER), label=row)
    for ax in grid:
        roomy(ax)
    label(grid, "layers × width", "score (points)", len(sizes))
    if has_gain:
        grid[len(sizes)].set_ylabel("gain over control (points)")
    key(figure, *key_of(grid))
    return Drawing(file_name(name), settled(figure), _caption(points, has_gain))


def _panel(
    ax: "Axes",
    points: pd.DataFrame,
    arms: dict[str, dict[str, Any]],
    value: str,
    low: str = "",
    high: str = "",
) -> None:
    """A line for each arm, beside each other, with standard deviations or with the bounds."""
    models = points.drop_duplicates(["layers", "hidden"]).sort_values(["layers", "hidden"])
    names = [f"{layers:.0f}×{hidden:.0f}" for layers, hidden in _models(models)]
    for place, (arm, sign) in enumerate(arms.items()):
        own = points[(points["arm"] == arm) & points[value].notna()]
        own = own.sort_values(["layers", "hidden"])
        if own.empty:
            continue
        bounds = [own["spread"]] * 2 if not low else [own[value] - own[low], own[high] - own[value]]
        shift = APART * (place - (len(arms) - 1) / 2)
        ax.errorbar(
            [names.index(f"{layers:.0f}×{hidden:.0f}") + shift for layers, hidden in _models(own)],
            own[value],
            np.stack(bounds),
            **sign,
            elinewidth=0.7,
            capsize=1.5,
            label=arm or "students",
        )
    is_many = len(names) > CROWD
    ax.set_xticks(range(len(names)), names, rotation=45 if is_many else 0)
    ax.margins(x=0.15)


def _models(points: pd.DataFrame) -> Iterable[tuple[float, float]]:
    return zip(points["layers"], points["hidden"], strict=True)


def _caption(points: pd.DataFrame, has_gain: bool) -> str:
    sentences = [
        f"{points['column'].iloc[0]}: students of about the same Transformer parameters (within "
        f"5 %), from wide to deep; {over_runs(points['n'])}."
    ]
    if has_gain:
        sentences.append(
            "Below, the paired difference to the control of the same model, with the 95 % interval "
            "of a paired t over seeds whose error also holds what comes from teachers and examples."
        )
    return " ".join(sentences)
